"""A session: episodes one after the other, as a script over a robot, and the keys of a person.

Rollouts and demonstrations are both episodes: what differs is who moves the arm meanwhile, and how
they are counted. Pure: the robot waits, and says what time it is.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from math import inf
from typing import Any, Protocol

from so101_description.units import dataset_to_radians
from so101_episodes.notes import Notes
from so101_episodes.powered_arm import Arm, Pose, attempt, powered
from so101_episodes.trials import Trial
from so101_node.error import UserError

# The stop-over of an indirect reset, and how long the arm rests there. Stretched out, the arm
# comes home from above, whatever it was entangled with.
ZERO_POSE: Pose = dataset_to_radians([0, 0, 0, 0, 0, 5])
ZERO_PAUSE = 1.5  # s

# Seconds that the source may need before the person is told why: torque comes on within one.
PATIENCE = 2.0


class Source(StrEnum):
    """Who moves the arm during an episode; OTHER: whoever publishes trajectories."""

    POLICY = 'policy'
    TELEOP = 'teleop'
    OTHER = 'other'


class Key(StrEnum):
    """What a person may want; the values of two are the outcomes that they mean."""

    NEXT = 'next'
    AGAIN = 'again'
    SUCCEED = 'success'
    FAIL = 'failure'
    END = 'end'


class State(StrEnum):
    """LABEL is HOMING after an episode that nobody has judged yet."""

    WAITING = 'waiting'
    HOMING = 'homing'
    READY = 'ready'
    RUNNING = 'running'
    LABEL = 'label'
    DONE = 'done'


class Unusable(UserError):
    """This checkpoint cannot be used; others may."""


@dataclass(frozen=True)
class Plan:
    """What to do; times in seconds. `there`: how many of `trials` were done by earlier sessions.

    `pause`: before an episode; rollouts begin without one.
    """

    source: Source
    trials: Sequence[Trial]
    there: int
    episode_time: float
    direct_reset: bool
    record: bool
    sim: bool
    start_pause: float
    pause: float
    home: Pose

    @property
    def kind(self) -> str:
        """As in episode.json."""
        return 'rollout' if self.source is Source.POLICY else 'demonstration'


@dataclass(frozen=True)
class Progress:
    """Where the session is. `message` is a sentence for a person.

    `outcome`, `path`: of the last or current episode, '' when not known. `since`: when it began,
    by the robot's clock, and `seconds` how long it took; both None before.
    """

    state: State = State.WAITING
    message: str = 'waiting for the arm'
    number: int = 0
    checkpoint: str = ''
    place: str = ''
    outcome: str = ''
    path: str = ''
    since: float | None = None
    seconds: float | None = None


class Robot(Arm, Protocol):
    """Every method blocks until it is done; it raises UserError when it cannot be, or Stopped.

    Any of them raises ArmFault when the driver latches a fault meanwhile. Those that take `unless`
    return early when it comes true.
    """

    def now(self) -> float:
        """Return seconds of a clock that does not jump; never blocks."""

    def wait_for_arm(self) -> None: ...
    def pause(self, seconds: float) -> None: ...

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Return whether `condition` came true within `timeout` seconds."""

    def wait_for_policy(self, unless: Callable[[], bool]) -> None: ...

    def checkpoint(self) -> str:
        """Return that of the policy, '' if it is not known; never blocks."""

    def use_checkpoint(self, path: str, unless: Callable[[], bool]) -> None:
        """Have the policy use another checkpoint; raises Unusable when it says that it cannot."""

    def reset_policy(self) -> None: ...

    def reset_world(self, spot: tuple[float, float] | None) -> None:
        """Put the simulated object there (x, y in metres), or at its next seeded place."""

    def lead(self, on: bool) -> None:
        """Let the source move the arm, or have the arm held."""

    def hindrance(self) -> str:
        """Return why the source does not move the arm yet, '' when it does; never blocks.

        Raises UserError when it will not.
        """

    def succeeded(self) -> bool:
        """Return whether the simulated world says that the task is done; never blocks."""

    def start_episode(self, notes: Notes) -> str:
        """Start the recording of an episode; return its folder."""

    def end_episode(self, outcome: str) -> str:
        """End the recording as 'success', 'failure' or 'unlabelled'; return its folder."""

    def discard_episode(self) -> None: ...

    def label(self, outcome: str) -> None:
        """Label the last episode that was ended; never blocks, for any thread.

        The next one starts after that.
        """


@dataclass(frozen=True)
class Result:
    """An episode that was kept: `name` is 'episode 3 of 5'."""

    number: int
    name: str
    checkpoint: str
    outcome: str


class Session:
    """`run` is the script; `press` and `progress` may be used from any thread meanwhile.

    `report` takes a line about what happened, `prompt` what the person is to hear, too; `changed`
    is called after every change of `progress`.
    """

    def __init__(
        self,
        plan: Plan,
        robot: Robot,
        report: Callable[[str], None],
        prompt: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.progress = Progress()
        self.kind = plan.kind
        self.total = len(plan.trials)
        self._plan, self._robot = plan, robot
        self._report, self._prompt, self._changed = report, prompt, changed
        self._lock = threading.RLock()
        self._todo = list(enumerate(plan.trials, 1))[plan.there :]
        self._results: list[Result] = []
        self._discarded = 0
        self._began = 0.0  # the first episode, by the robot's clock
        self._checkpoint = ''  # the last that was asked for
        self._unusable: dict[str, str] = {}  # checkpoint -> why
        self._ended = False  # by the person
        self._key: Key | None = None  # pressed in this episode, or in this pause
        self._leading = False  # the source may move the arm
        self._opening = False  # an episode is about to be recorded, or begins to be
        self._open = False  # it is being recorded
        self._closing = False  # its recording is being ended
        self._due = ''  # the outcome of an episode that is over, while it is still recorded
        self._late: str | None = None  # its label, given while it was being closed

    def run(self) -> None:
        """Make all episodes of the plan.

        After a UserError the source is off, the episode closed, the arm home (as far as the robot
        still does that) and without torque, and the first error is raised. Raises UserError at the
        end, too, when a checkpoint could not be used.
        """
        plan, robot = self._plan, self._robot
        if plan.there:
            self._report(f'{plan.there} of {self.total} are there')
        if not self._todo:
            self._report('nothing is left to be done')
            return
        robot.wait_for_arm()  # raises OtherDriver, too
        self._report(f'the arm moves to its home pose in {plan.start_pause:g} s')
        robot.wait(lambda: self._ended, plan.start_pause)
        if not self._ended:
            try:
                with powered(robot, plan.home, plan.sim, self._report):
                    self._make_episodes()
            except UserError:
                if self._results or self._discarded:
                    self._conclude()
                raise
        self._conclude()
        if self._unusable:
            raise UserError(
                '; '.join(f'{path} was left out: {why}' for path, why in self._unusable.items())
            )

    def press(self, key: Key) -> str:
        """Take what the person wants; return what comes of it. Raises UserError if nothing does.

        NEXT ends the episode, a demonstration as a success, or the pause before one. AGAIN
        discards the episode, to make it again. SUCCEED and FAIL end it with that label, or label
        the last one. END ends the session, and discards the episode.
        """
        with self._lock:
            if key is Key.END:
                self._ended = True
                return 'the session ends, with the arm at home'
            if self.progress.state is State.RUNNING:
                self._key = self._key or key
                return f'{self._name} ends: {self._key}'
            if key is Key.NEXT and self.progress.state is State.READY:
                self._key = key
                return f'{self._name} begins'
            if key in (Key.NEXT, Key.AGAIN):
                raise UserError(f'no episode is running; {self.progress.message}')
            return self._label(key.value)

    @property
    def judged(self) -> int:
        """The number of the episode that a reason given now is about, 0 before the first."""
        with self._lock:
            if self.progress.state is State.RUNNING:
                return self.progress.number
            return self._results[-1].number if self._results else 0

    def _make_episodes(self) -> None:
        self._enter(State.HOMING, 'the arm moves home')
        self._go_home()
        if self._plan.source is Source.POLICY:
            self._enter(State.WAITING, 'waiting for the policy to be ready')
            self._report(self.progress.message)
            self._robot.wait_for_policy(lambda: self._ended)
        self._began = self._robot.now()
        while self._todo and not self._ended:
            number, trial = self._todo[0]
            if trial.checkpoint in self._unusable or self._make_episode(number, trial):
                self._todo.pop(0)
        if self._unlabelled and not self._ended and not self._plan.sim:
            # After the last one there is no other pause to label it in.
            self._robot.wait(lambda: self._ended or not self._unlabelled, self._plan.pause)

    @property
    def _unlabelled(self) -> bool:
        return self.progress.state is State.LABEL

    def _make_episode(self, number: int, trial: Trial) -> bool:
        """Return whether it is over: made, or left out. Else it is made again."""
        self._change(
            number=number,
            checkpoint=trial.checkpoint,
            place=str(trial.place or ''),
            outcome='',
            since=None,
            seconds=None,
        )
        try:
            self._use_checkpoint(trial.checkpoint)
        except Unusable as error:
            self._unusable[trial.checkpoint] = str(error)
            self._report(f'{trial.checkpoint} is left out: {error}')
            return True
        self._prepare(trial)
        if self._ended:
            return False
        try:
            begun = self._begin()
            succeeded = begun and self._watch()
            if begun and self._key not in (Key.AGAIN, Key.END):
                # Should the next step fail, only a person's word judges a rollout.
                judged = self._key is not None or self._plan.source is not Source.POLICY
                self._due = self._outcome(self._key, succeeded) if judged else ''
            self._lead(False)
        except UserError:
            self._abandon()
            raise
        self._due = ''
        done = begun and self._close(trial, succeeded)
        self._go_home()
        return done

    def _use_checkpoint(self, path: str) -> None:
        if path == self._checkpoint:
            return
        self._enter(State.WAITING, f'waiting for {path} to be loaded')
        self._report(self.progress.message)
        self._checkpoint = path  # also if it cannot be used: the policy has no other then
        self._robot.use_checkpoint(path, lambda: self._ended)

    def _prepare(self, trial: Trial) -> None:
        """Give the person time to put the object where it belongs, or have it put there."""
        plan = self._plan
        asked, pause = '', plan.pause
        if trial.place is not None and not plan.sim:
            asked, pause = f'put the object at place {trial.place}, then press right; ', inf
        elif plan.source is not Source.POLICY:
            asked = '' if plan.sim else 'put the object back; '
        elif not self._results and not self._discarded:
            pause = 0.0
        self._key = None
        self._enter(State.READY, f'{asked}next: {self._name}')
        if asked or plan.source is not Source.POLICY:
            self._prompt(self.progress.message)
        self._robot.wait(lambda: self._ended or self._key is not None, pause)
        if plan.sim and not self._ended:
            self._robot.reset_world(trial.spot)

    def _begin(self) -> bool:
        """Start the recording and let the source move the arm; False if the session has ended.

        A policy starts after the recording, from home. A person needs time to come to the arm, or
        the leader's arm does, which belongs to no episode.
        """
        plan, robot = self._plan, self._robot
        if plan.source is Source.POLICY:
            robot.reset_policy()
            self._change(checkpoint=robot.checkpoint())
        else:
            self._lead(True)
            self._wait_for_source()
            if self._ended:
                return False
        with self._lock:
            self._opening = True  # from now on no label reaches the last one
        if plan.record:
            notes = Notes(plan.kind, self.progress.checkpoint, self.progress.place)
            self._change(path=robot.start_episode(notes))
            self._open = True
        if plan.source is Source.POLICY:
            self._lead(True)
        return True

    def _wait_for_source(self) -> None:
        robot, told = self._robot, ''
        while not self._ended and (why := robot.hindrance()):
            changed = partial(self._is_past, why)
            if not robot.wait(changed, PATIENCE) and why != told:
                told = why
                self._enter(State.WAITING, f'{self._name} waits: {why}')
                self._prompt(self.progress.message)

    def _is_past(self, hindrance: str) -> bool:
        return self._ended or self._robot.hindrance() != hindrance

    def _watch(self) -> bool:
        """Return, when the episode is over, whether the world says that the task is done."""
        plan, robot = self._plan, self._robot
        began = robot.now()
        with self._lock:
            self._key = None
            self._opening = False
            self._enter(State.RUNNING, f'{self._name} is running', since=began)
        if plan.source is not Source.POLICY:
            self._prompt(f'go: {self._name}')
        hindered = False

        def over() -> bool:
            nonlocal hindered
            if not hindered and plan.source is not Source.POLICY and (why := robot.hindrance()):
                hindered = True  # once: whether the episode is worth keeping is the person's
                self._prompt(f'{self._name}: nobody leads the arm: {why}')
            return self._ended or self._key is not None or robot.succeeded()

        robot.wait(over, plan.episode_time)
        with self._lock:
            if self._ended:  # later it interrupts nothing
                self._key = self._key or Key.END
            self._change(seconds=robot.now() - began)
        return robot.succeeded()

    def _lead(self, on: bool) -> None:
        self._leading = self._leading or on
        self._robot.lead(on)
        self._leading = on

    def _abandon(self) -> None:
        """After an error: have the arm held, close the episode; half a demonstration is none.

        One that was over, and only then met the error, is kept.
        """
        if self._leading:
            attempt(lambda: self._lead(False), self._report)
        if self._open and (self._due or self._plan.source is Source.POLICY):
            attempt(lambda: self._robot.end_episode(self._due or 'unlabelled'), self._report)
        elif self._open:
            self._discarded += 1
            self._report(f'{self._name} was interrupted and is discarded')
            attempt(self._robot.discard_episode, self._report)

    def _close(self, trial: Trial, succeeded: bool) -> bool:
        """Return whether the episode was kept."""
        plan = self._plan
        with self._lock:
            key = self._key
            if key in (Key.AGAIN, Key.END):
                self._discarded += 1
                self._enter(State.HOMING, f'{self._name} is discarded; the arm moves home')
            else:
                outcome = self._outcome(key, succeeded)
                self._closing = True
                self._results.append(
                    Result(self.progress.number, self._name, trial.checkpoint, outcome)
                )
                self._change(outcome=outcome)
                if outcome == 'unlabelled':
                    self._enter(State.LABEL, f'{self._name} has no label yet: s or f')
                else:
                    self._enter(State.HOMING, f'{self._name}: {outcome}; the arm moves home')
        if key in (Key.AGAIN, Key.END):
            if plan.record:
                self._robot.discard_episode()
            self._open = False
            why = 'was interrupted and ' if key is Key.END else ''
            self._prompt(f'{self._name} {why}is discarded')
            return False
        if plan.record:
            self._change(path=self._robot.end_episode(outcome))
        with self._lock:
            self._open = self._closing = False
            if self._late is not None:
                self._robot.label(self._late)
            self._late = None
        self._report(self._line())
        if self._unlabelled and not plan.sim:
            self._prompt(self.progress.message)
        return True

    def _outcome(self, key: Key | None, succeeded: bool) -> str:
        if key in (Key.SUCCEED, Key.FAIL):
            return key.value
        demonstration = self._plan.source is not Source.POLICY
        if (key is Key.NEXT and demonstration) or (key is None and succeeded):
            return 'success'
        judged = self._plan.sim and key is None  # by the world, which has seen no success
        return 'failure' if judged else 'unlabelled'

    def _label(self, outcome: str) -> str:
        """Label the last episode. For `press`, which holds the lock."""
        if not self._results:
            raise UserError(f'no episode has ended yet; {self.progress.message}')
        if self._opening:
            raise UserError(f'too late for {self._results[-1].name}: {self._name} begins')
        last = replace(self._results[-1], outcome=outcome)
        self._results[-1] = last
        if self._closing:  # with the outcome of before
            self._late = outcome
        elif self._plan.record:
            self._robot.label(outcome)
        if last.number == self.progress.number:
            self._change(outcome=outcome)
        if self._unlabelled:
            self._enter(State.HOMING, f'{last.name}: {outcome}; the arm moves home')
        if not self._closing:
            self._report(f'{last.name}: {outcome}')
        return f'{last.name}: {outcome}'

    def _go_home(self) -> None:
        plan, robot = self._plan, self._robot
        if not plan.direct_reset:
            robot.move(ZERO_POSE)
            robot.pause(ZERO_PAUSE)
        robot.move(plan.home)

    def _line(self) -> str:
        """Say how the last episode ended, where it is, and how long the others will take."""
        result, progress = self._results[-1], self.progress
        line = f'{result.name}: {result.outcome}, {progress.seconds:.1f} s'
        if self._plan.record:
            line += f', {progress.path}'
        others = [trial for _, trial in self._todo[1:] if trial.checkpoint not in self._unusable]
        if not others:
            return line
        each = (self._robot.now() - self._began) / len(self._results)
        left = each * len(others)
        return f'{line}; about {f"{left / 60:.0f} min" if left > 90 else f"{left:.0f} s"} left'

    def _conclude(self) -> None:
        *others, last = self._summary()
        for line in others:
            self._report(line)
        self._prompt(last)
        self._enter(State.DONE, last)

    def _summary(self) -> list[str]:
        """Return a line, or one for each checkpoint that was tried."""
        plan, made = self._plan, self._results
        if plan.source is not Source.POLICY:
            outcomes = Counter(result.outcome for result in made)
            said = [f'{count} {outcome}' for outcome, count in outcomes.most_common()]
            said += [f'{self._discarded} discarded'] if self._discarded else []
            line = f'{plan.there + len(made)} of {self.total} demonstrations are there'
            if not plan.record:
                line = f'{len(made)} of {self.total} demonstrations, none recorded'
            return [f'{line}; of this session: {", ".join(said)}' if said else line]
        lines = []
        for checkpoint in dict.fromkeys(result.checkpoint for result in made):
            outcomes = Counter(r.outcome for r in made if r.checkpoint == checkpoint)
            line = successes(outcomes['success'], outcomes['failure'])
            if unlabelled := outcomes['unlabelled']:
                line += f'; {unlabelled} without a label'
            lines.append(f'{checkpoint}: {line}' if checkpoint else line)
        return lines or ['no episode was made']

    def _enter(self, state: State, message: str, **values: Any) -> None:
        self._change(state=state, message=message, **values)

    def _change(self, **values: Any) -> None:
        with self._lock:
            self.progress = replace(self.progress, **values)
        self._changed()

    @property
    def _name(self) -> str:
        return f'episode {self.progress.number} of {self.total}'


def successes(succeeded: int, failed: int) -> str:
    """Say how many of the labelled episodes succeeded, and what rate that shows."""
    if not succeeded + failed:
        return '0 of 0 successes'
    from scipy.stats import binomtest  # takes a second to import: not before the arm moves

    rate = binomtest(succeeded, succeeded + failed).proportion_ci(method='wilson')
    low, high = 100 * rate.low, 100 * rate.high
    return (
        f'{succeeded} of {succeeded + failed} successes (Wilson 95 %: {low:.0f} to {high:.0f} %)'
    )
