"""One emulated STS3215: its register table, and position control as its firmware does it; pure.

Angles are encoder steps (4096 a turn) of the motor's shaft, unwrapped; speeds steps per second.
The emulator leaves out: modes other than position, multi-turn feedback, registered writes, and the
effect of the PID gains (the physics has the stiffness of P = 16, LeRobot's value).
"""

import struct
from typing import NamedTuple

from so101_driver import registers as reg
from so101_driver.registers import STEPS_PER_TURN, Register
from so101_sim import fault
from so101_sim.fault import Fault

TABLE_SIZE = 128
SET_MIDDLE = 128  # written to TORQUE_ENABLE: the present position becomes MIDDLE
MIDDLE = 2048

_FIRMWARE = 10  # the minor version
_OLD_FIRMWARE = 9

_EPROM_SIZE = 40
_READ_ONLY = {*range(0, 5), *range(56, 71)}

# From TORQUE_ENABLE: it, acceleration, goal position, goal time, goal speed, torque limit.
_COMMAND = struct.Struct('<BBHHHH')
# From PRESENT_POSITION: it, speed, load, voltage, temperature, async flag, status, moving, the
# goal as limited (register 67), current.
_STATE = struct.Struct('<HHHBBBBBHH')
_STATE_END = reg.PRESENT_POSITION.address + _STATE.size
_GOAL_END = reg.GOAL_POSITION.address + reg.GOAL_POSITION.size
_WORD_SIGN = 1 << 15
_LOAD_SIGN = 1 << 10

_DEFAULTS = {
    reg.FIRMWARE_MAJOR: 3,
    reg.FIRMWARE_MINOR: _FIRMWARE,
    reg.MODEL: reg.MODEL_STS3215,
    reg.RESPONSE_LEVEL: 1,
    reg.MAX_POSITION: STEPS_PER_TURN - 1,
    reg.MAX_TEMPERATURE: 70,
    reg.MAX_VOLTAGE: 140,
    reg.MIN_VOLTAGE: 40,
    reg.MAX_TORQUE: 1000,
    reg.PHASE: 12,
    reg.P_GAIN: 16,
    reg.I_GAIN: 0,
    reg.D_GAIN: 32,
    reg.PROTECTION_CURRENT: 500,
    reg.PROTECTION_TORQUE: 20,
    reg.PROTECTION_TIME: 200,
    reg.OVERLOAD_TORQUE: 80,
}

_ACCELERATION_UNIT = 100.0  # steps/s^2, which is 8.79 degrees/s^2
_MOVING_SPEED = 20.0  # steps/s above which MOVING is 1

# The STS3215 at 12 V: 2.7 A stalled, about 0.1 A for its electronics and friction; the supply's
# cable loses half a volt at stall.
_SUPPLY = 12.1
_STALL_CURRENT = 2.7
_IDLE_CURRENT = 0.1
_CABLE_OHMS = 0.2

# Heat goes with the square of the torque; held at stall the motor settles this far above the room.
_ROOM = 25.0
_STALL_RISE = 90.0
_IDLE_RISE = 5.0
_THERMAL_SECONDS = 240.0

_CURRENT_UNIT = 0.0065  # amperes
_PROTECTION_TIME_UNIT = 0.01  # seconds


class Drive(NamedTuple):
    """What a servo asks of the physics: a shaft angle, and the part of its torque it may use."""

    target: float
    strength: float  # 0 = limp, 1 = full stall torque


class Servo:
    """One servo. `sense` and `step` are the physics' side; `read` and `write` the bus's.

    `angle` is the shaft's. `faults` are those that are on, each with its number; `inject` and
    `clear` change them, and an overload comes and goes by itself too.
    """

    def __init__(self, identity: int, angle: float, eprom: dict[Register, int]) -> None:
        """Power a servo on at a shaft angle; `eprom` overrides the factory's settings."""
        self.faults: dict[Fault, float] = {}
        self._table = bytearray(TABLE_SIZE)
        self._temperature = _ROOM + _IDLE_RISE
        self._stuck = angle  # where the encoder got stuck
        self._silence = 0.0  # seconds that it stays silent
        self._overloaded = 0.0  # seconds
        self._stale: int | None = None  # the goal that it goes for instead of its own
        for register, value in {**_DEFAULTS, reg.ID: identity, **eprom}.items():
            self._set(register, value)
        self._eprom = bytes(self._table[:_EPROM_SIZE])
        self.sense(angle, 0.0, 0.0)
        self.power_cycle()

    @property
    def id(self) -> int:
        return self._table[reg.ID.address]

    @property
    def silent(self) -> bool:
        """Whether it neither hears nor answers."""
        return self._silence > 0 or fault.SILENT in self.faults

    @property
    def status(self) -> int:
        """The fault bits that every reply carries."""
        amperes = self._amperes()
        bits = int(not self._min_voltage <= self._voltage(amperes) <= self._max_voltage)
        bits |= (self._temperature > self._max_temperature) << 2
        bits |= (amperes > self._max_amperes) << 3
        if self.faults:
            bits |= (fault.ENCODER in self.faults) << 1
            bits |= (fault.OVERLOAD in self.faults) << 5
        return bits

    @property
    def replies_to_writes(self) -> bool:
        return self._get(reg.RESPONSE_LEVEL) != 0

    def inject(self, kind: Fault, value: float = 0.0) -> None:
        """Switch one of the servo's or the supply's faults on."""
        if kind in (fault.BROWNOUT, fault.REBOOT):
            self.power_cycle()
            self._silence = fault.REBOOT_SECONDS if kind is fault.REBOOT else 0.0
            return
        self.faults[kind] = value
        if kind is fault.ENCODER:
            self._stuck = self.angle
        elif kind is fault.HOT:
            self._temperature = value
        elif kind is fault.OLD_FIRMWARE:
            self._set_firmware(_OLD_FIRMWARE)

    def clear(self, kind: Fault) -> None:
        """Switch a fault off, also one that is not on."""
        if self.faults.pop(kind, None) is None:
            return
        if kind is fault.OLD_FIRMWARE:
            self._set_firmware(_FIRMWARE)
        elif kind is fault.STALE_GOAL:
            self._stale = None

    def power_cycle(self) -> None:
        """Forget the RAM, and what was written to the EPROM while it was locked."""
        self._table[:] = self._eprom.ljust(TABLE_SIZE, b'\0')
        self._set(reg.LOCK, 1)
        self._set(reg.TORQUE_LIMIT, self._get(reg.MAX_TORQUE))
        self._load_settings()
        self._set(reg.GOAL_POSITION, round(self._present()) % STEPS_PER_TURN)
        self._load_commands()
        self._release()
        self._setpoint, self._ramp_speed = self._present(), 0.0

    def sense(self, angle: float, speed: float, torque: float) -> None:
        """Take the shaft's state; the torque, signed, is a part of the stall torque."""
        self.angle, self._speed, self._torque = angle, speed, torque

    def step(self, seconds: float) -> Drive:
        """Advance the motion profile and the temperature, and say where the motor pulls."""
        heat = _ROOM + _IDLE_RISE + _STALL_RISE * self._torque**2
        self._temperature += (heat - self._temperature) * seconds / _THERMAL_SECONDS
        if self._silence > 0:
            self._silence -= seconds
        if self.faults:
            self._temperature = self.faults.get(fault.HOT, self._temperature)
        present = self._present()
        if self._torque_enable != 1:
            self._setpoint, self._ramp_speed = present, 0.0
            return Drive(self.angle, 0.0)
        self._watch_load(seconds)
        self._advance_ramp(seconds)
        strength = self._strength
        if fault.OVERLOAD in self.faults:
            strength = min(strength, self._protection_strength)
        return Drive(self.angle + self._setpoint - present, strength)

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes of the table, or none when it ends before."""
        end = address + size
        if end > TABLE_SIZE:
            return b''
        if address < _STATE_END and end > reg.PRESENT_POSITION.address:
            self._measure()
        return bytes(self._table[address:end])

    def write(self, address: int, data: bytes) -> None:
        """Write bytes; read-only ones stay as they are."""
        limp = self._torque_enable == 0
        end = address + len(data)
        for place, value in enumerate(data, address):
            if place < TABLE_SIZE and place not in _READ_ONLY:
                self._table[place] = value
        switched = address <= reg.TORQUE_ENABLE.address < end
        if switched:
            self._switch_torque(limp)
        if address < _GOAL_END and end > reg.GOAL_POSITION.address:
            self._take_goal(limp, switched)
        if not self._table[reg.LOCK.address]:
            self._eprom = bytes(self._table[:_EPROM_SIZE])
        if address < _EPROM_SIZE:
            self._load_settings()
        self._load_commands()

    def _switch_torque(self, limp: bool) -> None:
        """React to a write of TORQUE_ENABLE, to a servo that was limp or not."""
        value = self._table[reg.TORQUE_ENABLE.address]
        if value == SET_MIDDLE:
            self._set_middle()
        if value in (0, SET_MIDDLE):
            self._release()
        elif limp and fault.STALE_GOAL in self.faults:
            self._stale = self._far_goal()

    def _take_goal(self, limp: bool, switched: bool) -> None:
        """React to a write of GOAL_POSITION; `switched`: it wrote TORQUE_ENABLE too."""
        self._ramp_speed = 0.0
        if not limp:
            self._stale = None
        elif fault.DEAF_GOAL in self.faults:
            self._set(reg.GOAL_POSITION, self._far_goal())
        elif fault.GOAL_TORQUE in self.faults and not switched:
            self._set(reg.TORQUE_ENABLE, 1)

    def _release(self) -> None:
        """Without torque, an overload is over and its goal no matter."""
        self.faults.pop(fault.OVERLOAD, None)
        self._overloaded = 0.0
        self._stale = None

    def _far_goal(self) -> int:
        """Return a goal STALE_STEPS away, towards the middle of the range."""
        present = round(self._present())
        up = present < (self._low + self._high) / 2
        return present + (fault.STALE_STEPS if up else -fault.STALE_STEPS)

    def _set_middle(self) -> None:
        steps = STEPS_PER_TURN
        offset = (self._reported() - MIDDLE + steps / 2) % steps - steps / 2
        self._set(reg.HOMING_OFFSET, max(-2047, min(2047, round(offset))))
        self._set(reg.TORQUE_ENABLE, 0)
        self._eprom = bytes(self._table[:_EPROM_SIZE])
        self._load_settings()

    def _set_firmware(self, minor: int) -> None:
        self._set(reg.FIRMWARE_MINOR, minor)
        address = reg.FIRMWARE_MINOR.address
        self._eprom = self._eprom[:address] + bytes((minor,)) + self._eprom[address + 1 :]

    def _reported(self) -> float:
        """Return the shaft's angle as the encoder has it."""
        if fault.ENCODER not in self.faults:
            return self.angle
        jump = self.faults[fault.ENCODER]
        return self.angle + jump if jump else self._stuck

    def _present(self) -> float:
        """Return the position as the servo's user sees it: 0 to 4096."""
        return (self._reported() - self._offset) % STEPS_PER_TURN

    def _limited(self, goal: int) -> int:
        return max(self._low, min(self._high, goal))

    def _advance_ramp(self, seconds: float) -> None:
        """Move the setpoint towards the goal; speed 0 and acceleration 0 mean at once."""
        goal = self._limited(self._goal if self._stale is None else self._stale)
        left = goal - self._setpoint
        braking = (2.0 * self._acceleration * abs(left)) ** 0.5
        speed = self._ramp_speed + self._acceleration * seconds
        self._ramp_speed = min(speed, self._max_speed, braking)
        reach = self._ramp_speed * seconds
        self._setpoint += max(-reach, min(reach, left))

    def _watch_load(self, seconds: float) -> None:
        """Trip after PROTECTION_TIME at OVERLOAD_TORQUE; a servo that forgives also recovers."""
        if abs(self._torque) >= self._overload_torque:
            self._overloaded += seconds
            if self._overloaded >= self._protection_seconds:
                self.faults.setdefault(fault.OVERLOAD, 0.0)
        else:
            self._overloaded = 0.0
        if fault.FORGIVING in self.faults:
            near = abs(self._limited(self._goal) - self._present()) <= fault.FORGIVEN_STEPS
            if near and self.faults.pop(fault.OVERLOAD, None) is not None:
                self._overloaded = 0.0

    def _measure(self) -> None:
        """Write what the sensors say into the table."""
        amperes = self._amperes()
        stuck = self.faults.get(fault.ENCODER) == 0
        speed = 0.0 if stuck else self._speed
        _STATE.pack_into(
            self._table,
            reg.PRESENT_POSITION.address,
            round(self._present()) % STEPS_PER_TURN,
            _signed(speed, _WORD_SIGN),
            _signed(self._torque * 1000, _LOAD_SIGN),
            self._voltage(amperes),
            round(self._temperature),
            0,
            self.status,
            abs(speed) > _MOVING_SPEED,
            _signed(self._limited(self._goal), _WORD_SIGN),
            round(amperes / _CURRENT_UNIT),
        )

    def _amperes(self) -> float:
        drawn = _IDLE_CURRENT + abs(self._torque) * (_STALL_CURRENT - _IDLE_CURRENT)
        return self.faults.get(fault.CURRENT, drawn) if self.faults else drawn

    def _voltage(self, amperes: float) -> int:
        supply = self.faults.get(fault.VOLTAGE, _SUPPLY) if self.faults else _SUPPLY
        return max(0, round((supply - amperes * _CABLE_OHMS) * 10))

    def _load_settings(self) -> None:
        """Take the EPROM's registers in use out of the table."""
        self._offset = self._get(reg.HOMING_OFFSET)
        self._low, self._high = self._get(reg.MIN_POSITION), self._get(reg.MAX_POSITION)
        self._min_voltage = self._get(reg.MIN_VOLTAGE)
        self._max_voltage = self._get(reg.MAX_VOLTAGE)
        self._max_temperature = self._get(reg.MAX_TEMPERATURE)
        self._max_amperes = self._get(reg.PROTECTION_CURRENT) * _CURRENT_UNIT
        self._overload_torque = self._get(reg.OVERLOAD_TORQUE) / 100.0
        self._protection_seconds = self._get(reg.PROTECTION_TIME) * _PROTECTION_TIME_UNIT
        self._protection_strength = self._get(reg.PROTECTION_TORQUE) / 100.0

    def _load_commands(self) -> None:
        """Take the RAM's registers in use out of the table."""
        self._torque_enable, acceleration, goal, _, speed, limit = _COMMAND.unpack_from(
            self._table, reg.TORQUE_ENABLE.address
        )
        self._acceleration = acceleration * _ACCELERATION_UNIT or float('inf')
        self._goal = -(goal - _WORD_SIGN) if goal & _WORD_SIGN else goal
        self._max_speed = float(speed & ~_WORD_SIGN) or float('inf')
        self._strength = min(limit / 1000.0, 1.0)

    def _get(self, register: Register) -> int:
        end = register.address + register.size
        return register.decode(bytes(self._table[register.address : end]))

    def _set(self, register: Register, value: int) -> None:
        end = register.address + register.size
        self._table[register.address : end] = register.encode(value)


def _signed(value: float, sign: int) -> int:
    """Return a value's magnitude, as large as fits below the bit `sign`, and its sign there."""
    magnitude = min(abs(round(value)), sign - 1)
    return magnitude | sign if value < 0 and magnitude else magnitude
