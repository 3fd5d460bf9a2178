"""Replay: an episode's actions on the arm, from its start pose on; then home, and the end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from std_msgs.msg import String

from so101_description.joints import HOME, JOINTS
from so101_episodes.arm_client import ArmClient
from so101_episodes.powered_arm import attempt, powered
from so101_episodes.recorded_episode import RecordedEpisode
from so101_episodes.replay import (
    FASTEST,
    SLOWEST,
    Following,
    check_gaps,
    check_positions,
    check_velocity,
    following,
    replay,
)
from so101_episodes.series import Series
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.joint_positions import checked_home, joint_positions
from so101_node.mailbox import Mailbox
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.stamp import to_nanoseconds
from so101_node.topics import (
    EPISODE_NOTES,
    EPISODE_START,
    EPISODE_STOP,
    JOINT_STATES,
    SIM_RESET,
    TASK,
)

_HOLD = 1.0  # s at the last action, before the arm goes home

_say = partial(print, flush=True)


@dataclass(frozen=True)
class Parameters:
    episode: str = parameter('', "The episode's folder, or that of any bag of the same topics")
    speed: float = parameter(1.0, 'Times as fast as recorded', low=SLOWEST, high=FASTEST)
    max_velocity: float = parameter(
        3.0, "Refuse what is faster, rad/s; the driver's limit", low=0.1, high=5
    )
    max_gap: float = parameter(
        0.5, 'Refuse an episode without an action for longer than so many seconds', low=0.02
    )
    record: bool = parameter(False, 'Record the replay as an episode: needs the recorder')
    sim: bool = parameter(False, 'The world is simulated: reset it first')
    port: str = parameter('', "The driver's port; refuses to start beside another driver's")
    start_pause: float = parameter(3.0, 'Seconds before the arm first moves', low=0.0)
    arm_timeout: float = parameter(90.0, 'Seconds to wait for the driver', low=0.0)
    home: list[float] = parameter(HOME.tolist(), 'Pose to end in, radians')
    home_tolerance: float = parameter(
        0.1, 'Radians that a joint may be off after a move: gravity bends the arm', low=0.0
    )


class ReplayNode(Node):
    """What it does is in `_replay`, which runs in a thread of its own, and blocks there."""

    def __init__(self) -> None:
        super().__init__('replay')
        self._settings = given = declare(self, Parameters)
        self._home = checked_home(given.home)
        if not given.episode:
            raise UserError('parameter episode: give the folder of an episode')
        self._arm = ArmClient(self, given.port, given.arm_timeout, given.home_tolerance)
        self._measured = Mailbox(self, JOINT_STATES)
        self._times: list[int] = []  # of the joint states while replaying, ns
        self._poses: list[np.ndarray] = []
        self._record_start = self.client(EPISODE_START)
        self._record_stop = self.client(EPISODE_STOP)
        self._recording = False
        if given.record:
            self._notes = self.publisher(EPISODE_NOTES)
            self._task = self.publisher(TASK)
        if given.sim:
            self._world_reset = self.client(SIM_RESET)
        self._state, self._seconds, self._of = 'reading', 0.0, 0.0
        self._following: Following | None = None
        self._diagnostics = Diagnostics(self, self._statuses)
        self._changed = self.create_guard_condition(self._diagnostics.publish)

    def open(self) -> None:
        self._arm.run(self._replay)

    def close(self) -> None:
        """Brake, and end the recording. The torque goes off when the driver ends."""
        self._arm.stop()
        if self._recording and self.executor is not None:
            stopped = self._record_stop.call_async(EPISODE_STOP.type.Request())
            self.executor.spin_until_future_complete(stopped, timeout_sec=1.0)
        self._diagnostics.farewell()  # done, if it is

    def _replay(self) -> None:
        given, arm = self._settings, self._arm
        episode = RecordedEpisode(Path(given.episode).expanduser())
        actions = episode.actions()
        if not actions.commanded:
            _say(f'no commands were recorded: replaying {actions.source}, which lag behind them')
        if actions.sampled:
            check_gaps(actions.series, given.max_gap)
        motion = replay(actions.series, given.speed)
        check_velocity(motion, given.speed, given.max_velocity)
        self._of = motion.move.duration

        self._enter('waiting')
        arm.wait_for_arm()
        if arm.limits is None:
            raise UserError('the driver does not say the limits of its joints; see /diagnostics')
        check_positions(actions.series, *arm.limits)
        if given.sim:
            arm.call(self._world_reset, SIM_RESET.type.Request())
        _say(f'the arm moves to the start of {episode.folder} in {given.start_pause:g} s')
        arm.pause(given.start_pause)
        with powered(arm, self._home, given.sim, _say):
            self._enter('starting')
            arm.move(motion.move.positions[0])
            with self._recorded(episode.task):
                self._enter('replaying')
                start = arm.follow(motion.move, self._advance)
                self._enter('holding')
                arm.pause(_HOLD)
            measured = Series(np.array(self._times, dtype=np.int64), np.array(self._poses))
            self._following = following(motion, measured, start)
            _say(f'{episode.folder}: {self._told()}')
            self._enter('homing')
            arm.move(self._home)
        self._enter('done')

    @contextmanager
    def _recorded(self, task: str) -> Iterator[None]:
        """Record what is done meanwhile as an episode, if that is wanted."""
        if not self._settings.record:
            yield
            return
        self._notes.publish(String(data=json.dumps({'kind': '', 'checkpoint': '', 'place': ''})))
        self._task.publish(String(data=task))
        self._arm.call(self._record_start, EPISODE_START.type.Request())
        self._recording = True
        try:
            yield
        except UserError:
            attempt(self._end_recording, _say)
            raise
        self._end_recording()

    def _end_recording(self) -> None:
        path = self._arm.call(self._record_stop, EPISODE_STOP.type.Request())
        self._recording = False
        _say(f'recorded: {path}')

    def _advance(self, seconds: float) -> None:
        self._seconds = seconds
        for message, _ in self._measured.take():
            self._times.append(to_nanoseconds(message.header.stamp))
            self._poses.append(joint_positions(message.name, message.position))

    def _enter(self, state: str) -> None:
        self._state = state
        self._changed.trigger()

    def _told(self) -> str:
        """Say how well the arm followed."""
        if (found := self._following) is None:
            return f'{self._of:.1f} s replayed; nothing was measured'
        rms, most = np.rad2deg(found.rms), np.rad2deg(found.largest)
        return (
            f'{self._of:.1f} s replayed; measured against commanded: RMS of the worst joint '
            f'{rms.max():.2f} degrees ({JOINTS[int(rms.argmax())]}); most but for the gripper '
            f'{most[found.worst]:.2f} ({JOINTS[found.worst]}, at {found.when:.1f} s)'
        )

    def _statuses(self) -> list[Status]:
        values: dict[str, str | float] = {
            'state': self._state,
            'seconds': self._seconds,
            'of': self._of,
            'episode': self._settings.episode,
        }
        if (found := self._following) is not None:
            for joint, rms, most in zip(JOINTS, found.rms, found.largest, strict=True):
                values[f'{joint}_rms_deg'] = float(np.rad2deg(rms))
                values[f'{joint}_largest_deg'] = float(np.rad2deg(most))
        message = self._state if self._following is None else f'{self._state}: {self._told()}'
        return [Status('replay/progress', Level.OK, message, values)]


def main() -> None:
    run(ReplayNode)


if __name__ == '__main__':
    main()
