"""A session: home, an episode, home, as often as asked; then the node ends."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from std_msgs.msg import String

from so101_description.joints import HOME
from so101_episodes import demonstrations
from so101_episodes.session import Key, Plan, Session, Source
from so101_episodes.session_robot import SessionRobot
from so101_episodes.trials import Trial, trials
from so101_episodes.voice import Voice
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.joint_positions import checked_home
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.topics import (
    EPISODE_REASON,
    SESSION_AGAIN,
    SESSION_END,
    SESSION_FAIL,
    SESSION_NEXT,
    SESSION_SUCCEED,
    TASK,
)

_SERVICES = {
    Key.NEXT: SESSION_NEXT,
    Key.AGAIN: SESSION_AGAIN,
    Key.SUCCEED: SESSION_SUCCEED,
    Key.FAIL: SESSION_FAIL,
    Key.END: SESSION_END,
}

_say = partial(print, flush=True)


@dataclass(frozen=True)
class Parameters:
    source: str = parameter(
        'policy',
        'Who moves the arm: policy (rollouts), teleop or other (demonstrations)',
        choices=tuple(Source),
    )
    num_rollouts: int = parameter(1, 'How many rollouts, of each checkpoint', low=1)
    num_episodes: int = parameter(
        50, 'How many demonstrations there are to be, with those in the directory', low=1
    )
    directory: str = parameter('recordings', "The recorder's, to count the demonstrations in it")
    episode_time: float = parameter(10.0, 'Seconds of each episode at most', low=0.1)
    reset_time: float = parameter(
        5.0, 'Seconds before each demonstration, to put the object back', low=0.0
    )
    task: str = parameter('Pick up the cube and place it in the bowl', 'What is to be done')
    direct_reset: bool = parameter(False, 'Straight to the home pose, not by the zero pose')
    record: bool = parameter(True, 'Record each episode: needs the recorder')
    sim: bool = parameter(False, 'The world is simulated: reset it, and let it judge')
    port: str = parameter('', "The driver's port; refuses to start beside another driver's")
    start_pause: float = parameter(3.0, 'Seconds before the arm first moves', low=0.0)
    pause_between: float = parameter(2.0, 'Seconds between rollouts', low=0.0)
    arm_timeout: float = parameter(90.0, 'Seconds to wait for the driver', low=0.0)
    policy_timeout: float = parameter(180.0, 'Seconds to wait for a warm policy', low=0.0)
    home: list[float] = parameter(HOME.tolist(), 'Pose before and after each episode, radians')
    home_tolerance: float = parameter(
        0.1, 'Radians that a joint may be off after a move: gravity bends the arm', low=0.0
    )
    checkpoints: list[str] = parameter(
        [], 'Checkpoints to be compared by rollouts; none: that of the policy'
    )
    places: int = parameter(0, 'In how many places the object starts; 0: no matter where', low=0)
    seed: int = parameter(0, 'Of the order of checkpoints and places', low=0)
    voice: bool = parameter(False, 'Say prompts aloud, too')


class SessionNode(Node):
    """What it does is in Session, whose script runs in a thread of its own."""

    def __init__(self) -> None:
        super().__init__('session')
        given = declare(self, Parameters)
        self._source, self._task = Source(given.source), given.task
        self._episode_time = given.episode_time
        self._voice = Voice(_say) if given.voice else None
        self._robot = SessionRobot(
            self,
            self._source,
            given.sim,
            given.port,
            given.arm_timeout,
            given.policy_timeout,
            given.home_tolerance,
        )
        self._tasks = self.publisher(TASK)
        self._diagnostics = Diagnostics(self, self._statuses)
        changed = self.create_guard_condition(self._diagnostics.publish)
        self._session = Session(plan(given), self._robot, _say, self._prompt, changed.trigger)
        self._reason = (0, '')  # of the episode with this number
        self.subscribe(EPISODE_REASON, self._explain)
        for key, service in _SERVICES.items():
            self.serve(service, partial(self._press, key))

    def open(self) -> None:
        self._tasks.publish(String(data=self._task))
        self._robot.run(self._session.run)

    def close(self) -> None:
        """Stop the script and the source. The torque goes off when the driver ends."""
        self._robot.close(discard=self._source is not Source.POLICY)
        self._diagnostics.farewell()  # done, if it is

    def _press(self, key: Key, _: Any) -> tuple[bool, str]:
        return True, self._session.press(key)

    def _prompt(self, text: str) -> None:
        _say(text)
        if self._voice is not None:
            self._voice.say(text)

    def _explain(self, message: String) -> None:
        self._reason = (self._session.judged, message.data)
        self._diagnostics.publish()

    def _statuses(self) -> list[Status]:
        progress = self._session.progress
        seconds = progress.seconds
        if seconds is None:
            seconds = self._robot.now() - progress.since if progress.since is not None else 0.0
        number, reason = self._reason
        values: dict[str, str | float] = {
            'state': progress.state,
            'kind': self._session.kind,
            'number': progress.number,
            'total': self._session.total,
            'task': self._task,
            'checkpoint': progress.checkpoint,
            'place': progress.place,
            'outcome': progress.outcome,
            'reason': reason if number == progress.number else '',
            'path': progress.path,
            'seconds': seconds,
            'episode_time': self._episode_time,
        }
        return [Status('session/progress', Level.OK, progress.message, values)]


def plan(given: Parameters) -> Plan:
    """Return what the parameters ask for. Raises UserError for parameters that do not make one."""
    home = checked_home(given.home)
    source = Source(given.source)
    rollouts = source is Source.POLICY
    order, there = _order(given) if rollouts else _demonstrations(given)
    return Plan(
        source=source,
        trials=order,
        there=there,
        episode_time=given.episode_time,
        direct_reset=given.direct_reset,
        record=given.record,
        sim=given.sim,
        start_pause=given.start_pause,
        pause=given.pause_between if rollouts else given.reset_time,
        home=home,
    )


def _order(given: Parameters) -> tuple[list[Trial], int]:
    checkpoints = given.checkpoints or ['']
    if not all(isinstance(path, str) and path for path in given.checkpoints):
        raise UserError(f'parameter checkpoints: expected folders, got {given.checkpoints}')
    if len(set(checkpoints)) < len(checkpoints):
        raise UserError(f'parameter checkpoints: one is given twice: {given.checkpoints}')
    return trials(checkpoints, given.places, given.num_rollouts, given.seed), 0


def _demonstrations(given: Parameters) -> tuple[list[Trial], int]:
    if given.checkpoints:
        raise UserError('parameter checkpoints: only for source policy; give none')
    there = demonstrations.count(Path(given.directory), _say) if given.record else 0
    return trials([''], given.places, given.num_episodes, given.seed), there


def main() -> None:
    run(SessionNode)


if __name__ == '__main__':
    main()
