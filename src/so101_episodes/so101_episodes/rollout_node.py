"""Rollouts: home, start, run, stop, home, as often as asked; then the node ends."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.client import Client
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_description.joints import GRIPPER, HOME, JOINTS
from so101_episodes.move import Move, plan
from so101_episodes.rollouts import ArmFault, OtherDriver, Plan, Pose, Stopped, roll_out
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.topics import (
    ARM_TORQUE,
    DIAGNOSTICS,
    EPISODE_FAIL,
    EPISODE_START,
    EPISODE_STOP,
    EPISODE_SUCCEED,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    POLICY_ENABLE,
    POLICY_RESET,
    REFERENCE,
    SIM_RESET,
    SIM_SUCCESS,
    TASK,
    Topic,
)

SERVICE_TIMEOUT = 30.0  # s; ending an episode waits for the disk
SILENCE = 1.0  # s without a message, after which the arm does not answer
STILL = 0.01  # rad within STILL_TIME: the reference stands still
STILL_TIME = 0.1  # s
SETTLE_TIME = 2.0  # s from the end of a move to the arm's being there
POLL_PERIOD = 0.02  # s
LISTEN_TIME = 1.5  # s; a driver is heard on /diagnostics once a second


@dataclass(frozen=True)
class Parameters:
    num_rollouts: int = parameter(1, 'How many rollouts', low=1)
    episode_time: float = parameter(10.0, 'Seconds of each rollout', low=0.1)
    task: str = parameter('Pick up the cube and place it in the bowl', 'What the policy is told')
    direct_reset: bool = parameter(False, 'Straight to the home pose, not by the zero pose')
    record: bool = parameter(True, 'Record each rollout: needs the recorder')
    sim: bool = parameter(False, 'The world is simulated: reset it, and let it judge')
    port: str = parameter('', "The driver's port; refuses to start beside another driver's")
    start_pause: float = parameter(3.0, 'Seconds before the arm first moves', low=0.0)
    pause_between: float = parameter(2.0, 'Seconds between rollouts', low=0.0)
    arm_timeout: float = parameter(90.0, 'Seconds to wait for the driver', low=0.0)
    policy_timeout: float = parameter(180.0, 'Seconds to wait for a warm policy', low=0.0)
    home: list[float] = parameter(HOME.tolist(), 'Pose before and after each rollout, radians')
    home_tolerance: float = parameter(
        0.1, 'Radians that a joint may be off after a move: gravity bends the arm', low=0.0
    )


class Latest:
    """The last message of a joint topic, decoded when it is asked for, and when it came.

    200 messages a second cost a twentieth of a core: they are not heard while nobody asks.
    """

    def __init__(self, node: Node, topic: Topic) -> None:
        self._name = topic.name
        self._node, self._topic = node, topic
        self._data = b''
        self.received = -np.inf  # s of time.monotonic()
        self._subscription: Subscription | None = None
        self.listen(True)

    def listen(self, on: bool) -> None:
        if on and self._subscription is None:
            self._subscription = self._node.subscribe(self._topic, self._receive, raw=True)
        elif not on and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _receive(self, data: bytes) -> None:
        self._data, self.received = data, time.monotonic()

    def pose(self) -> Pose:
        """Return the positions in JOINTS' order; raises UserError when they are old or not all."""
        if time.monotonic() - self.received > SILENCE:
            raise UserError(f'the arm does not answer: {self._name} is silent; see the driver')
        message = deserialize_message(self._data, JointState)
        positions = dict(zip(message.name, message.position, strict=False))
        if missing := [joint for joint in JOINTS if joint not in positions]:
            raise UserError(f'{self._name} lacks {", ".join(missing)}: it needs {JOINTS}')
        return np.array([positions[joint] for joint in JOINTS])


class Rollout(Node):
    """The Robot of rollouts.py. Its methods run in a thread of their own, and block there."""

    def __init__(self) -> None:
        super().__init__('rollout')
        self._settings = declare(self, Parameters)
        self._home = np.asarray(self._settings.home, dtype=np.float64)
        if self._home.shape != (len(JOINTS),) or not np.isfinite(self._home).all():
            raise UserError(f'parameter home: expected 6 radians, got {self._settings.home}')
        self._measured = Latest(self, JOINT_STATES)
        self._reference = Latest(self, REFERENCE)
        self._trajectory = self.publisher(JOINT_TRAJECTORY)
        self._task = self.publisher(TASK)
        self._torque = self.client(ARM_TORQUE)
        self._policy_enable = self.client(POLICY_ENABLE)
        self._policy_reset = self.client(POLICY_RESET)
        self._episode_start = self.client(EPISODE_START)
        self._episode_end = {
            'success': self.client(EPISODE_SUCCEED),
            'failure': self.client(EPISODE_FAIL),
            'unlabelled': self.client(EPISODE_STOP),
        }
        if self._settings.sim:
            self._world_reset = self.client(SIM_RESET)
            self.subscribe(SIM_SUCCESS, self._judged)
        self.subscribe(DIAGNOSTICS, self._take_health)
        self._ports: set[str] = set()  # of the drivers heard on /diagnostics
        self._moving = False  # from then on, this is the graph that others have to leave alone
        self._fault = ''  # why the driver holds the arm
        self._fault_raised = False
        self._success = False
        self._policy_on = False
        self._stopping = threading.Event()
        self._script: Future[None] | None = None

    def open(self) -> None:
        self._task.publish(String(data=self._settings.task))
        given = self._settings
        what = Plan(
            num_rollouts=given.num_rollouts,
            episode_time=given.episode_time,
            direct_reset=given.direct_reset,
            record=given.record,
            sim=given.sim,
            start_pause=given.start_pause,
            pause_between=given.pause_between,
            home=self._home,
        )
        thread = ThreadPoolExecutor(1, thread_name_prefix='script')
        self._script = thread.submit(roll_out, what, self, partial(print, flush=True))
        thread.shutdown(wait=False)
        self._script.add_done_callback(self._scripted)

    def close(self) -> None:
        """Stop the script and the policy. The torque goes off when the driver ends."""
        self._stopping.set()
        if self._script is not None:
            wait([self._script], timeout=1.0)
        if self._policy_on and self.executor is not None:
            off = self._policy_enable.call_async(POLICY_ENABLE.type.Request(data=False))
            self.executor.spin_until_future_complete(off, timeout_sec=1.0)

    def wait_for_arm(self) -> None:
        port = self._settings.port
        missing = {
            f'driver of {port or "any port"}': (
                lambda: port in self._ports if port else bool(self._ports)
            ),
            f'service {ARM_TORQUE.name}': self._torque.service_is_ready,
            f'messages on {JOINT_STATES.name}': lambda: self._measured.received > 0,
            f'a subscriber of {JOINT_TRAJECTORY.name}': (
                lambda: self._trajectory.get_subscription_count() > 0
            ),
        }
        timeout = self._settings.arm_timeout
        if not self._wait(lambda: all(there() for there in missing.values()), timeout):
            names = ', '.join(name for name, there in missing.items() if not there())
            raise UserError(f'no arm after {timeout:g} s: there is no {names}; see the driver')
        self.pause(LISTEN_TIME)  # another driver would be heard by now

    def torque(self, on: bool) -> None:
        self._moving = True
        self._call(self._torque, ARM_TORQUE.type.Request(data=on))
        since = time.monotonic()
        if on and not self._wait(lambda: self._reference.received > since, SILENCE):
            raise UserError(f'torque is on, but {REFERENCE.name} is silent; see the driver')

    def move(self, goal: Pose) -> None:
        """Move from where the arm is held to `goal`, and see that it got there.

        The gripper is not looked at: it may hold something.
        """
        move = plan(self._still_reference(), goal)
        self._trajectory.publish(_message(move))
        self.pause(move.duration)

        def errors() -> Pose:
            return np.abs(np.delete(self._measured.pose() - goal, GRIPPER))

        tolerance = self._settings.home_tolerance
        if not self._wait(lambda: bool((errors() <= tolerance).all()), SETTLE_TIME):
            worst = int(np.argmax(errors()))
            raise UserError(
                f'the arm did not arrive: {JOINTS[worst]} is {np.rad2deg(errors()[worst]):.1f} '
                f'degrees off, {np.rad2deg(tolerance):.1f} are allowed (home_tolerance); is '
                'something in its way, or was the trajectory rejected? See the driver'
            )

    def wait_for_policy(self) -> None:
        timeout = self._settings.policy_timeout
        if not self._wait(self._policy_enable.service_is_ready, timeout):
            raise UserError(
                f'no service {POLICY_ENABLE.name} after {timeout:g} s (policy_timeout): the '
                'policy does not run, or its first inference takes longer; see the policy'
            )

    def reset_world(self) -> None:
        self._call(self._world_reset, SIM_RESET.type.Request())
        self._success = False

    def reset_policy(self) -> None:
        self._call(self._policy_reset, POLICY_RESET.type.Request())

    def start_episode(self) -> None:
        self._call(self._episode_start, EPISODE_START.type.Request())

    def enable_policy(self, on: bool) -> None:
        self._policy_on = self._policy_on or on
        self._call(self._policy_enable, POLICY_ENABLE.type.Request(data=on))
        self._policy_on = on
        since = time.monotonic()
        for topic in (self._measured, self._reference):
            topic.listen(not on)
        if not on:
            self._wait(
                lambda: min(self._measured.received, self._reference.received) > since, SILENCE
            )

    def wait_for_success(self, timeout: float) -> float | None:
        began = time.monotonic()
        return time.monotonic() - began if self._wait(lambda: self._success, timeout) else None

    def end_episode(self, outcome: str) -> str:
        return self._call(self._episode_end[outcome], EPISODE_STOP.type.Request())

    def pause(self, seconds: float) -> None:
        self._wait(lambda: False, seconds)

    def wait_for_clearance(self) -> None:
        while self._fault:
            if self._stopping.wait(POLL_PERIOD):
                raise Stopped

    def _take_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'driver/arm':
                said = {pair.key: pair.value for pair in status.values}
                self._ports.add(said.get('port', ''))
                if said.get('port') != (self._settings.port or said.get('port')):
                    continue
                self._fault = said.get('reason', '') if said.get('state') == 'fault' else ''
                self._fault_raised = self._fault_raised and bool(self._fault)

    def _judged(self, message: Bool) -> None:
        self._success = message.data

    def _scripted(self, script: Future[None]) -> None:
        error = script.exception()
        self.end(None if isinstance(error, Stopped) else error)

    def _still_reference(self) -> Pose:
        """Return where the arm is held, once the rest of an earlier trajectory is over."""
        deadline = time.monotonic() + SETTLE_TIME
        before = self._reference.pose()
        while time.monotonic() < deadline:
            self.pause(STILL_TIME)
            now = self._reference.pose()
            if np.abs(now - before).max() < STILL:
                return now
            before = now
        raise UserError(
            f'the arm is being moved: {REFERENCE.name} does not come to rest; end whatever else '
            f'publishes {JOINT_TRAJECTORY.name}'
        )

    def _call(self, client: Client, request: Any) -> str:
        """Call a Trigger or SetBool and return its text; raises UserError when it refuses."""
        name = client.srv_name
        if not self._wait(client.service_is_ready, SERVICE_TIMEOUT):
            raise UserError(
                f'no service {name} after {SERVICE_TIMEOUT:g} s: its node is not there'
            )
        future = client.call_async(request)
        if not self._wait(future.done, SERVICE_TIMEOUT):
            raise UserError(f'{name} gave no answer within {SERVICE_TIMEOUT:g} s')
        response = future.result()
        if not response.success:
            raise UserError(f'{name}: {response.message}')
        return response.message

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Return whether `condition` came true within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self._fault and not self._fault_raised:
                self._fault_raised = True  # once: what follows is the way out of it
                raise ArmFault(self._fault)
            if len(self._ports) > 1 and not self._moving:
                # Each would take our trajectories: one may be a real arm, and this a simulation.
                raise OtherDriver(
                    f'there are drivers of {" and ".join(sorted(self._ports))}: end the others, '
                    'or give each graph a ROS_DOMAIN_ID of its own'
                )
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if self._stopping.wait(min(left, POLL_PERIOD)):
                raise Stopped
        return True


def _message(move: Move) -> JointTrajectory:
    """Return `move` with a stamp of zero, which means from now on."""
    message = JointTrajectory(joint_names=list(JOINTS))
    for moment, position, velocity in zip(
        move.times, move.positions, move.velocities, strict=True
    ):
        seconds, rest = divmod(round(moment * 1e9), 1_000_000_000)
        message.points.append(
            JointTrajectoryPoint(
                positions=position.tolist(),
                velocities=velocity.tolist(),
                time_from_start=Duration(sec=seconds, nanosec=rest),
            )
        )
    return message


def main() -> None:
    run(Rollout)


if __name__ == '__main__':
    main()
