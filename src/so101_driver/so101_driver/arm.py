"""The arm's state machine: what the servos are told next, and when nothing; pure.

disconnected -> idle (torque off) -> active (it moves) / holding -> fault (latched).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS
from so101_driver.calibration import Calibration
from so101_driver.gripper import Gripper
from so101_driver.limits import Limits, Motion
from so101_driver.monitor import OWN_TORQUE, Monitor, Reading, Trouble
from so101_driver.servo_fault import Reaction, reported
from so101_driver.servo_state import Command as ServoCommand
from so101_driver.servo_state import ServoStates
from so101_driver.torque_ramp import TorqueRamp
from so101_driver.trajectory import Schedule, Trajectory, Unsound
from so101_node.error import UserError

Array = NDArray[np.float64]

# Radians. A limp joint rests against its stop, a little outside the range that was measured.
TOLERANCE = np.deg2rad(2.0)

# Radians. When a fault is cleared, a joint further than this from its reference was moved by hand
# or gave way: it stays where it is. Droop under load is 2 to 3 degrees.
DISPLACED = np.deg2rad(5.0)

_JOINTS = range(len(JOINTS))
_STILL = np.zeros(len(JOINTS))


class State(StrEnum):
    DISCONNECTED = 'disconnected'
    IDLE = 'idle'
    ACTIVE = 'active'
    HOLDING = 'holding'
    FAULT = 'fault'


@dataclass(frozen=True)
class Bounds:
    """How fast the arm may go and what it refuses: rad/s, rad/s^2, rad, s (0 = no timeout)."""

    max_velocity: float
    max_acceleration: float
    max_jump: float
    command_timeout: float


@dataclass(frozen=True)
class Rating:
    """What a servo's EPROM says of its torque, in 0.1 %: its limit, and where overload begins."""

    torque: int
    overload: int


@dataclass(frozen=True)
class Command:
    """What to write: ticks and torque limits (0.1 %) by joint; first of all, who goes limp."""

    goals: dict[int, int]
    torque_limits: dict[int, int] = field(default_factory=dict)
    release: tuple[int, ...] = ()


class Arm:
    """Times are int nanoseconds of system time. Not thread-safe.

    `motion` is what the servos were last told, before it is rounded to ticks, and None while
    torque is off; `powered` are the joints that have torque; `states` the last measurement, of
    which `position` and `speed` are in radians. In a fault with torque on the reference slows down
    to a stop and stays: the servos hold the arm.
    """

    def __init__(self, calibration: Calibration, bounds: Bounds) -> None:
        self.calibration = calibration
        self.bounds = bounds
        self.limits = Limits(
            calibration.lower, calibration.upper, bounds.max_velocity, bounds.max_acceleration
        )
        self.connected = False
        self.fault = ''  # the reason, and what to do
        self.motion: Motion | None = None
        self.powered = [False] * len(JOINTS)
        self.states: ServoStates | None = None
        self.position: Array = _STILL  # measured, rad
        self.speed: Array = _STILL  # measured, rad/s
        self.paused = False  # too few answers to move on
        self.received = 0  # trajectories
        self.rejected = 0
        self.started = 0  # whose first goal was written to the bus
        self.replaced = 0  # by a later one before they began: both came between two cycles
        self.last_rejection = ''
        self.gripper = Gripper(0, 0)
        self._ratings = [Rating(0, 0)] * len(JOINTS)
        self._monitor = Monitor()
        self._absent: list[int] = []  # joints that were too long not heard
        self._schedule = Schedule(bounds.max_velocity, bounds.max_jump)
        self._ramp: TorqueRamp | None = None
        self._troubled: set[tuple[int, str]] = set()  # of which the reaction was taken
        self._release: set[int] = set()
        self._torque_limits = [0] * len(JOINTS)  # as last written
        self._starting = False
        self._stepped = 0
        self._commanded = 0
        self._paused_since = 0

    @property
    def state(self) -> State:
        if self.fault:
            return State.FAULT
        if not self.connected:
            return State.DISCONNECTED
        if self.motion is None:
            return State.IDLE
        return State.ACTIVE if self._schedule or self.moving else State.HOLDING

    @property
    def moving(self) -> bool:
        """The reference moves; in a fault it slows down."""
        return self.motion is not None and bool(self.motion.velocity.any())

    @property
    def torque(self) -> bool:
        return self.motion is not None

    @property
    def ramping(self) -> bool:
        """Torque is coming on; until it is there the arm stands still."""
        return self._ramp is not None

    # What happens on the bus

    def connect(self, now: int, states: ServoStates, ratings: Sequence[Rating]) -> None:
        """The servos were found; `states` has their commands.

        Where torque was on when they were lost, it is still on: the adapter was unplugged, and the
        servos hold their last goals. They go on holding, where they are.
        """
        self.connected = True
        self.states = states
        self._ratings = list(ratings)
        self.gripper = Gripper(ratings[GRIPPER].torque, ratings[GRIPPER].overload)
        self._monitor.reset(now)
        self.paused = False
        self._absent = []
        self._stepped = now
        if self.motion is None:
            return
        assert states.commands is not None
        self.powered = [
            powered and bool(command.torque)
            for powered, command in zip(self.powered, states.commands, strict=True)
        ]
        self._torque_limits = [command.torque_limit for command in states.commands]
        if not any(self.powered):
            self.torque_off()
            return
        self._place(_JOINTS, _goals(states.commands))
        self._rest(states)

    def disconnect(self, reason: str) -> None:
        """The servos were lost, for a reason that says what to do; a fault if torque was on."""
        self.connected = False
        if self.motion is not None:
            self.fail(f'{reason}, then arm/clear_fault')
            self.motion = Motion(self.motion.position, _STILL)
            self._ramp = None

    def sense(self, now: int, reading: Reading) -> None:
        """Take a measurement, and find out what is wrong with it."""
        self.states = reading.states
        self.position = positions = self.calibration.radians(reading.states.position)
        self.speed = self.calibration.radians_per_second(reading.states.speed)
        reference = None if self.motion is None else self.motion.position
        troubles = self._monitor.check(now, reading, self.powered, positions, reference)
        if troubles or self._troubled:
            self._react(troubles, reading.states)
            self._settle(reading.states)
        absent = self._monitor.absent(now)
        if self.motion is not None and reading.states.commands is not None:
            # What they held while they heard nothing: they must not leap.
            heard = [joint for joint in self._absent if joint not in absent]
            self._place(heard, _goals(reading.states.commands))
        self._absent = absent
        self._pause(now, bool(absent))
        if reading.states.commands is not None:
            # A limit that was lost on its way is written again.
            for joint in set(_JOINTS) - set(reading.silent):
                self._torque_limits[joint] = reading.states.commands[joint].torque_limit
        if self._ramp is not None:
            self._watch_ramp(now, reading.states.position)
        if self.motion is None:
            return
        self.gripper.sense(
            now,
            float(self.motion.position[GRIPPER]),
            float(positions[GRIPPER]),
            float(self.speed[GRIPPER]),
        )

    def command(self, now: int) -> Command | None:
        """Return what to write now, None for a limp arm. Once it is written, call `written`."""
        release = tuple(self._release)
        self._release.clear()
        if self.motion is None:
            return Command({}, release=release) if release else None
        self._advance(now)
        ticks = self.calibration.ticks(self.motion.position)
        absent = self._monitor.absent(now)
        # A servo without torque must not be given a goal: that may switch its torque on.
        hear = [joint for joint in _JOINTS if self.powered[joint] and joint not in absent]
        limits = self._limits(now, hear)
        return Command({joint: ticks[joint] for joint in hear}, limits, release)

    def written(self, command: Command) -> None:
        """The command reached the servos."""
        for joint, limit in command.torque_limits.items():
            self._torque_limits[joint] = limit
        if self._starting and command.goals:
            self.started += 1
            self._starting = False

    # What people and programs ask for

    def accept(self, trajectory: Trajectory, now: int) -> None:
        """Take a trajectory; raises UserError with the reason if it is refused."""
        self.received += 1
        try:
            if self.fault:
                raise UserError(self.fault)
            if self.motion is None:
                raise UserError('torque is off: switch it on with arm/torque')
            if self._ramp is not None:
                raise UserError('torque is coming on: wait for the answer of arm/torque')
            if self.paused:
                raise UserError('a servo does not answer: the arm waits for it')
            self.replaced += self._schedule.add(trajectory)
            self._commanded = now
        except UserError as error:
            self._reject(str(error))
            if isinstance(error, Unsound):
                self._schedule.clear()
            raise

    def refuse(self, reason: str, unsound: bool) -> None:
        """Count a message that is no trajectory.

        After an `unsound` one, whose numbers no working sender sends, a moving arm slows down and
        holds; after any other it goes on with what it has.
        """
        self.received += 1
        self._reject(reason)
        if unsound:
            self._schedule.clear()

    def stop(self) -> None:
        """Slow down, and hold until the fault is cleared."""
        self.fail('stopped by arm/stop; go on with arm/clear_fault')

    def fail(self, reason: str) -> None:
        """Latch a fault; the first reason stays."""
        self.fault = self.fault or reason
        self._schedule.clear()

    def clear_fault(self) -> None:
        """Leave the fault; raises UserError, saying what to do, while its cause is there."""
        if not self.fault:
            return
        if not self.connected:
            raise UserError('the servos do not answer: check the power supply and the cables')
        if self.states is not None and any(self.states.status):
            raise UserError(_reports(self.states))
        if self.paused:
            raise UserError('a servo does not answer: check its cable')
        if self.motion is not None and not all(self.powered):
            limp = ', '.join(JOINTS[joint] for joint in _JOINTS if not self.powered[joint])
            raise UserError(
                f'{limp} has no torque: support the arm, switch arm/torque off, clear the fault, '
                'and switch arm/torque on again'
            )
        if self.motion is not None and self.states is not None:
            if self.moving:
                raise UserError('the arm is still slowing down: do it again')
            self._rest(self.states)
        self.fault = ''
        self._troubled.clear()  # what is wrong still is a fault again

    def check_torque_on(self, states: ServoStates) -> None:
        """Raise UserError unless torque may come on with these fresh states."""
        if self.fault:
            raise UserError(f'torque stays off: {self.fault}')
        if any(states.status):
            raise UserError(f'torque stays off: {_reports(states)}')
        if outside := self.calibration.outside(states.position, TOLERANCE):
            raise UserError(
                f'torque stays off: {", ".join(outside)} is outside its limits (ticks); '
                'move it inside by hand, or check the calibration'
            )

    def torque_limits(self, part: float) -> list[int]:
        """Return what a part of the full torque is for each servo, in 0.1 %."""
        return [round(rating.torque * part) for rating in self._ratings]

    def torque_on(self, now: int, ramp: TorqueRamp) -> None:
        """Torque is on, gently, with the ramp's goals."""
        self.motion = Motion(self._middles(ramp.goals), _STILL)
        self.powered = [True] * len(JOINTS)
        self._torque_limits = self.torque_limits(ramp.part(now))
        self._ramp = ramp
        self._stepped = now
        self._starting = False
        self._monitor.reset(now)
        self.gripper.reset()

    def torque_off(self) -> None:
        """Torque is off, or about to be."""
        self.motion = None
        self.powered = [False] * len(JOINTS)
        self._ramp = None
        self._schedule.clear()
        self.gripper.reset()

    # Inside

    def _reject(self, reason: str) -> None:
        self.rejected += 1
        self.last_rejection = reason

    def _pause(self, now: int, paused: bool) -> None:
        """Let time stand still for the trajectories while the arm waits for a servo.

        Otherwise it would hurry afterwards to where they have got to.
        """
        if paused and not self.paused:
            self._paused_since = now
        elif self.paused and not paused:
            self._schedule.delay(now - self._paused_since)
        self.paused = paused

    def _advance(self, now: int) -> None:
        assert self.motion is not None
        since, self._stepped = self._stepped, now
        seconds = (now - since) * 1e-9
        if self._silent_sender(now):
            self._reject(
                f'no trajectory for {self.bounds.command_timeout} s: the arm holds; see what '
                'became of its sender'
            )
            self._schedule.clear()
        target = None
        if not (self.fault or self.paused or self._ramp):
            target = self._target(now, since)
        if target is None:
            self.motion = self.limits.stop(self.motion, seconds)
            return
        self.motion, reached = self.limits.follow(self.motion, target, seconds)
        if reached:
            self._schedule.finish(now)

    def _target(self, now: int, since: int) -> Motion | None:
        assert self.motion is not None
        try:
            if due := self._schedule.advance(now, self.motion, since):
                self.replaced += due - 1 + self._starting
                self._starting = True
        except UserError as error:
            self._reject(str(error))
        return self._schedule.target(now)

    def _silent_sender(self, now: int) -> bool:
        timeout = self.bounds.command_timeout
        return bool(timeout and self._schedule and now - self._commanded > timeout * 1e9)

    def _watch_ramp(self, now: int, positions: Sequence[int]) -> None:
        assert self._ramp is not None
        if moved := self._ramp.moved(now, positions):
            names = ', '.join(JOINTS[joint] for joint in moved)
            self._release = set(_JOINTS)
            self.fail(
                f'{names} moved while torque came on, so it is off again: keep the arm still, '
                'then arm/clear_fault; if nobody moved it, calibrate it again'
            )
            self.torque_off()
        elif self._ramp.over(now):
            self._ramp = None

    def _limits(self, now: int, joints: Sequence[int]) -> dict[int, int]:
        """Return the torque limits that differ from those written last."""
        part = self._ramp.part(now) if self._ramp is not None else 1.0
        wanted = self.torque_limits(part)
        wanted[GRIPPER] = min(wanted[GRIPPER], self.gripper.limit)
        return {
            joint: wanted[joint] for joint in joints if wanted[joint] != self._torque_limits[joint]
        }

    def _react(self, troubles: Sequence[Trouble], states: ServoStates) -> None:
        """Take each trouble's reaction, once for as long as it lasts."""
        if self.motion is None:
            # A limp arm is in nobody's way: what it reports only keeps torque off.
            troubles = [trouble for trouble in troubles if trouble.name == OWN_TORQUE]
        fresh = [trouble for trouble in troubles if trouble[:2] not in self._troubled]
        self._release |= {trouble.joint for trouble in troubles if trouble.name == OWN_TORQUE}
        self._troubled = {trouble[:2] for trouble in troubles}
        for trouble in fresh:
            if trouble.reaction is Reaction.RELEASE:
                self.powered[trouble.joint] = False
                self._release.add(trouble.joint)
            elif trouble.reaction is Reaction.YIELD:
                self._place([trouble.joint], states.position)
        if fresh:
            told = _told((trouble.joint, trouble.text) for trouble in fresh)
            self.fail(f'{told}, then arm/clear_fault')

    def _settle(self, states: ServoStates) -> None:
        """Take as reference where joints are that report a fault and gave way.

        A servo that lets go by itself, an overheated one for one, must not leap back when it
        recovers.
        """
        if self.motion is None:
            return
        gave_way = np.abs(self._middles(states.position) - self.motion.position) > DISPLACED
        joints = [joint for joint in _JOINTS if states.status[joint] and gave_way[joint]]
        self._place(joints, states.position)

    def _middles(self, positions: Sequence[int]) -> Array:
        """Return the angles of positions in ticks, in the middle of each tick.

        A reference taken from there is rounded to the same tick again.
        """
        ticks = np.asarray(positions)
        ends = [self.calibration.radians(ticks + side) for side in (0, 1)]
        return np.mean(ends, axis=0)

    def _rest(self, states: ServoStates) -> None:
        """Stand still; joints that are DISPLACED from their reference stay where they are.

        But for the gripper: what it holds keeps it from its reference.
        """
        assert self.motion is not None
        positions = self._middles(states.position)
        displaced = np.abs(positions - self.motion.position) > DISPLACED
        displaced[GRIPPER] = False
        self.motion = Motion(np.where(displaced, positions, self.motion.position), _STILL)

    def _place(self, joints: Sequence[int], ticks: Sequence[int]) -> None:
        """Let joints stand at these positions, of all six, as far as the reference goes."""
        assert self.motion is not None
        if not joints:
            return
        placed = np.isin(_JOINTS, joints)
        self.motion = Motion(
            np.where(placed, self._middles(ticks), self.motion.position),
            np.where(placed, 0.0, self.motion.velocity),
        )


def _goals(commands: Iterable[ServoCommand]) -> list[int]:
    return [command.goal for command in commands]


def _told(troubles: Iterable[tuple[int, str]]) -> str:
    """Say what happened, once for all the joints that it happened to."""
    joints: dict[str, list[str]] = {}
    for joint, text in troubles:
        joints.setdefault(text, []).append(JOINTS[joint])
    return '; '.join(
        text.format(joints='every servo' if len(names) == len(JOINTS) else ', '.join(names))
        for text, names in joints.items()
    )


def _reports(states: ServoStates) -> str:
    return _told(
        (joint, f'{{joints}} reports {fault.name}: {fault.cure}')
        for joint, status in enumerate(states.status)
        for fault in reported(status)
    )
