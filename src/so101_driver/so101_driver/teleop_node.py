"""Teleoperation: a leader arm, moved by hand, moves the follower."""

import time
from array import array
from dataclasses import dataclass
from typing import Any

from builtin_interfaces.msg import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_description.joints import JOINTS
from so101_driver.teleop import HORIZON, Arm, Start, State, Switch, Teleop, pose
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.samples import Samples
from so101_node.stamp import to_nanoseconds
from so101_node.topics import (
    ARM_TORQUE,
    DIAGNOSTICS,
    JOINT_TRAJECTORY,
    LEADER_STATES,
    LEADER_TORQUE,
    LEADER_TRAJECTORY,
    REFERENCE,
    TELEOP_ENABLE,
)

# Only the newest state says where an arm is: one that was missed is never waited for, and after a
# pause the motion of before is not played again.
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)

# Seconds to wait for a driver's answer: torque comes on within a second.
_PATIENCE = 5.0

# Seconds that the end waits for the leader's torque to be off: a driver that is still switching it
# on takes one.
_LAST_PATIENCE = 2.0

_TORQUE = {Arm.FOLLOWER: ARM_TORQUE, Arm.LEADER: LEADER_TORQUE}

# What the arms' drivers call themselves on /diagnostics.
_ARMS = {'driver/arm': Arm.FOLLOWER, 'leader/driver/arm': Arm.LEADER}


@dataclass(frozen=True)
class Parameters:
    start: str = parameter(
        Start.FOLLOWER_TO_LEADER.value,
        'Which arm goes to the other before it is followed',
        choices=tuple(Start),
    )
    ramp_velocity: float = parameter(
        0.5, 'Speed of that way, and after each interruption, rad/s', low=0.05, high=3
    )
    port: str = parameter(
        '', "The follower's port, by which its faults are known on /diagnostics; empty: any"
    )
    enabled: bool = parameter(True, 'Start at once, not only with teleop/enable')


class TeleopNode(Node):
    """Nothing waits in its callbacks, and a state of the leader is sent on before all else."""

    def __init__(self) -> None:
        super().__init__('teleop')
        self._settings = declare(self, Parameters)
        self._teleop = Teleop(Start(self._settings.start), self._settings.ramp_velocity)
        # Sent again and again: of a message that is made anew, every field is checked.
        ahead = Duration(nanosec=round(HORIZON * 1e9))
        self._point = JointTrajectoryPoint(time_from_start=ahead)
        self._message = JointTrajectory(joint_names=list(JOINTS), points=[self._point])
        self._outputs = {
            Arm.FOLLOWER: self.publisher(JOINT_TRAJECTORY),
            Arm.LEADER: self.publisher(LEADER_TRAJECTORY),
        }
        self._torque = {arm: self.client(service) for arm, service in _TORQUE.items()}
        self._held: tuple[int, bytes] | None = None  # the newest reference, and when it came
        self._switch: Switch | None = None  # the torque to be switched
        self._since = 0.0  # time.monotonic() from when on it is waited for
        self._asked: Future | None = None
        self._latency = Samples()  # seconds from the stamp of a leader's state to its being sent
        self._sent = 0
        self._counted = (time.monotonic(), 0)
        self._refused = 0
        self._last_refusal = ''
        self._logged = (State.OFF, '', 0)
        self.subscribe(LEADER_STATES._replace(qos=_NEWEST), self._lead)
        self.subscribe(REFERENCE._replace(qos=_NEWEST), self._hold, raw=True)
        self.subscribe(DIAGNOSTICS, self._take_health, raw=True)
        self.serve(TELEOP_ENABLE, self._enable)
        self._diagnostics = Diagnostics(self, self._statuses)
        self.create_timer(0.05, self._tick)

    def open(self) -> None:
        self._teleop.enable(self._settings.enabled)

    def close(self) -> None:
        """Do not leave the leader stiff, unless its driver is gone or does not answer."""
        self._teleop.enable(False)
        end = time.monotonic() + _LAST_PATIENCE
        while self.executor and (switch := self._teleop.next_switch(time.time_ns())):
            if time.monotonic() > end or not self._torque[switch.arm].service_is_ready():
                self.get_logger().warning(f'the torque of the {switch.arm} may still be on')
                return
            self.executor.spin_once(timeout_sec=0.1)

    def _lead(self, message: JointState) -> None:
        stamp = to_nanoseconds(message.header.stamp)
        if self._teleop.state is not State.FOLLOWING:
            self._take_reference()
        try:
            leader = pose(message.name, message.position)
            command = self._teleop.lead(time.time_ns(), stamp, leader)
        except UserError as error:
            self._refuse(f'{LEADER_STATES.name} refused: {error}')
            return
        if command is not None:
            self._point.positions = array('d', command.pose.tobytes())
            self._outputs[command.arm].publish(self._message)
            self._latency.add((time.time_ns() - stamp) * 1e-9)
            self._sent += 1

    def _hold(self, data: bytes) -> None:
        # Hundreds a second: while it follows, only some are worth the decoding.
        self._held = (time.time_ns(), data)

    def _take_reference(self) -> None:
        if self._held is None:
            return
        (then, data), self._held = self._held, None
        message = deserialize_message(data, JointState)
        try:
            self._teleop.hold(then, pose(message.name, message.position))
        except UserError as error:
            self._refuse(f'{REFERENCE.name} refused: {error}')

    def _refuse(self, text: str) -> None:
        self._refused += 1
        self._last_refusal = text
        self.get_logger().warning(text, throttle_duration_sec=1.0)

    def _take_health(self, data: bytes) -> None:
        if b'driver/arm' not in data:  # that of the other nodes is not worth the decoding
            return
        for status in deserialize_message(data, DIAGNOSTICS.type).status:
            said = {pair.key: pair.value for pair in status.values}
            arm, port = _ARMS.get(status.name), said.get('port')
            if arm is Arm.LEADER or (arm and port == (self._settings.port or port)):
                self._teleop.report(arm, said.get('state', ''), said.get('reason', ''))
                if arm is Arm.FOLLOWER and 'lower_rad' in said:
                    self._bound(said['lower_rad'], said.get('upper_rad', ''))

    def _bound(self, lower: str, upper: str) -> None:
        try:
            rows = [pose(JOINTS, [float(v) for v in text.split()]) for text in (lower, upper)]
        except (ValueError, UserError) as error:
            self._refuse(f'{DIAGNOSTICS.name} refused: limits of the follower: {error}')
        else:
            self._teleop.bound(*rows)

    def _enable(self, request: SetBool.Request) -> tuple[bool, str]:
        self._teleop.enable(request.data)
        return True, f'teleop is {self._teleop.state}'

    def _tick(self) -> None:
        self._take_reference()
        now = time.time_ns()
        self._teleop.check(now)
        switch = self._teleop.next_switch(now)
        if switch != self._switch:  # what was asked before may be answered: nobody listens
            self._switch, self._since, self._asked = switch, time.monotonic(), None
        if switch is not None:
            self._ask(switch)
        self._log()

    def _ask(self, switch: Switch) -> None:
        """Ask for a torque, and again, with a word about it, when there is no answer."""
        client, name = self._torque[switch.arm], _TORQUE[switch.arm].name
        if time.monotonic() - self._since > _PATIENCE:
            driver = f'the driver of the {switch.arm}'
            self._teleop.unanswered(
                f'{name} is not served: start {driver}'
                if self._asked is None
                else f'{name} has not answered for {_PATIENCE:g} s: see {driver}, or restart it'
            )
            self._since, self._asked = time.monotonic(), None
        if self._asked is None and client.service_is_ready():
            self._since = time.monotonic()
            self._asked = client.call_async(SetBool.Request(data=switch.on))
            self._asked.add_done_callback(lambda done: self._answered(switch, done))

    def _answered(self, switch: Switch, done: Future) -> None:
        if done is self._asked:  # and not one that was given up
            self._switch = self._asked = None
            answer = done.result()
            self._teleop.switched(switch, '' if answer.success else answer.message)

    def _log(self) -> None:
        teleop = self._teleop
        current = (teleop.state, teleop.reason, teleop.interruptions)
        if current == self._logged:
            return
        if teleop.interruptions != self._logged[2]:
            self.get_logger().warning(f'interrupted: {teleop.last_interruption}')
        self._logged = current
        self.get_logger().info(': '.join(filter(None, current[:2])))
        self._diagnostics.publish()

    def _statuses(self) -> list[Status]:
        teleop, (then, sent) = self._teleop, self._counted
        self._counted = (time.monotonic(), self._sent)
        values: dict[str, Any] = {
            'state': teleop.state,
            'reason': teleop.reason,
            'leader_age_ms': teleop.age(time.time_ns()) * 1e3,
            'rate_hz': (self._sent - sent) / (self._counted[0] - then),
            'latency_p50_ms': self._latency.percentile(50) * 1e3,
            'latency_p99_ms': self._latency.percentile(99) * 1e3,
            'interruptions': teleop.interruptions,
            'last_interruption': teleop.last_interruption,
            'refused': self._refused,
            'last_refusal': self._last_refusal,
        }
        level = Level.WARN if teleop.reason else Level.OK
        return [Status('teleop/arms', level, teleop.reason or teleop.state, values)]


def main() -> None:
    run(TeleopNode)


if __name__ == '__main__':
    main()
