"""What the servos keep through a power cycle: compared with the calibration, and written.

The EPROM wears out, so a register is written only where it differs.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import NamedTuple

from so101_description.joints import GRIPPER, JOINTS
from so101_driver.bus import Bus, BusError, PortGone
from so101_driver.calibration import Calibration, JointCalibration, Role
from so101_driver.registers import (
    D_GAIN,
    FIRMWARE_MAJOR,
    FIRMWARE_MINOR,
    HOMING_OFFSET,
    I_GAIN,
    ID,
    LOCK,
    MAX_POSITION,
    MAX_TORQUE,
    MIN_POSITION,
    MODE,
    MODEL,
    MODEL_STS3215,
    OVERLOAD_TORQUE,
    P_GAIN,
    PHASE,
    PROTECTION_CURRENT,
    RETURN_DELAY,
    Register,
)
from so101_driver.release import release
from so101_node.error import UserError

# One servo's registers: its firmware, and those that are compared.
Values = dict[Register, int]

SIZE = 40  # bytes, from address 0
_MULTI_TURN = 0x10  # bit of PHASE: positions count turns, and leave 0 to 4095
# At one transaction. A busy host misses an answer now and then, and here there is time.
_ATTEMPTS = 10

# Written here, the model would be a lie and the id another servo's.
_UNWRITABLE = (MODEL, ID)

_NAMES = {
    MODEL: 'model number',
    ID: 'id',
    HOMING_OFFSET: 'homing offset',
    MIN_POSITION: 'minimum position',
    MAX_POSITION: 'maximum position',
    MODE: 'mode',
    RETURN_DELAY: 'return delay',
    PHASE: 'phase',
    P_GAIN: 'P gain',
    I_GAIN: 'I gain',
    D_GAIN: 'D gain',
    MAX_TORQUE: 'maximum torque',
    PROTECTION_CURRENT: 'protection current',
    OVERLOAD_TORQUE: 'overload torque',
}

# Source: `configure` of LeRobot 0.6.1's so_follower and so_leader, and its Feetech bus's
# `configure_motors`, but for the acceleration limit (85): it is no EPROM, and the driver streams
# without one. The gripper's keep it from burning while it holds something.
_SETTINGS: Values = {RETURN_DELAY: 0}
_FOLLOWER_SETTINGS: Values = {P_GAIN: 16, I_GAIN: 0, D_GAIN: 32}
GRIPPER_SETTINGS: Values = {MAX_TORQUE: 500, PROTECTION_CURRENT: 250, OVERLOAD_TORQUE: 25}


class Grade(Enum):
    CALIBRATION = 'calibration'  # positions would mean something else: no torque
    SETTING = 'setting'  # the arm moves, but not as LeRobot's does


class Difference(NamedTuple):
    """One register of one servo that is not as it should be."""

    grade: Grade
    joint: str
    servo: int
    register: Register
    stored: int
    wanted: int

    @property
    def what(self) -> str:
        return f'{self.joint} {_NAMES[self.register]}'

    def __str__(self) -> str:
        return f'{self.what} is {self.stored}, not {self.wanted}'


def insist[Answer](ask: Callable[[], Answer]) -> Answer:
    """Ask until there is an answer; raises the last of many BusErrors, PortGone at once."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return ask()
        except PortGone:
            raise
        except BusError:
            continue
    return ask()


def get(bus: Bus, servo: int, register: Register) -> int:
    """Return one register of a servo; raises BusError when it does not answer."""
    return register.decode(insist(lambda: bus.read(servo, register.address, register.size)))


def read(bus: Bus, ids: Iterable[int]) -> list[Values]:
    """Return the registers of each servo; raises BusError when one does not answer."""
    return [_read(bus, servo) for servo in ids]


def _read(bus: Bus, servo: int) -> Values:
    return of_table(insist(lambda: bus.read(servo, 0, SIZE)))


def of_table(table: bytes) -> Values:
    """Return the registers in the first SIZE bytes of a servo's table."""
    return {
        register: register.decode(table[register.address :])
        for register in (FIRMWARE_MAJOR, FIRMWARE_MINOR, *_NAMES)
    }


def differences(
    calibration: Calibration, stored: Sequence[Values], role: Role
) -> list[Difference]:
    """Compare the registers of the six servos with the calibration and LeRobot's settings."""
    found = []
    for name, joint, values in zip(JOINTS, calibration.joints, stored, strict=True):
        for grade, wanted in (
            (Grade.CALIBRATION, _calibrated(joint)),
            (Grade.SETTING, _settings(name, values, role)),
        ):
            found += [
                Difference(grade, name, joint.id, register, values[register], value)
                for register, value in wanted.items()
                if values[register] != value
            ]
    return found


def _calibrated(joint: JointCalibration) -> Values:
    return {
        MODEL: MODEL_STS3215,
        ID: joint.id,
        HOMING_OFFSET: joint.homing_offset,
        MIN_POSITION: joint.range_min,
        MAX_POSITION: joint.range_max,
        MODE: 0,  # in any other a goal is a speed, a power or a step from here
    }


def _settings(joint: str, values: Values, role: Role) -> Values:
    """Return LeRobot's settings; a leader has no gains of its own, as it is moved by hand."""
    wanted = {**_SETTINGS, PHASE: values[PHASE] & ~_MULTI_TURN}
    if role == 'follower':
        wanted |= _FOLLOWER_SETTINGS
        if joint == JOINTS[GRIPPER]:
            wanted |= GRIPPER_SETTINGS
    return wanted


def write(bus: Bus, wanted: Sequence[Difference]) -> None:
    """Write the registers that differ, with torque off, and read back that they took.

    Raises UserError that names what did not take, or what cannot be written.
    """
    if impossible := [str(item) for item in wanted if item.register in _UNWRITABLE]:
        raise UserError(
            f'{"; ".join(impossible)}: this cannot be written. Connect the motors that belong to '
            'this arm, or give them their ids: run setup_motors (so101 setup_motors, or ros2 run '
            'so101_driver setup_motors)'
        )
    servos = {item.servo: item.joint for item in wanted}
    try:
        make_limp(bus, servos)
        for servo in servos:
            _write_one(bus, servo, [item for item in wanted if item.servo == servo])
        stored = dict(zip(servos, read(bus, servos), strict=True))
        locked = {servo: get(bus, servo, LOCK) for servo in servos}
    except BusError as error:
        raise UserError(
            f'{error}. What the servos hold now is not known: then do the same again'
        ) from error
    failed = [
        f'{item.what} is {stored[item.servo][item.register]} instead of {item.wanted}'
        for item in wanted
        if stored[item.servo][item.register] != item.wanted
    ]
    failed += [f'{joint} is not locked' for servo, joint in servos.items() if not locked[servo]]
    if failed:
        raise UserError(f'the servos did not take what was written: {"; ".join(failed)}')


def make_limp(bus: Bus, servos: dict[int, str]) -> None:
    """Switch torque off on servos (id: joint), past errors.

    Raises UserError with those that still have torque, or do not say.
    """
    held = [f'{servos[servo]} (id {servo})' for servo in release(bus, servos)]
    if held:
        raise UserError(
            f'torque did not go off on {", ".join(held)}: hold the arm and switch its power '
            'supply off'
        )


def _write_one(bus: Bus, servo: int, wanted: Sequence[Difference]) -> None:
    put(bus, servo, LOCK, 0)
    try:
        for item in wanted:
            put(bus, servo, item.register, item.wanted)
    finally:
        put(bus, servo, LOCK, 1)


def put(bus: Bus, servo: int, register: Register, value: int) -> None:
    """Write, again if it is not acknowledged. What counts is what is read back later."""
    data = register.encode(value)
    try:
        insist(lambda: bus.write(servo, register.address, data))
    except BusError:
        pass
