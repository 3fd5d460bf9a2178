"""The course of a pipeline: step after step, each as far as it is not done."""

import shlex
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from so101_bringup.pipeline import forecast, ledger
from so101_bringup.pipeline.folder import Folder
from so101_bringup.pipeline.inventory import look
from so101_bringup.pipeline.ledger import Entry
from so101_bringup.pipeline.parameters import Parameters
from so101_bringup.pipeline.plan import Planned, State, plan
from so101_bringup.pipeline.step import UNITS, WELL_ENDED, Step, command, place, steps
from so101_node.error import UserError
from so101_training.training.history import duration

# Runs a command to its end, calling the function every few seconds; returns its exit code.
Execute = Callable[[Sequence[str], Callable[[], object]], int]


class StepFailed(UserError):
    """The command of a step has not done what it was to do; what it did is kept."""


class Course:
    def __init__(self, given: Parameters, say: Callable[[str], None]) -> None:
        self._given, self._say = given, say
        self._folder = Folder(given.out)
        self._steps = steps(given)

    def show(self) -> None:
        """Say which steps there are, and how far each is. Raises UserError."""
        planned = self._plan()
        self._say(f'{len(self._steps)} steps, in {self._folder.path}')
        for one in planned:
            self._say(f'  {self._steps.index(one.step) + 1} {one.step:12}{self._state(one)}')
        self._say(f'left: {forecast.of_all(planned, self._given, self._noted())}')

    def run(self, execute: Execute) -> None:
        """Do what is not done. Raises UserError, and what `execute` raises."""
        for step in self._steps:
            found = self._plan()
            planned = _of(step, found)
            if not planned.done:
                self._do(planned, found, execute)

    def _do(self, planned: Planned, found: list[Planned], execute: Execute) -> None:
        """Do a step of what was `found` to be planned."""
        step = planned.step
        if planned.state is State.AGAIN:
            self._clear(planned)
        entry = self._begun(planned)
        words = command(step, self._given, planned.have, planned.excluded)
        entry = entry.typed(shlex.join(words))
        self._note(step, entry)
        self._say('')
        self._say(f'{self._name(step)}: {self._left(planned, found)}')
        self._say(shlex.join(words))
        started, before = time.monotonic(), entry.seconds

        def count() -> Entry:
            counted = replace(entry, seconds=before + time.monotonic() - started)
            self._note(step, counted)
            return counted

        try:
            code = execute(words, count)
        finally:
            entry = count()
        done = self._ended(step, code)
        self._note(step, replace(entry, pace=forecast.pace(step, entry.seconds, done.have)))
        took = duration(time.monotonic() - started)
        self._say(f'{self._name(step)}: done in {took}')

    def _ended(self, step: Step, code: int) -> Planned:
        """Return the step as it is now, done. Raises StepFailed when its command did less."""
        if code not in WELL_ENDED.get(step, (0,)):
            raise StepFailed(f'{self._name(step)}, {_failed(code)}')
        after = _of(step, self._plan())
        if not after.done:
            why = _failed(code) if code else f'ended too early: {self._state(after)}'
            raise StepFailed(f'{self._name(step)}, {why}')
        return after

    def _begun(self, planned: Planned) -> Entry:
        """Return the entry of the step, a new one when it begins."""
        before = self._noted().get(planned.step)
        if before is not None and planned.state is State.GO_ON:
            return before
        return Entry(
            settings=planned.settings,
            inputs=planned.inputs,
            began=datetime.now().astimezone().isoformat(timespec='seconds'),
            pace=before.pace if before else None,
        )

    def _clear(self, planned: Planned) -> None:
        """Move away what the step left earlier; a check is only written over."""
        folder = self._folder
        self._say(f'{self._name(planned.step)}: made again: {planned.why}')
        if planned.step is Step.CHECK:
            folder.verdicts.unlink()
            return
        written = place(planned.step, folder)
        aside = _free(folder.earlier, written.name)
        try:
            folder.earlier.mkdir(exist_ok=True)
            written.rename(aside)
        except OSError as error:
            raise UserError(f'cannot move {written} to {aside}: {error.strerror}') from error
        self._say(f'{written} is now {aside}; remove that when you do not need it')

    def _state(self, planned: Planned) -> str:
        """Say how far a step is."""
        have = f'{planned.have:,} of {_counted(planned.want, planned.step)}'
        match planned.state:
            case State.DONE:
                return f'done: {_counted(planned.have, planned.step)}'
            case State.BEGIN:
                return f'to do: {_counted(planned.want, planned.step)}'
            case State.GO_ON:
                return f'goes on: {have} are there'
            case State.AGAIN:
                return f'to do again: {planned.why}'
            case State.FOLLOWS if planned.there:
                return 'there; to be seen to when those before are done'
            case State.FOLLOWS:
                return f'to do: {_counted(planned.want, planned.step)}'

    def _left(self, planned: Planned, found: list[Planned]) -> str:
        """Say what the step does now, and what is left of all steps."""
        noted = self._noted()
        seconds = forecast.left(planned, self._given, noted)
        takes = 'it says how long' if seconds is None else f'about {duration(seconds)}'
        of_all = forecast.of_all(found, self._given, noted)
        return f'{_counted(planned.left, planned.step)}, {takes}; left in all: {of_all}'

    def _name(self, step: Step) -> str:
        return f'step {self._steps.index(step) + 1} of {len(self._steps)}, {step}'

    def _plan(self) -> list[Planned]:
        return plan(self._given, look(self._given))

    def _noted(self) -> dict[Step, Entry]:
        return ledger.read(self._folder.ledger)

    def _note(self, step: Step, entry: Entry) -> None:
        ledger.write(self._folder.ledger, {**self._noted(), step: entry})


def _of(step: Step, planned: list[Planned]) -> Planned:
    return next(one for one in planned if one.step is step)


def _counted(number: int, step: Step) -> str:
    one, several = UNITS[step]
    return f'{number:,} {one if number == 1 else several}'


def _failed(code: int) -> str:
    how = f'was killed by {signal.Signals(-code).name}' if code < 0 else f'ended with {code}'
    return f'{how}: what it said stands above'


def _free(folder: Path, name: str) -> Path:
    """Return the first of name_1, name_2, ... that is not there."""
    number = 1
    while (folder / f'{name}_{number}').exists():
        number += 1
    return folder / f'{name}_{number}'
