"""The driver: the arm on its servo bus, as topics and services."""

from array import array
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from numpy.typing import NDArray
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from so101_description.joints import JOINTS
from so101_driver.arm import Arm, State
from so101_driver.calibration import load
from so101_driver.control_loop import ControlLoop
from so101_driver.health import Health
from so101_driver.servo_state import ServoStates
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
    calibration: str = parameter('', "Path of the arm's calibration file, as LeRobot writes it")
    rate: float = parameter(200.0, 'Control cycles per second', low=50, high=500)
    max_velocity: float = parameter(
        3.0, 'Limit of the velocity of every joint, rad/s', low=0.1, high=10
    )


class DriverNode(Node):
    def __init__(self) -> None:
        super().__init__('driver')
        self._settings = declare(self, Parameters)
        if not self._settings.calibration:
            raise UserError(
                "parameter calibration: give the path of the arm's calibration file; LeRobot puts "
                'it at ~/.cache/huggingface/lerobot/calibration/robots/so_follower/<id>.json'
            )
        self._arm = Arm(load(self._settings.calibration), self._settings.max_velocity)
        self._loop = ControlLoop(
            self._arm,
            self._settings.port,
            self._settings.rate,
            self._publish_states,
            self._publish_reference,
        )
        self._states_message = JointState(name=JOINTS)
        self._reference_message = JointState(name=JOINTS)
        self._states = self.publisher(JOINT_STATES)
        self._reference = self.publisher(REFERENCE)
        self.subscribe(JOINT_TRAJECTORY, self._accept)
        self.serve(ARM_TORQUE, self._torque)
        self.serve(ARM_STOP, self._stop)
        self.serve(ARM_CLEAR_FAULT, self._clear_fault)
        self._diagnostics = Diagnostics(self, Health(self._arm, self._loop).statuses)
        self._logged = (State.DISCONNECTED, '')
        self.create_timer(0.1, self._log_state)
        self._thread = ThreadPoolExecutor(1, 'bus')
        self._running: Future[None] | None = None

    def open(self) -> None:
        self._running = self._thread.submit(self._loop.run, self._settings.port_timeout)
        self._running.add_done_callback(lambda _: self.end())

    def close(self) -> None:
        """Wait until torque is off; raises what the bus thread ended with."""
        self._loop.stop()
        if self._running is not None:
            self._running.result()

    def _publish_states(self, answered: int, states: ServoStates) -> None:
        calibration = self._arm.calibration
        message = self._states_message
        message.header.stamp = from_nanoseconds(answered)
        message.position = _doubles(calibration.radians(states.position))
        message.velocity = _doubles(calibration.radians_per_second(states.speed))
        self._states.publish(message)

    def _publish_reference(self, written: int, reference: NDArray, velocity: NDArray) -> None:
        message = self._reference_message
        message.header.stamp = from_nanoseconds(written)
        message.position = _doubles(reference)
        message.velocity = _doubles(velocity)
        self._reference.publish(message)

    def _accept(self, message: JointTrajectory) -> None:
        now = self.get_clock().now().nanoseconds
        try:
            self._loop.command(lambda arm: arm.accept(message, now))
        except UserError as error:
            self.get_logger().warning(f'trajectory refused: {error}')

    def _torque(self, request: SetBool.Request) -> tuple[bool, str]:
        return True, self._loop.set_torque(request.data)

    def _stop(self, _: Trigger.Request) -> tuple[bool, str]:
        self._loop.command(Arm.stop)
        return True, 'stopped until arm/clear_fault'

    def _clear_fault(self, _: Trigger.Request) -> tuple[bool, str]:
        self._loop.command(Arm.clear_fault)
        return True, f'the arm is {self._arm.state}'

    def _log_state(self) -> None:
        current = (self._arm.state, self._arm.fault)
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
