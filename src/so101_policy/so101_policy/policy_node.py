"""The policy node: observations from topics, chunks from inference, trajectories to the arm."""

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from so101_description.units import dataset_to_radians, radians_to_dataset
from so101_node import topics
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.mailbox import Mailbox
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.samples import Samples
from so101_node.stamp import to_nanoseconds
from so101_policy import checkpoint, defaults, trajectory_message
from so101_policy.checkpoint import Checkpoint
from so101_policy.features import joint_state
from so101_policy.inference import Chunk, Inference, InferenceEnded, Warm
from so101_policy.inputs import Inputs
from so101_policy.observation import Observation
from so101_policy.pilot import Pilot
from so101_policy.plan import Array, Limits, Plan
from so101_policy.preflight import Severity, check
from so101_policy.remote_inference import RemoteInference
from so101_policy.schedule import Guidance, Mode, Schedule

# Of a checkpoint that does not say: LeRobot's data sets of this arm are recorded at 30.
_FPS = 30.0

_WATCH_PERIOD = 0.05  # seconds

# Seconds for the last trajectory to arrive.
_FAREWELL = 0.5


# Letters of a task. The longest of LeRobot's data sets have some hundred.
_LONGEST_TASK = 1000


class State(StrEnum):
    """What the policy is at, as /diagnostics say it."""

    WAITING = 'waiting'  # nobody has said which checkpoint
    LOADING = 'loading'
    READY = 'ready'
    RUNNING = 'running'
    FAILED = 'failed'  # until another checkpoint is asked for


@dataclass(frozen=True)
class Parameters:
    checkpoint: str = parameter(
        '',
        'Folder of a LeRobot checkpoint, or of a training run; empty: the topic policy/checkpoint '
        'will say it',
    )
    inference: str = parameter(
        'local',
        'Where the policy is inferred; remote: by an inference node on another machine, which '
        'has the checkpoint',
        choices=('local', 'remote'),
    )
    mode: str = parameter(
        defaults.MODE.value,
        'rtc: real-time chunking; ensemble: the mean of overlapping chunks; '
        'sync: whole chunks, the arm slows down and stands meanwhile',
        choices=tuple(Mode),
    )
    fps: float = parameter(
        0.0, 'Actions a second, as in training; 0: as the checkpoint says, or 30', low=0, high=200
    )
    interval: int = parameter(defaults.INTERVAL, 'Actions from one observation to the next', low=1)
    max_velocity: float = parameter(
        defaults.LIMITS.velocity, 'Limit of what is asked of a joint, rad/s', low=0.1
    )
    max_acceleration: float = parameter(defaults.LIMITS.acceleration, 'The same, rad/s^2', low=1.0)
    max_jerk: float = parameter(defaults.LIMITS.jerk, 'The same, rad/s^3', low=10.0)
    cameras: list[str] = parameter(
        list(topics.CAMERAS), 'Cameras that the robot has', choices=tuple(topics.CAMERAS)
    )
    device: str = parameter('auto', 'Where the model runs', choices=('auto', 'cpu', 'cuda'))
    threads: int = parameter(0, 'CPU threads of the model; 0: half of the cores', low=0)
    max_observation_age: float = parameter(
        0.5, 'Seconds: an older image or joint state is not used', low=0.01
    )
    max_camera_skew: float = parameter(
        0.05, 'Seconds between the images of one observation', low=0.001
    )
    inference_timeout: float = parameter(
        30.0, 'Seconds after which an inference is given up and begun anew', low=0.1
    )
    camera_timeout: float = parameter(
        10.0, 'Seconds that policy/enable waits, once the policy is warm, for all inputs', low=0
    )
    on_mismatch: str = parameter(
        'refuse',
        'What policy/enable does when checkpoint, pose, images or task do not fit',
        choices=('refuse', 'warn'),
    )
    untrained: bool = parameter(False, 'Accept random weights: for simulation only')


class PolicyNode(Node):
    def __init__(self) -> None:
        super().__init__('policy')
        self._settings = declare(self, Parameters)
        self._local = self._settings.inference == 'local'
        self._cameras = self._settings.cameras
        self._task = ''
        self._fault = ''  # why the driver holds the arm
        self._reference: JointState | None = None  # the latest, while the policy is disabled
        self._joints = Mailbox(self, topics.JOINT_STATES)
        self._inputs = self._hear([])
        self._asked = self._settings.checkpoint if self._local else ''  # the checkpoint
        self._asked_by_topic = False
        self._load(self._read(self._asked) if self._asked else None)
        self._inference: Inference | RemoteInference | None = None
        self._serving = False

        self._action_chunk = self.publisher(topics.ACTION_CHUNK)
        self._trajectory = self.publisher(topics.JOINT_TRAJECTORY)
        self._reference_subscription: Subscription | None = None
        self._listen_to_reference()
        self.subscribe(topics.TASK, self._take_task)
        self.subscribe(topics.POLICY_CHECKPOINT, self._take_checkpoint)
        self.subscribe(topics.DIAGNOSTICS, self._take_health)
        self.create_timer(_WATCH_PERIOD, self._watch)
        self._diagnostics = Diagnostics(self, self._statuses)
        self._told: tuple[str, ...] = ()  # of the state, by diagnostics

    def open(self) -> None:
        self._heard = self.create_guard_condition(self._answered)
        if not self._local:
            self._inference = RemoteInference(self, self._heard.trigger)
        elif self._checkpoint is not None:
            self._inference = self._infer_with(self._checkpoint)
        else:
            self.get_logger().info(self._reason)
            self._serve()  # they say what is missing

    def close(self) -> None:
        # The plan would end by itself, but up to a chunk later.
        if (plan := self._pilot.disable(self._now())) is not None:
            self._publish(plan)
            self._trajectory.wait_for_all_acked(Duration(seconds=_FAREWELL))
        if self._inference is not None:
            self._inference.close()

    # The checkpoint.

    def _read(self, folder: str) -> Checkpoint:
        """Return the checkpoint there. Raises UserError when there is none, or it does not fit."""
        if not folder:
            raise UserError(f'{topics.POLICY_CHECKPOINT.name}: empty; publish a folder')
        return self._fitting(checkpoint.read(Path(folder)))

    def _fitting(self, found: Checkpoint) -> Checkpoint:
        """Return it. Raises UserError when it does not fit the robot or the parameters."""
        given = self._settings
        found.check_cameras(self._cameras)
        if found.fps is not None and given.fps not in (0.0, found.fps):
            raise UserError(
                f'parameter fps: {given.fps:g}, but the checkpoint was made for {found.fps:g}'
            )
        if found.chunk_size < 2:
            raise UserError(
                f'checkpoint {found.path}: its chunks have {found.chunk_size} action; '
                'only policies that predict at least two can be executed'
            )
        if given.interval > found.chunk_size:
            raise UserError(
                f'parameter interval: {given.interval} actions, but a chunk has {found.chunk_size}'
            )
        return found

    def _load(self, found: Checkpoint | None) -> None:
        """Be as at a start, for a checkpoint that fits; None: which one is not known yet."""
        given = self._settings
        self._checkpoint = found
        self._fps = given.fps or (found and found.fps) or _FPS
        limits = Limits(given.max_velocity, given.max_acceleration, given.max_jerk)
        schedule = Schedule(self._fps, Mode(given.mode), limits, given.interval)
        self._pilot = Pilot(schedule, self._fps)
        self._inputs.close()
        self._inputs = self._hear(found.cameras if found else self._cameras)
        self._failure = ''  # why it cannot be used
        self._warm: Warm | None = None  # None: the inference loads
        self._ready = False  # whether it was warm, and inputs came or had their time
        self._deadline: float | None = None  # for the inputs, s of the monotonic clock
        self._restarts = 0
        self._doubts: list[str] = []  # of the preflight check, since it was enabled
        self._observed: int | None = None  # capture time of what is being inferred
        # When that began, s of the monotonic clock, whatever the pilot makes of it.
        self._asked_at: float | None = None

        # Reported on /diagnostics. Times are seconds.
        self._inference_time = Samples()
        self._observation_age = Samples()  # when its inference starts
        self._observation_to_command = Samples()

    def _hear(self, cameras: Iterable[str]) -> Inputs:
        given = self._settings
        return Inputs(
            self,
            cameras,
            self._joints,
            given.max_observation_age,
            given.max_camera_skew,
            self._infer,
        )

    def _infer_with(self, found: Checkpoint) -> Inference:
        threads = self._settings.threads or max(1, (os.cpu_count() or 1) // 2)
        return Inference(found, self._settings.device, threads, self._heard.trigger)

    def _take_checkpoint(self, message: String) -> None:
        if not self._local:
            self.get_logger().warning(
                f'{topics.POLICY_CHECKPOINT.name} is ignored: with inference:=remote, the '
                'inference node on the other machine has the checkpoint'
            )
            return
        self._asked, self._asked_by_topic = message.data, True
        try:
            found = self._read(message.data)
        except UserError as error:
            self._fail(error)
            return
        if self._checkpoint is not None and found.path == self._checkpoint.path:
            return
        self._leave()
        self._load(found)
        self.get_logger().info(self._reason)
        self._inference = self._infer_with(found)

    def _leave(self) -> None:
        """Bring the arm to rest, and end the inference: a GPU may not have memory for two."""
        self._disable()
        if self._inference is not None:
            self._inference.close()
            self._inference = None

    def _fail(self, error: UserError) -> None:
        """Go on without a policy, until another checkpoint is asked for.

        End, when it is the one of the parameter.
        """
        if not self._asked_by_topic:
            self.end(error)
            return
        self._leave()
        self._load(None)
        self._failure = str(error)
        self.get_logger().error(self._failure)
        self._serve()

    # What comes in.

    def _take_reference(self, message: JointState) -> None:
        self._reference = message

    def _take_task(self, message: String) -> None:
        if message.data.strip() and len(message.data) <= _LONGEST_TASK:
            self._task = message.data
        else:
            self.get_logger().warning(
                f'a task of {len(message.data)} letters on {topics.TASK.name}, expected 1 to '
                f'{_LONGEST_TASK}; it stays {self._task!r}'
            )

    def _take_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'driver/arm':
                said = {pair.key: pair.value for pair in status.values}
                self._fault = said.get('reason', '?') if said.get('state') == 'fault' else ''

    # What goes out.

    def _infer(self) -> None:
        """Ask for a chunk of what was seen last, if one is due."""
        if self._inference is None or self._warm is None or self._inference.busy:
            return
        latest = self._inputs.latest
        captured = latest.captured()
        if captured is None or self._inputs.blind or not self._pilot.is_due(captured):
            return
        try:
            observation = latest.observation(self._now())
        except UserError:
            return  # the watch says so; the next image asks again
        now = self._now()
        self._observation_age.add((now - observation.captured) * 1e-9)
        guidance = self._pilot.ask(observation.captured)
        self._asked_at = time.monotonic()
        self._observed = observation.captured
        if guidance is not None and self._warm.guided:
            prefix = radians_to_dataset(guidance.prefix)
            guidance = Guidance(prefix, guidance.delay, guidance.horizon)
        else:
            guidance = None
        self._inference.ask(observation, self._task, guidance)

    def _answered(self) -> None:
        if self._inference is None:
            return  # what rang has been ended
        try:
            while answer := self._inference.poll():
                if isinstance(answer, Warm):
                    self._begin(answer)
                else:
                    self._follow(answer)
        except InferenceEnded as error:
            if self._warm is None:
                self._fail(error)  # it cannot even begin
                return
            self._restart(str(error))
        except UserError as error:
            self._fail(error)

    def _begin(self, warm: Warm) -> None:
        if isinstance(self._inference, RemoteInference) and self._checkpoint is None:
            assert self._inference.checkpoint is not None
            self._load(self._fitting(self._inference.checkpoint))
        assert self._checkpoint is not None
        self._warm = warm
        if self._deadline is not None:
            return  # it was warm before
        if self._settings.mode == 'rtc' and not warm.guided:
            self.get_logger().warning(
                f'{self._checkpoint.type} has no real-time chunking: its chunks are aligned in '
                'time and faded into each other, but none knows what was decided before it'
            )
        self._deadline = time.monotonic() + self._settings.camera_timeout

    def _follow(self, chunk: Chunk) -> None:
        self._inference_time.add(chunk.seconds)
        self._asked_at = None
        observed, self._observed = self._observed, None
        if observed is None:
            return  # disabled or reset meanwhile: it belongs to no episode
        actions = dataset_to_radians(chunk.actions)
        held = self._pilot.held
        plan = self._pilot.answer(actions, self._now())
        self._publish(plan)
        if plan is not None and not self._pilot.held:
            self._observation_to_command.add((self._now() - observed) * 1e-9)
        if np.isfinite(actions).all():  # what was predicted, also when it is not followed
            self._action_chunk.publish(trajectory_message.of_chunk(actions, observed, self._fps))
        self._tell(held)

    def _watch(self) -> None:
        inputs = self._inputs.watch(self._now())
        timeout = self._settings.inference_timeout
        # Also amid a hold or when disabled: nothing can be asked until this one is over.
        if self._asked_at is not None and time.monotonic() - self._asked_at > timeout:
            self._restart(f'no chunk for {timeout:g} s')
        if self._pilot.enabled:
            self._watch_arm(inputs)
        elif self._deadline is not None and not self._ready:
            self._watch_inputs(self._deadline)
        if (told := (self._state, self._reason, self._asked)) != self._told:
            self._told = told
            self._diagnostics.publish()

    def _watch_arm(self, inputs: str) -> None:
        """`inputs` is what is wrong with images or joint states, or nothing."""
        held = self._pilot.held
        pose = None if inputs else self._inputs.latest.pose()
        self._publish(self._pilot.watch(self._now(), inputs, self._fault, pose))
        self._tell(held)

    def _watch_inputs(self, deadline: float) -> None:
        """Be ready once every input has arrived or had its time; enable then names what lacks."""
        if not self._inputs.latest.missing() or time.monotonic() > deadline:
            self._ready = True
            self._serve()

    def _restart(self, reason: str) -> None:
        """Hold, and start the inference anew: the arm goes on when it is warm again."""
        assert self._inference is not None
        self._restarts += 1
        self._publish(self._pilot.hold(f'{reason}; it is started again', self._now()))
        self.get_logger().warning(f'{reason}; the inference is started again')
        self._warm = None
        self._observed = self._asked_at = None
        self._inference.restart()

    def _publish(self, plan: Plan | None) -> None:
        if plan is not None:
            self._trajectory.publish(trajectory_message.of_plan(plan))

    def _tell(self, held_before: str) -> None:
        """Say when the arm holds and goes on; why it holds now, diagnostics say each second."""
        held = self._pilot.held
        if held and not held_before:
            self.get_logger().warning(f'the arm holds: {held}')
        elif held_before and not held:
            self.get_logger().info('the arm goes on')

    # Services.

    def _serve(self) -> None:
        if not self._serving:
            self.serve(topics.POLICY_RESET, self._reset)
            self.serve(topics.POLICY_ENABLE, self._enable)
            self._serving = True

    def _enable(self, request: Any) -> tuple[bool, str]:
        if not request.data:
            self._disable()
            return True, 'disabled; the arm holds'
        if self._pilot.enabled:
            return True, f'enabled already: {self._task}'
        if not self._ready:
            return False, self._reason
        if not self._task:
            raise UserError(f'no task on {topics.TASK.name}; publish one')
        observation = self._inputs.latest.observation(self._now())
        self._check(observation)
        self._pilot.enable(self._now(), self._standing(observation.state))
        if self._reference_subscription is not None:
            self.destroy_subscription(self._reference_subscription)
            self._reference_subscription = None
        return True, f'enabled: {self._task}'

    def _disable(self) -> None:
        self._publish(self._pilot.disable(self._now()))
        self._observed = None
        self._listen_to_reference()

    def _check(self, observation: Observation) -> None:
        """Hold the robot against what the policy was trained on. Raises UserError."""
        assert self._checkpoint is not None
        if not self._checkpoint.trained and not self._settings.untrained:
            raise UserError(
                f'checkpoint {self._checkpoint.path}: its weights are random, for simulation only'
            )
        faults = self._inputs.faults
        findings = check(self._checkpoint, observation, self._task, self._fps, faults)
        refused = [finding.text for finding in findings if finding.severity is Severity.REFUSE]
        if refused and self._settings.on_mismatch == 'refuse':
            raise UserError(f'{"; ".join(refused)}. on_mismatch:=warn moves all the same')
        self._doubts = [finding.text for finding in findings]
        for text in self._doubts:
            self.get_logger().warning(text)

    def _reset(self, _: Any) -> tuple[bool, str]:
        if not self._ready:
            return False, self._reason
        assert self._inference is not None
        self._publish(self._pilot.reset(self._now()))
        self._observed = None
        self._inference.reset()
        return True, 'reset'

    def _listen_to_reference(self) -> None:
        """Hear what the servos are told while somebody else tells them.

        A policy goes on from there: the arm sags a little below it, and would twitch. While the
        policy moves the arm it knows by itself, and 200 messages a second cost something.
        """
        if self._reference_subscription is None:
            self._reference_subscription = self.subscribe(topics.REFERENCE, self._take_reference)

    def _standing(self, state: Array) -> Array:
        """Return where the arm is told to be, radians: where it is, `state`, when nobody says."""
        reference, self._reference = self._reference, None
        age = np.inf
        if reference is not None:
            age = (self._now() - to_nanoseconds(reference.header.stamp)) * 1e-9
        if reference is None or age > self._settings.max_observation_age:
            return dataset_to_radians(state)
        return dataset_to_radians(joint_state(reference.name, reference.position))

    # Health.

    def _statuses(self) -> list[Status]:
        return [self._observation_status(), self._inference_status(), self._motion_status()]

    @property
    def _state(self) -> State:
        if self._failure:
            return State.FAILED
        if self._checkpoint is None:
            return State.WAITING
        if self._pilot.enabled and self._warm:
            return State.RUNNING
        return State.READY if self._ready and self._warm else State.LOADING

    @property
    def _reason(self) -> str:
        """Why it is not ready; empty when it is, or runs."""
        if self._failure:
            return self._failure
        if self._checkpoint is None and self._local:
            return f'no checkpoint; publish its folder on {topics.POLICY_CHECKPOINT.name}'
        if self._checkpoint is None:
            return 'waiting for an inference node on another machine'
        return f'loads {self._checkpoint.path}' if self._state is State.LOADING else ''

    def _observation_status(self) -> Status:
        values: dict[str, str | float | int | bool] = {**self._inputs.figures()}
        for q in (50, 95):
            values[f'observation_age_p{q}_ms'] = 1e3 * self._observation_age.percentile(q)
        faults = [str(fault) for fault in self._inputs.faults]
        wrong = '' if self._inputs.blind else self._inputs.latest.complaint(self._now())
        if told := '; '.join([*faults, *([wrong] if wrong else [])]):
            return Status('policy/observation', Level.WARN, told, values)
        lost = self._inputs.lost
        level, message = (Level.WARN, f'{lost} messages lost') if lost else (Level.OK, 'fresh')
        return Status('policy/observation', level, message, values)

    def _inference_status(self) -> Status:
        counts = self._pilot.counts
        values: dict[str, str | float | int | bool] = {
            'state': self._state,
            'reason': self._reason,
            'asked': self._asked,
            'checkpoint': self._asked,
            'inference': self._settings.inference,
            'mode': self._settings.mode,
            'guided': bool(self._warm and self._warm.guided and self._settings.mode == Mode.RTC),
            'task': self._task,
            'doubts': '; '.join(self._doubts),
            'chunks': counts.followed,
            'late_chunks': counts.late,
            'unsound_chunks': counts.unsound,
            'restarts': self._restarts,
        }
        if self._checkpoint is not None:
            values |= {
                'checkpoint': str(self._checkpoint.path),
                'type': self._checkpoint.type,
                'cameras': ', '.join(self._checkpoint.cameras),
                'trained': self._checkpoint.trained,
            }
        if isinstance(self._inference, RemoteInference):
            values['request_bytes'] = self._inference.request_bytes
            for q in (50, 95):
                values[f'network_p{q}_ms'] = 1e3 * self._inference.network.percentile(q)
        for q in (50, 95):
            values[f'inference_p{q}_ms'] = 1e3 * self._inference_time.percentile(q)
        for q in (50, 95):
            key = f'observation_to_command_p{q}_ms'
            values[key] = 1e3 * self._observation_to_command.percentile(q)
        level = Level.ERROR if self._failure else Level.OK
        message = self._reason or self._state
        if counts.late:
            level = Level.WARN
            message += (
                f'; {counts.late} chunks were late as a whole: inference is slower than a chunk '
                'is long'
            )
        return Status('policy/inference', level, message, values)

    def _motion_status(self) -> Status:
        values: dict[str, str | float | int | bool] = {
            'held': self._pilot.held,
            'starved_seconds': self._pilot.starved,
            **self._pilot.smoothness.figures(),
        }
        if self._pilot.held:
            return Status('policy/motion', Level.ERROR, f'holds: {self._pilot.held}', values)
        if not self._pilot.enabled:
            return Status('policy/motion', Level.OK, 'disabled', values)
        if self._pilot.starving:
            return Status('policy/motion', Level.WARN, 'waits for actions', values)
        return Status('policy/motion', Level.OK, 'moving', values)

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds


def main() -> None:
    run(PolicyNode)


if __name__ == '__main__':
    main()
