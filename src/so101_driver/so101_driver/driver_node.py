"""The driver: the arm on its servo bus, as topics and services."""

import time
from array import array
from concurrent import futures
from dataclasses import dataclass

from numpy.typing import NDArray
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from so101_description.joints import JOINTS
from so101_driver.arm import Arm, Bounds, State
from so101_driver.calibration import Role
from so101_driver.calibration_file import find, load
from so101_driver.control_loop import ControlLoop
from so101_driver.health import Health
from so101_driver.monitor import SILENCE
from so101_driver.trajectory import Unsound, parse
from so101_node.diagnostics import Diagnostics
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.stamp import from_nanoseconds
from so101_node.topics import (
    ARM_CLEAR_FAULT,
    ARM_STOP,
    ARM_TORQUE,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    REFERENCE,
)


@dataclass(frozen=True)
class Parameters:
    port: str = parameter('/dev/ttyACM0', 'Serial port of the servo bus')
    port_timeout: float = parameter(
        2.0, 'Seconds to wait at the start for the port to appear', low=0, high=600
    )
    calibration: str = parameter(
        '', "The arm's calibration, as LeRobot writes it: its id, or a path; empty: the only one"
    )
    role: str = parameter(
        'follower',
        'Where a calibration id is looked up: among followers or leaders',
        choices=('follower', 'leader'),
    )
    write_eprom: bool = parameter(
        False, 'Write the calibration and the settings into servos that differ from them'
    )
    rate: float = parameter(200.0, 'Control cycles per second', low=50, high=500)
    max_velocity: float = parameter(
        3.0, 'Limit of the velocity of every joint, rad/s', low=0.1, high=5
    )
    max_acceleration: float = parameter(
        40.0, 'Limit of the acceleration of every joint, rad/s^2', low=1, high=200
    )
    max_jump: float = parameter(
        1.0,
        'Refuse a trajectory that leaps by more than this, rad, beyond what max_velocity allows',
        low=0.05,
        high=10,
    )
    command_timeout: float = parameter(
        0.0,
        'Seconds without a new trajectory after which a moving arm slows down and holds; 0: never',
        low=0,
        high=60,
    )
    allow_partial_joints_goal: bool = parameter(
        False, 'Take trajectories that name some joints only; the others hold'
    )


class DriverNode(Node):
    def __init__(self) -> None:
        super().__init__('driver')
        self._settings = settings = declare(self, Parameters)
        role: Role = 'leader' if settings.role == 'leader' else 'follower'
        path = find(settings.calibration, role)
        bounds = Bounds(
            settings.max_velocity,
            settings.max_acceleration,
            settings.max_jump,
            settings.command_timeout,
        )
        self._arm = Arm(load(path), bounds)
        self._loop = ControlLoop(
            self._arm,
            settings.port,
            settings.rate,
            self._publish_states,
            self._publish_reference,
            role,
            settings.write_eprom,
        )
        self._states_message = JointState(name=JOINTS)
        self._reference_message = JointState(name=JOINTS)
        self._states = self.publisher(JOINT_STATES)
        self._reference = self.publisher(REFERENCE)
        self.subscribe(JOINT_TRAJECTORY, self._accept)
        self.serve(ARM_TORQUE, self._torque)
        self.serve(ARM_STOP, self._stop)
        self.serve(ARM_CLEAR_FAULT, self._clear_fault)
        self._diagnostics = Diagnostics(
            self, Health(self._arm, self._loop, settings.rate, path).statuses
        )
        self._logged = (State.DISCONNECTED, '')
        self._tick: Future = Future()  # done at the next look
        self.create_timer(0.1, self._look)
        self._thread = futures.ThreadPoolExecutor(1, 'bus')
        self._running: futures.Future[None] | None = None

    def open(self) -> None:
        self._running = self._thread.submit(self._loop.run, self._settings.port_timeout)
        self._running.add_done_callback(lambda _: self.end())

    def close(self) -> None:
        """Wait until torque is off; raises what the bus thread ended with."""
        self._loop.stop()
        if self._running is not None:
            self._running.result()

    def _publish_states(self, answered: int, position: NDArray, speed: NDArray) -> None:
        message = self._states_message
        message.header.stamp = from_nanoseconds(answered)
        message.position = _doubles(position)
        message.velocity = _doubles(speed)
        self._states.publish(message)

    def _publish_reference(self, written: int, reference: NDArray, velocity: NDArray) -> None:
        message = self._reference_message
        message.header.stamp = from_nanoseconds(written)
        message.position = _doubles(reference)
        message.velocity = _doubles(velocity)
        self._reference.publish(message)

    def _accept(self, message: JointTrajectory) -> None:
        now = time.time_ns()
        try:
            trajectory = parse(message, now, partial=self._settings.allow_partial_joints_goal)
        except UserError as error:
            text, unsound = str(error), isinstance(error, Unsound)
            self._loop.command(lambda arm: arm.refuse(text, unsound))
            self._log_refusal(text)
            return
        try:
            self._loop.command(lambda arm: arm.accept(trajectory, now))
        except UserError as error:
            self._log_refusal(str(error))

    def _log_refusal(self, text: str) -> None:
        # A sender that does not listen sends hundreds a second.
        self.get_logger().warning(f'trajectory refused: {text}', throttle_duration_sec=1.0)

    async def _torque(self, request: SetBool.Request) -> tuple[bool, str]:
        text = self._loop.switch_torque(request.data)
        # Other services are served meanwhile, arm/stop above all.
        while self._arm.ramping:
            await self._tick
        self._loop.check_torque(request.data)
        return True, text

    def _stop(self, _: Trigger.Request) -> tuple[bool, str]:
        self._loop.command(Arm.stop)
        return True, 'stopped until arm/clear_fault'

    async def _clear_fault(self, _: Trigger.Request) -> tuple[bool, str]:
        # An arm that moves slows down; a servo that was not heard may be again.
        deadline = time.monotonic() + SILENCE
        while self._arm.fault and (
            self._arm.moving or (self._arm.paused and time.monotonic() < deadline)
        ):
            await self._tick
        self._loop.command(Arm.clear_fault)
        return True, f'the arm is {self._arm.state}'

    def _look(self) -> None:
        tick, self._tick = self._tick, Future()
        tick.set_result(None)
        state = self._arm.state
        # Whether an arm with torque moves at this instant is for /diagnostics, not for the log.
        current = (State.HOLDING if state is State.ACTIVE else state, self._arm.fault)
        if current != self._logged:
            self._logged = current
            self._diagnostics.publish()  # at once: a script that moves the arm must know
            text = ': '.join(filter(None, current))
            if self._arm.fault:
                self.get_logger().error(text)
            else:
                self.get_logger().info(text)


def _doubles(values: NDArray) -> array:
    """Make the array that message fields take as it is; of anything else they check each value."""
    return array('d', values.tobytes())


def main() -> None:
    run(DriverNode)


if __name__ == '__main__':
    main()
