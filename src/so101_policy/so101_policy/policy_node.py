"""The policy node: observations from topics, chunks from the inference process, trajectories."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_description.joints import JOINTS
from so101_description.units import dataset_to_radians
from so101_node import topics
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.reception import Reception
from so101_node.samples import Samples
from so101_node.stamp import from_nanoseconds, to_nanoseconds
from so101_policy import checkpoint
from so101_policy.inference import Chunk, Inference, Warm
from so101_policy.observation import Latest
from so101_policy.schedule import Schedule, TimedActions, timed, upcoming

# Of a checkpoint that does not say: LeRobot's data sets of this arm are recorded at 30.
_FPS = 30.0

# Nanoseconds from disabling to the action that the arm holds: the driver refuses one that is past
# when it arrives, so this is longer than a message takes on a busy machine.
_HOLD_DELAY = 100_000_000


@dataclass(frozen=True)
class Parameters:
    checkpoint: str = parameter('', 'Folder of a LeRobot checkpoint, or of a training run')
    fps: float = parameter(
        0.0, 'Actions a second, as in training; 0: as the checkpoint says, or 30', low=0, high=200
    )
    execution_horizon: int = parameter(25, 'Actions from one observation to the next', low=1)
    device: str = parameter('auto', 'Where the model runs', choices=('auto', 'cpu', 'cuda'))
    threads: int = parameter(0, 'CPU threads of the model; 0: half of the cores', low=0)
    max_observation_age: float = parameter(
        0.5, 'Seconds: an older image or joint state is not used', low=0.01
    )
    camera_timeout: float = parameter(
        10.0, 'Seconds that policy/enable waits, once the policy is warm, for all inputs', low=0
    )


class PolicyNode(Node):
    def __init__(self) -> None:
        super().__init__('policy')
        self._settings = declare(self, Parameters)
        self._checkpoint = _checkpoint(self._settings)
        self._latest = Latest(
            {camera: of.image.name for camera, of in topics.CAMERAS.items()},
            self._settings.max_observation_age,
        )
        self._fps = self._settings.fps or self._checkpoint.fps or _FPS
        self._schedule = Schedule(self._fps, self._settings.execution_horizon)
        self._task = ''
        self._serving = False
        self._enabled = False
        self._inference: Inference | None = None
        self._published: TimedActions | None = None  # the trajectory that is being executed
        self._observed: int | None = None  # capture time of the observation being inferred

        # Reported on /diagnostics. Times are seconds.
        self._receptions = {source: Reception() for source in [*topics.CAMERAS, 'joint_states']}
        self._inference_time = Samples()
        self._observation_to_command = Samples()
        self._chunks = 0  # published
        self._late_chunks = 0  # of those, without an action still in the future
        self._broken_chunks = 0  # not published: an action is not finite

        self._action_chunk = self.publisher(topics.ACTION_CHUNK)
        self._trajectory = self.publisher(topics.JOINT_TRAJECTORY)
        for camera, of in topics.CAMERAS.items():
            self.subscribe(of.image, partial(self._take_image, camera))
        self.subscribe(topics.JOINT_STATES, self._take_joints)
        self.subscribe(topics.TASK, self._take_task)
        Diagnostics(self, self._statuses)

    def open(self) -> None:
        heard = self.create_guard_condition(self._answered)
        threads = self._settings.threads or max(1, (os.cpu_count() or 1) // 2)
        self._inference = Inference(
            self._checkpoint, self._settings.device, threads, heard.trigger
        )

    def close(self) -> None:
        if self._inference is not None:
            self._inference.close()

    # What comes in.

    def _take_image(self, camera: str, message: Image, info: Any) -> None:
        self._receptions[camera].add(info)
        self._latest.add_image(camera, to_nanoseconds(message.header.stamp), message)
        captured = self._latest.captured()
        if captured is not None and self._schedule.is_due(captured):
            self._infer()

    def _take_joints(self, message: JointState, info: Any) -> None:
        self._receptions['joint_states'].add(info)
        measured = to_nanoseconds(message.header.stamp)
        self._latest.add_joints(measured, message.name, message.position)

    def _take_task(self, message: String) -> None:
        self._task = message.data

    # What goes out.

    def _infer(self) -> None:
        assert self._inference is not None
        if self._inference.busy:
            return
        try:
            observation = self._latest.observation(self._now())
        except UserError:
            return  # diagnostics say so; the next image asks again
        self._inference.ask(observation, self._task)
        self._schedule.observed(observation.captured)
        self._observed = observation.captured

    def _answered(self) -> None:
        assert self._inference is not None
        try:
            while answer := self._inference.poll():
                if isinstance(answer, Warm):
                    self._serve_when_ready()
                else:
                    self._publish(answer)
        except UserError as error:
            self.end(error)

    def _publish(self, chunk: Chunk) -> None:
        observed, self._observed = self._observed, None
        self._inference_time.add(chunk.seconds)
        if observed is None:
            return  # disabled or reset since it was asked for
        if not np.isfinite(chunk.actions).all():
            self._broken_chunks += 1
            return
        predicted = timed(dataset_to_radians(chunk.actions), observed, self._fps)
        now = self._now()
        ahead = upcoming(predicted, now)
        if ahead.times:
            self._trajectory.publish(_message(ahead))
            self._published = ahead
            self._observation_to_command.add((self._now() - observed) * 1e-9)
        else:
            self._late_chunks += 1
        self._action_chunk.publish(_message(predicted))
        self._chunks += 1

    # Services.

    def _serve_when_ready(self) -> None:
        """Serve once every input has arrived or had its time; enable then names what lacks."""
        deadline = self._now() + self._settings.camera_timeout * 1e9

        def check() -> None:
            if not self._latest.missing() or self._now() > deadline:
                timer.cancel()
                self.serve(topics.POLICY_RESET, self._reset)
                self.serve(topics.POLICY_ENABLE, self._enable)
                self._serving = True

        timer = self.create_timer(0.1, check)

    def _enable(self, request: Any) -> tuple[bool, str]:
        if not request.data:
            self._enabled = False
            self._observed = None
            self._schedule.stop()
            self._hold()
            return True, 'disabled; the arm holds'
        if not self._task:
            raise UserError(f'no task on {topics.TASK.name}; publish one')
        self._latest.observation(self._now())
        self._enabled = True
        self._schedule.start(self._now())
        return True, f'enabled: {self._task}'

    def _hold(self) -> None:
        """Cut what was published short: the arm goes on to one of its next actions and stays."""
        if self._published is None:
            return
        ahead = upcoming(self._published, self._now() + _HOLD_DELAY)
        self._published = None
        if ahead.times:
            self._trajectory.publish(_message(TimedActions(ahead.times[:1], ahead.actions[:1])))

    def _reset(self, _: Any) -> tuple[bool, str]:
        assert self._inference is not None
        self._inference.reset()
        self._observed = None
        if self._enabled:
            self._schedule.start(self._now())
        return True, 'reset'

    # Health.

    def _statuses(self) -> list[Status]:
        return [self._observation_status(), self._inference_status()]

    def _observation_status(self) -> Status:
        values: dict[str, str | float | int | bool] = {}
        for source, reception in self._receptions.items():
            values[f'{source}_received'] = reception.received
            values[f'{source}_lost'] = reception.lost
            if source in topics.CAMERAS:
                for q in (50, 95):
                    values[f'{source}_latency_p{q}_ms'] = 1e3 * reception.latency.percentile(q)
        try:
            self._latest.observation(self._now())
        except UserError as error:
            return Status('policy/observation', Level.WARN, str(error), values)
        lost = sum(reception.lost for reception in self._receptions.values())
        level, message = (Level.WARN, f'{lost} messages lost') if lost else (Level.OK, 'fresh')
        return Status('policy/observation', level, message, values)

    def _inference_status(self) -> Status:
        values: dict[str, str | float | int | bool] = {
            'checkpoint': str(self._checkpoint.path),
            'type': self._checkpoint.type,
            'trained': self._checkpoint.trained,
            'chunks': self._chunks,
            'late_chunks': self._late_chunks,
            'broken_chunks': self._broken_chunks,
        }
        for q in (50, 95):
            values[f'inference_p{q}_ms'] = 1e3 * self._inference_time.percentile(q)
        for q in (50, 95):
            key = f'observation_to_command_p{q}_ms'
            values[key] = 1e3 * self._observation_to_command.percentile(q)
        level = Level.OK
        message = 'running' if self._enabled else 'ready' if self._serving else 'loading'
        if self._late_chunks or self._broken_chunks:
            level = Level.WARN
            message += (
                f'; {self._late_chunks} chunks were late as a whole: inference is slower than a '
                f'chunk is long; {self._broken_chunks} held actions that are not finite'
            )
        return Status('policy/inference', level, message, values)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def _checkpoint(parameters: Parameters) -> checkpoint.Checkpoint:
    """Read the checkpoint and hold the parameters against it."""
    if not parameters.checkpoint:
        raise UserError('parameter checkpoint: none given; give the folder of a checkpoint')
    found = checkpoint.read(Path(parameters.checkpoint))
    if found.fps is not None and parameters.fps not in (0.0, found.fps):
        raise UserError(
            f'parameter fps: {parameters.fps:g}, but the checkpoint was made for {found.fps:g}'
        )
    if parameters.execution_horizon > found.chunk_size:
        raise UserError(
            f'parameter execution_horizon: {parameters.execution_horizon} actions, '
            f'but a chunk has {found.chunk_size}'
        )
    return found


def _message(chunk: TimedActions) -> JointTrajectory:
    start = chunk.times[0]
    message = JointTrajectory(joint_names=list(JOINTS))
    message.header.stamp = from_nanoseconds(start)
    for time, action in zip(chunk.times, chunk.actions, strict=True):
        point = JointTrajectoryPoint(positions=action.tolist())
        seconds, nanoseconds = divmod(time - start, 1_000_000_000)
        point.time_from_start.sec = seconds
        point.time_from_start.nanosec = nanoseconds
        message.points.append(point)
    return message


def main() -> None:
    run(PolicyNode)


if __name__ == '__main__':
    main()
