"""The arm as a script has it: every method blocks, and raises what interrupts the script."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.client import Client
from rclpy.duration import Duration
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_description.joints import GRIPPER, JOINTS
from so101_episodes.move import Move, plan
from so101_episodes.powered_arm import ArmFault, Interrupted, OtherDriver, Pose, Stopped
from so101_episodes.stream import HORIZON, LEAD, PERIOD, bit
from so101_node.error import UserError
from so101_node.joint_positions import joint_positions
from so101_node.mailbox import Mailbox
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds, to_nanoseconds
from so101_node.topics import (
    ARM_TORQUE,
    DIAGNOSTICS,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    REFERENCE,
    Topic,
)

SERVICE_TIMEOUT = 30.0  # s; ending an episode waits for the disk
SILENCE = 1.0  # s without a message, after which the arm does not answer
STILL = 0.01  # rad within STILL_TIME: the reference stands still
STILL_TIME = 0.1  # s
SETTLE_TIME = 2.0  # s from the end of a move to the arm's being there
POLL_PERIOD = 0.02  # s
ATTEMPTS = 3  # of a move to a pose
LISTEN_TIME = 1.5  # s; a driver is heard on /diagnostics once a second
ASTRAY = 0.2  # rad from where the reference was sent; the driver is 20 ms behind, 0.06 at 3 rad/s
CLOCK_JUMP = 0.05  # s; less than LEAD, so that no trajectory is due when it is not meant to be


class Latest:
    """The last message of a joint topic, decoded when it is asked for, and when it came.

    200 messages a second cost a twentieth of a core, so nobody is called for them. And no
    subscription comes and goes: only the executor's thread could safely end one.
    """

    def __init__(self, node: Node, topic: Topic) -> None:
        self._name = topic.name
        newest = QoSProfile(depth=1, reliability=topic.qos.reliability)
        self._mailbox = Mailbox(node, topic._replace(qos=newest), raw=True)
        self._last = (b'', -np.inf)

    @property
    def received(self) -> float:
        """When it came, s of time.monotonic(); long ago if none has."""
        for data, info in self._mailbox.take():
            age = max(0.0, (time.time_ns() - info['received_timestamp']) * 1e-9)
            self._last = data, time.monotonic() - age
        return self._last[1]

    def pose(self) -> Pose:
        """Return the joints; raises UserError when they are old, or not the robot's."""
        return self.stamped_pose()[0]

    def stamped_pose(self) -> tuple[Pose, int]:
        """Return also the stamp, nanoseconds."""
        if time.monotonic() - self.received > SILENCE:
            raise UserError(f'the arm does not answer: {self._name} is silent; see the driver')
        message = deserialize_message(self._last[0], JointState)
        stamp = to_nanoseconds(message.header.stamp)
        return joint_positions(message.name, message.position), stamp


class ArmClient:
    """The Arm of powered_arm.py, over a node of whoever has a script for it.

    The script runs in a thread of its own, which `run` starts. `port`: the driver's, by which it
    is known on /diagnostics; empty: any. `limits`: lower and upper, radians, as the driver says
    them; None before it has. `fault`: why the driver holds the arm, or empty.
    """

    def __init__(self, node: Node, port: str, arm_timeout: float, tolerance: float) -> None:
        """`tolerance`: radians that a joint may be off after a move, but for the gripper."""
        self.limits: tuple[Pose, Pose] | None = None
        self.fault = ''
        self._node = node
        self._port, self._timeout, self._tolerance = port, arm_timeout, tolerance
        self._measured = Latest(node, JOINT_STATES)
        self._reference = Latest(node, REFERENCE)
        self._trajectory = node.publisher(JOINT_TRAJECTORY)
        self._torque = node.client(ARM_TORQUE)
        node.subscribe(DIAGNOSTICS, self._take_health)
        self._ports: set[str] = set()  # of the drivers heard on /diagnostics
        self._moving = False  # from then on, this is the graph that others have to leave alone
        self._fault_raised = False
        self._stopping = threading.Event()
        self._script: Future[None] | None = None

    def run(self, script: Callable[[], None]) -> None:
        """Start the script; its end is the node's, its error the node's, too."""
        thread = ThreadPoolExecutor(1, thread_name_prefix='script')
        self._script = thread.submit(script)
        thread.shutdown(wait=False)
        self._script.add_done_callback(self._scripted)

    def stop(self) -> None:
        """Let whatever the script waits for raise Stopped, a moving arm brake, the script end.

        The torque stays; it goes off when the driver ends.
        """
        self._stopping.set()
        if self._script is not None:
            wait([self._script], timeout=1.0)

    def wait_for_arm(self) -> None:
        missing = {
            f'driver of {self._port or "any port"}': (
                lambda: self._port in self._ports if self._port else bool(self._ports)
            ),
            f'service {ARM_TORQUE.name}': self._torque.service_is_ready,
            f'messages on {JOINT_STATES.name}': lambda: self._measured.received > 0,
            f'a subscriber of {JOINT_TRAJECTORY.name}': (
                lambda: self._trajectory.get_subscription_count() > 0
            ),
        }
        if not self.wait(lambda: all(there() for there in missing.values()), self._timeout):
            names = ', '.join(name for name, there in missing.items() if not there())
            raise UserError(
                f'no arm after {self._timeout:g} s: there is no {names}; see the driver'
            )
        self.pause(LISTEN_TIME)  # another driver would be heard by now

    def torque(self, on: bool) -> None:
        self._moving = True
        self.call(self._torque, ARM_TORQUE.type.Request(data=on))
        since = time.monotonic()
        if on and not self.wait(lambda: self._reference.received > since, SILENCE):
            raise UserError(f'torque is on, but {REFERENCE.name} is silent; see the driver')

    def move(self, goal: Pose) -> None:
        """Move from where the arm is held to `goal`, and see that it got there.

        The gripper is not looked at: it may hold something. A motion that was interrupted, as when
        the servos did not answer for a moment, is begun again from where the arm stands.
        """
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                self.follow(plan(self._still_reference(), goal))
                self._check_arrival(goal)
                return
            except Interrupted:
                if not attempts_left:
                    raise

    def follow(self, move: Move, advance: Callable[[float], None] = lambda _: None) -> int:
        """Move an arm that stands at the start of `move`; return when it began, nanoseconds.

        It is sent bit by bit: a node that is killed leaves the arm moving for a second at most.
        When the script is stopped the arm brakes at once. `advance` is told the seconds done.
        Raises UserError when the arm is not where it was sent, or this computer is too busy.
        """
        clock = _Clock()
        begin, end = 0.0, HORIZON
        try:
            self._send(clock, bit(move, begin, end))
            # Also while the last bit runs: a driver may take a silent sender for a dead one.
            while (left := move.duration - PERIOD - clock.now()) > 0:
                self.pause(min(begin + PERIOD - LEAD - clock.now(), left))
                advance(clock.now())
                begin = clock.now() + LEAD
                if begin > end < move.duration:
                    raise Interrupted(
                        f'the arm was stopped: this computer was held up for {begin - end:.1f} s '
                        'longer than the arm can wait; end what keeps it busy'
                    )
                self._check_way(move, clock)
                end = begin + HORIZON
                self._send(clock, bit(move, begin, end))
            self.pause(move.duration - clock.now())
            advance(move.duration)
        except Stopped:
            begin = clock.now() + LEAD
            self._send(clock, bit(move, begin, begin))
            self._trajectory.wait_for_all_acked(Duration(seconds=0.3))
            raise
        return clock.start

    def pause(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def wait_for_clearance(self) -> None:
        while self.fault:
            if self._stopping.wait(POLL_PERIOD):
                raise Stopped

    def call(self, client: Client, request: Any) -> str:
        """Call a Trigger or SetBool and return its text; raises UserError when it refuses."""
        name = client.srv_name
        if not self.wait(client.service_is_ready, SERVICE_TIMEOUT):
            raise UserError(
                f'no service {name} after {SERVICE_TIMEOUT:g} s: its node is not there'
            )
        future = client.call_async(request)
        if not self.wait(future.done, SERVICE_TIMEOUT):
            raise UserError(f'{name} gave no answer within {SERVICE_TIMEOUT:g} s')
        response = future.result()
        if not response.success:
            raise UserError(f'{name}: {response.message}')
        return response.message

    def wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Return whether `condition` came true within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self.fault and not self._fault_raised:
                self._fault_raised = True  # once: what follows is the way out of it
                raise ArmFault(self.fault)
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

    def _take_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name != 'driver/arm':
                continue
            said = {pair.key: pair.value for pair in status.values}
            self._ports.add(said.get('port', ''))
            if said.get('port') != (self._port or said.get('port')):
                continue
            self.fault = said.get('reason', '') if said.get('state') == 'fault' else ''
            self._fault_raised = self._fault_raised and bool(self.fault)
            self.limits = _limits(said.get('lower_rad', ''), said.get('upper_rad', ''))

    def _scripted(self, script: Future[None]) -> None:
        error = script.exception()
        self._node.end(None if isinstance(error, Stopped) else error)

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

    def _check_arrival(self, goal: Pose) -> None:
        def errors() -> Pose:
            return np.abs(np.delete(self._measured.pose() - goal, GRIPPER))

        if self.wait(lambda: bool((errors() <= self._tolerance).all()), SETTLE_TIME):
            return
        worst = int(np.argmax(errors()))
        sent = np.delete(self._reference.pose() - goal, GRIPPER)
        sent_there = bool((np.abs(sent) < STILL).all())
        raise (UserError if sent_there else Interrupted)(
            f'the arm did not arrive: {JOINTS[worst]} is {np.rad2deg(errors()[worst]):.1f} '
            f'degrees off, {np.rad2deg(self._tolerance):.1f} are allowed (home_tolerance); is '
            'something in its way, or was the trajectory rejected? See the driver'
        )

    def _check_way(self, move: Move, clock: '_Clock') -> None:
        reference, stamp = self._reference.stamped_pose()
        off = np.abs(reference - move.at((stamp - clock.start) * 1e-9))
        if off.max() > ASTRAY:
            worst = int(np.argmax(off))
            raise Interrupted(
                f'the arm was stopped: {JOINTS[worst]} was {np.rad2deg(off[worst]):.1f} degrees '
                'from where it was sent; does something else move the arm, or did the driver '
                'refuse it? See the driver'
            )

    def _send(self, clock: '_Clock', points: Move) -> None:
        first = points.times[0]
        message = JointTrajectory(joint_names=list(JOINTS))
        message.header.stamp = from_nanoseconds(clock.start + round(first * 1e9))
        message.points = [
            JointTrajectoryPoint(
                positions=position.tolist(),
                velocities=velocity.tolist(),
                time_from_start=Duration(nanoseconds=round((moment - first) * 1e9)).to_msg(),
            )
            for moment, position, velocity in zip(
                points.times, points.positions, points.velocities, strict=True
            )
        ]
        self._trajectory.publish(message)


class _Clock:
    """Seconds of a motion that begins LEAD from now; `start`: when, nanoseconds of system time.

    It is paced by the monotonic clock and stamped by the system's: they have to agree.
    """

    def __init__(self) -> None:
        self._zero = time.monotonic() + LEAD
        self.start = time.time_ns() + round(LEAD * 1e9)

    def now(self) -> float:
        """Return the seconds since the start; raises UserError when the system clock jumped."""
        now = time.monotonic() - self._zero
        jump = (time.time_ns() - self.start) * 1e-9 - now
        if abs(jump) > CLOCK_JUMP:
            raise Interrupted(
                f'the arm was stopped: the system clock jumped by {jump:.3f} s, by which it was '
                'moved; start again'
            )
        return now


def _limits(lower: str, upper: str) -> tuple[Pose, Pose] | None:
    """Return the limits, six numbers each, as the driver says them; None if it does not."""
    try:
        rows = np.array([[float(text) for text in row.split()] for row in (lower, upper)])
    except ValueError:
        return None
    if rows.shape != (2, len(JOINTS)) or not np.isfinite(rows).all():
        return None
    return rows[0], rows[1]
