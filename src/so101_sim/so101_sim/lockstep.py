"""The world, the servos and the driver's arm, advanced together as fast as they compute; pure.

What a graph of nodes does in real time, without its clock, its bus and its processes: the driver's
own state machine reads the servos' own registers and writes their goals, 200 times a simulated
second. Times are int nanoseconds from the start.
"""

import mujoco

from so101_driver import torque_ramp
from so101_driver.arm import Arm as DriverArm
from so101_driver.arm import Bounds, Rating, State
from so101_driver.calibration import Calibration, Radians
from so101_driver.monitor import Reading
from so101_driver.registers import (
    FULL_ADDRESS,
    FULL_SIZE,
    GOAL_POSITION,
    MAX_TORQUE,
    OVERLOAD_TORQUE,
    STATE_ADDRESS,
    STATE_SIZE,
    TORQUE_ENABLE,
    TORQUE_LIMIT,
)
from so101_driver.servo_state import ServoStates
from so101_driver.torque_ramp import TorqueRamp
from so101_driver.trajectory import Trajectory
from so101_node.error import UserError
from so101_sim.arm import Arm
from so101_sim.scene import TIMESTEP, coordinate_names, cube_place
from so101_sim.world import Floats, World

# The driver's node's own defaults, which cannot be had without ROS: a test holds these to them.
BOUNDS = Bounds(max_velocity=3.0, max_acceleration=40.0, max_jump=1.0, command_timeout=0.0)
_CYCLE = 5_000_000
_STEP = round(TIMESTEP * 1e9)


class Lockstep:
    """An arm that is held at home, and the cube where a seed puts it.

    `time` is that of the state, `position` what the driver measured last and `reference` what the
    servos were told then, radians, shape (6,).
    """

    def __init__(self, model: mujoco.MjModel, calibration: Calibration, seed: int) -> None:
        self.time = 0
        self._world = World(model, seed)
        self._servos = Arm(calibration, self._world.angles)
        self._driver = DriverArm(calibration, BOUNDS)
        self._switch_on(calibration)

    @property
    def position(self) -> Radians:
        return self._driver.position

    @property
    def reference(self) -> Radians:
        assert self._driver.motion is not None
        return self._driver.motion.position

    @property
    def positions(self) -> Floats:
        """Every coordinate of the world, see scene.coordinate_names."""
        return self._world.positions

    @property
    def cube(self) -> tuple[tuple[float, float], float]:
        """Where the cube is, x and y (m), and its turn about the vertical (rad)."""
        return cube_place(coordinate_names(), self.positions.tolist())

    @property
    def success(self) -> bool:
        return self._world.success()

    def send(self, trajectory: Trajectory) -> None:
        """Give the driver a trajectory. Raises UserError when it is refused."""
        self._driver.accept(trajectory, self.time)

    def advance(self, until: int) -> None:
        """Advance to the last step before a time. Raises UserError when the driver faults."""
        while self.time + _STEP <= until:
            if self.time % _CYCLE < _STEP:
                self._cycle()
            drive = self._servos.exchange(
                self._world.angles, self._world.speeds, self._world.torques, TIMESTEP
            )
            self._world.step(drive.targets, drive.strengths)
            self.time += _STEP

    def _switch_on(self, calibration: Calibration) -> None:
        """Switch the torque on as the driver does."""
        servos, driver = self._servos.servos, self._driver
        states = self._states(FULL_ADDRESS, FULL_SIZE)
        driver.connect(
            self.time,
            states,
            [
                Rating(
                    MAX_TORQUE.decode(servo.read(MAX_TORQUE.address, MAX_TORQUE.size)),
                    OVERLOAD_TORQUE.decode(
                        servo.read(OVERLOAD_TORQUE.address, OVERLOAD_TORQUE.size)
                    )
                    * 10,
                )
                for servo in servos
            ],
        )
        # It holds the arm already: a limp one would fold.
        begun = self.time - round(torque_ramp.SECONDS * 1e9)
        goals = calibration.inside(states.position)
        ramp = TorqueRamp(begun, states.position, goals)
        for servo, goal in zip(servos, goals, strict=True):
            servo.write(GOAL_POSITION.address, GOAL_POSITION.encode(goal))
            servo.write(TORQUE_ENABLE.address, TORQUE_ENABLE.encode(1))
        driver.torque_on(self.time, ramp)
        self.advance(self.time + _CYCLE)

    def _cycle(self) -> None:
        driver, servos = self._driver, self._servos.servos
        driver.sense(self.time, Reading(self._states(STATE_ADDRESS, STATE_SIZE)))
        if driver.state is State.FAULT:
            raise UserError(driver.fault)
        command = driver.command(self.time)
        assert command is not None
        for joint, goal in command.goals.items():
            servos[joint].write(GOAL_POSITION.address, GOAL_POSITION.encode(goal))
        for joint, limit in command.torque_limits.items():
            servos[joint].write(TORQUE_LIMIT.address, TORQUE_LIMIT.encode(limit))
        driver.written(command)

    def _states(self, address: int, size: int) -> ServoStates:
        return ServoStates([servo.read(address, size) for servo in self._servos.servos])
