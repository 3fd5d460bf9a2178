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
    port: str = parameter('', "The follower's port: by it its faults are known on /diagnostics")
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
        self._torque = {
            Arm.FOLLOWER: self.client(ARM_TORQUE),
            Arm.LEADER: self.client(LEADER_TORQUE),
        }
        self._switching: Future | None = None
        self._asked = 0.0  # time.monotonic() of that request
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

    def _lead(self, message: JointState) -> None:
        stamp = to_nanoseconds(message.header.stamp)
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
        now = time.time_ns()
        if self._teleop.state is State.FOLLOWING:
            self._teleop.hold(now)  # hundreds a second, not worth the decoding
            return
        message = deserialize_message(data, JointState)
        try:
            self._teleop.hold(now, pose(message.name, message.position))
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
            if status.name == 'driver/arm' and said.get('port') == self._settings.port:
                state = said.get('state')
                fault = said.get('reason', '') if state == 'fault' else ''
                self._teleop.report(state != 'disconnected', fault)

    def _enable(self, request: SetBool.Request) -> tuple[bool, str]:
        self._teleop.enable(request.data)
        return True, f'teleop is {self._teleop.state}'

    def _tick(self) -> None:
        now = time.time_ns()
        self._teleop.check(now)
        switch = self._teleop.next_switch(now)
        if switch is not None and self._switching is None:
            self._ask(switch)
        elif switch is not None and time.monotonic() - self._asked > _PATIENCE:
            self._switching = None
            self._teleop.switched(switch, f'no answer within {_PATIENCE:g} s')
        self._log()

    def _ask(self, switch: Switch) -> None:
        client = self._torque[switch.arm]
        if client.service_is_ready():
            self._asked = time.monotonic()
            self._switching = client.call_async(SetBool.Request(data=switch.on))
            self._switching.add_done_callback(lambda done: self._switched(switch, done))

    def _switched(self, switch: Switch, done: Future) -> None:
        if done is self._switching:  # and not one that was given up
            self._switching = None
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
