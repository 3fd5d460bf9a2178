"""One emulated STS3215: its register table, and position control as its firmware does it; pure.

Angles are encoder steps (4096 a turn) of the motor's shaft, unwrapped; speeds steps per second.
The emulator leaves out: modes other than position, multi-turn feedback, the overload trip, and the
effect of the PID gains (the physics has the stiffness of P = 16, LeRobot's value).
"""

from typing import NamedTuple

from so101_driver import registers as reg
from so101_driver.registers import STEPS_PER_TURN, Register

TABLE_SIZE = 128
SET_MIDDLE = 128  # written to TORQUE_ENABLE: the present position becomes MIDDLE
MIDDLE = 2048

_EPROM_SIZE = 40
_READ_ONLY = {*range(0, 5), *range(56, 71)}
_TARGET = Register(67, 2, sign=15)

_DEFAULTS = {
    reg.FIRMWARE_MAJOR: 3,
    reg.FIRMWARE_MINOR: 10,
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

_ACCELERATION_UNIT = 100.0  # steps/s^2, which is 8.8 degrees/s^2
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


class Drive(NamedTuple):
    """What a servo asks of the physics: a shaft angle, and the part of its torque it may use."""

    target: float
    strength: float  # 0 = limp, 1 = full stall torque


class Servo:
    """One servo. `sense` and `step` are the physics' side; `read` and `write` the bus's."""

    def __init__(self, identity: int, angle: float, eprom: dict[Register, int]) -> None:
        """Power a servo on at a shaft angle; `eprom` overrides the factory's settings."""
        self._table = bytearray(TABLE_SIZE)
        self._temperature = _ROOM + _IDLE_RISE
        for register, value in {**_DEFAULTS, reg.ID: identity, **eprom}.items():
            self._set(register, value)
        self._eprom = bytes(self._table[:_EPROM_SIZE])
        self.sense(angle, 0.0, 0.0)
        self.power_cycle()

    @property
    def id(self) -> int:
        return self._get(reg.ID)

    @property
    def status(self) -> int:
        """The fault bits that every reply carries."""
        low, high = self._get(reg.MIN_VOLTAGE), self._get(reg.MAX_VOLTAGE)
        hot = self._temperature > self._get(reg.MAX_TEMPERATURE)
        return (not low <= self._voltage() <= high) | hot << 2

    @property
    def replies_to_writes(self) -> bool:
        return self._get(reg.RESPONSE_LEVEL) != 0

    def power_cycle(self) -> None:
        """Forget the RAM, and what was written to the EPROM while it was locked."""
        self._table[:] = self._eprom.ljust(TABLE_SIZE, b'\0')
        self._set(reg.LOCK, 1)
        self._set(reg.TORQUE_LIMIT, self._get(reg.MAX_TORQUE))
        self._set(reg.GOAL_POSITION, round(self._present()))
        self._restart_ramp()

    def sense(self, angle: float, speed: float, torque: float) -> None:
        """Take the shaft's state; the torque, signed, is a part of the stall torque."""
        self._angle, self._speed, self._torque = angle, speed, torque

    def step(self, seconds: float) -> Drive:
        """Advance the motion profile and the temperature, and say where the motor pulls."""
        heat = _ROOM + _IDLE_RISE + _STALL_RISE * self._torque**2
        self._temperature += (heat - self._temperature) * seconds / _THERMAL_SECONDS
        if self._get(reg.TORQUE_ENABLE) != 1:
            self._restart_ramp()
            return Drive(self._angle, 0.0)
        self._advance_ramp(seconds)
        error = self._setpoint - self._present()
        return Drive(self._angle + error, self._get(reg.TORQUE_LIMIT) / 1000.0)

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes of the table, or none when it ends before."""
        if address + size > TABLE_SIZE:
            return b''
        self._measure()
        return bytes(self._table[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        """Write bytes; read-only ones stay as they are."""
        for place, value in enumerate(data, address):
            if place < TABLE_SIZE and place not in _READ_ONLY:
                self._table[place] = value
        written = range(address, address + len(data))
        if reg.TORQUE_ENABLE.address in written and self._get(reg.TORQUE_ENABLE) == SET_MIDDLE:
            self._set_middle()
        if reg.GOAL_POSITION.address in written:
            self._ramp_speed = 0.0
        if not self._get(reg.LOCK):
            self._eprom = bytes(self._table[:_EPROM_SIZE])

    def _set_middle(self) -> None:
        offset = (self._angle - MIDDLE + STEPS_PER_TURN / 2) % STEPS_PER_TURN - STEPS_PER_TURN / 2
        self._set(reg.HOMING_OFFSET, max(-2047, min(2047, round(offset))))
        self._set(reg.TORQUE_ENABLE, 0)
        self._eprom = bytes(self._table[:_EPROM_SIZE])

    def _present(self) -> float:
        """Return the position as the servo's user sees it: 0 to 4096."""
        return (self._angle - self._get(reg.HOMING_OFFSET)) % STEPS_PER_TURN

    def _goal(self) -> int:
        low, high = self._get(reg.MIN_POSITION), self._get(reg.MAX_POSITION)
        return max(low, min(high, self._get(reg.GOAL_POSITION)))

    def _restart_ramp(self) -> None:
        self._setpoint, self._ramp_speed = self._present(), 0.0

    def _advance_ramp(self, seconds: float) -> None:
        """Move the setpoint towards the goal; speed 0 and acceleration 0 mean at once."""
        limit = float(abs(self._get(reg.GOAL_SPEED))) or float('inf')
        acceleration = self._get(reg.ACCELERATION) * _ACCELERATION_UNIT or float('inf')
        left = self._goal() - self._setpoint
        braking = (2.0 * acceleration * abs(left)) ** 0.5
        self._ramp_speed = min(self._ramp_speed + acceleration * seconds, limit, braking)
        reach = self._ramp_speed * seconds
        self._setpoint += max(-reach, min(reach, left))

    def _measure(self) -> None:
        """Write what the sensors say into the table."""
        self._set(reg.PRESENT_POSITION, round(self._present()) % STEPS_PER_TURN)
        self._set(reg.PRESENT_SPEED, _clipped(self._speed, 15))
        self._set(reg.PRESENT_LOAD, _clipped(self._torque * 1000, 10))
        self._set(reg.PRESENT_VOLTAGE, self._voltage())
        self._set(reg.PRESENT_TEMPERATURE, round(self._temperature))
        self._set(reg.STATUS, self.status)
        self._set(reg.MOVING, abs(self._speed) > _MOVING_SPEED)
        self._set(_TARGET, self._goal())
        self._set(reg.PRESENT_CURRENT, round(self._amperes() / _CURRENT_UNIT))

    def _amperes(self) -> float:
        return _IDLE_CURRENT + abs(self._torque) * (_STALL_CURRENT - _IDLE_CURRENT)

    def _voltage(self) -> int:
        return round((_SUPPLY - self._amperes() * _CABLE_OHMS) * 10)

    def _get(self, register: Register) -> int:
        end = register.address + register.size
        return register.decode(bytes(self._table[register.address : end]))

    def _set(self, register: Register, value: int) -> None:
        end = register.address + register.size
        self._table[register.address : end] = register.encode(value)


def _clipped(value: float, bits: int) -> int:
    limit = (1 << bits) - 1
    return max(-limit, min(limit, round(value)))
