"""The STS3215's register table: addresses, sizes, signs, units; pure.

Source: Feetech's memory table of the STS series, as LeRobot 0.6.1 uses it. Words are
little-endian; signed ones are sign and magnitude, with the sign in bit `sign`.
"""

from typing import NamedTuple

STEPS_PER_TURN = 4096
MODEL_STS3215 = 777


class Register(NamedTuple):
    address: int
    size: int = 1
    sign: int | None = None

    def encode(self, value: int) -> bytes:
        """Return the bytes of a value. Raises ValueError when it does not fit."""
        if self.sign is None:
            if not 0 <= value < 1 << 8 * self.size:
                raise ValueError(f'{value} does not fit register {self.address}')
            return value.to_bytes(self.size, 'little')
        if abs(value) >= 1 << self.sign:
            raise ValueError(f'{value} does not fit register {self.address}')
        return (abs(value) | (value < 0) << self.sign).to_bytes(self.size, 'little')

    def decode(self, data: bytes) -> int:
        """Return the value in the first `size` bytes of `data`."""
        value = int.from_bytes(data[: self.size], 'little')
        if self.sign is None:
            return value
        magnitude = value & ~(1 << self.sign)
        return -magnitude if value >> self.sign & 1 else magnitude


# EPROM, kept through a power cycle; written only while LOCK is 0.
FIRMWARE_MAJOR = Register(0)
FIRMWARE_MINOR = Register(1)
MODEL = Register(3, 2)
ID = Register(5)
BAUD_RATE = Register(6)  # 0 = 1 Mbps
RETURN_DELAY = Register(7)  # 2 us
RESPONSE_LEVEL = Register(8)
MIN_POSITION = Register(9, 2)
MAX_POSITION = Register(11, 2)
MAX_TEMPERATURE = Register(13)  # degrees Celsius
MAX_VOLTAGE = Register(14)  # 0.1 V
MIN_VOLTAGE = Register(15)  # 0.1 V
MAX_TORQUE = Register(16, 2)  # 0.1 %
PHASE = Register(18)
P_GAIN = Register(21)
D_GAIN = Register(22)
I_GAIN = Register(23)
PROTECTION_CURRENT = Register(28, 2)  # 6.5 mA
HOMING_OFFSET = Register(31, 2, sign=11)  # present = actual - offset
MODE = Register(33)  # 0 = position
PROTECTION_TORQUE = Register(34)
PROTECTION_TIME = Register(35)  # 10 ms
OVERLOAD_TORQUE = Register(36)

# RAM
TORQUE_ENABLE = Register(40)
ACCELERATION = Register(41)  # 100 steps/s^2 (8.79 degrees/s^2); 0 = none, as streamed goals need
GOAL_POSITION = Register(42, 2, sign=15)
GOAL_TIME = Register(44, 2)
GOAL_SPEED = Register(46, 2, sign=15)  # steps/s; 0 = maximum
TORQUE_LIMIT = Register(48, 2)  # 0.1 %
LOCK = Register(55)  # 0 = EPROM writes persist
PRESENT_POSITION = Register(56, 2, sign=15)  # steps
PRESENT_SPEED = Register(58, 2, sign=15)  # steps/s
PRESENT_LOAD = Register(60, 2, sign=10)  # 0.1 % of full PWM
PRESENT_VOLTAGE = Register(62)  # 0.1 V
PRESENT_TEMPERATURE = Register(63)  # degrees Celsius
STATUS = Register(65)  # its bits: see servo_fault.py
MOVING = Register(66)
PRESENT_CURRENT = Register(69, 2, sign=15)  # 6.5 mA

# Torque enable to torque limit: what the servo was told.
COMMAND_ADDRESS = TORQUE_ENABLE.address
COMMAND_SIZE = TORQUE_LIMIT.address + TORQUE_LIMIT.size - COMMAND_ADDRESS

# Position to current: the whole measured state in one block.
STATE_ADDRESS = PRESENT_POSITION.address
STATE_SIZE = 15

# Both in one block: torque enable to current.
FULL_ADDRESS = COMMAND_ADDRESS
FULL_SIZE = STATE_ADDRESS + STATE_SIZE - FULL_ADDRESS
