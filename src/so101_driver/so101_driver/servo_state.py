"""What six servos measured, parsed from their state blocks; pure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from so101_driver.registers import (
    FAULTS,
    PRESENT_CURRENT,
    PRESENT_LOAD,
    PRESENT_POSITION,
    PRESENT_SPEED,
    PRESENT_TEMPERATURE,
    PRESENT_VOLTAGE,
    STATE_ADDRESS,
    STATUS,
    Register,
)

_STATUS = STATUS.address - STATE_ADDRESS


class ServoStates:
    """The states of the servos asked, as arrays in their order."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        """Take one state block (15 bytes from register 56) of each servo."""
        self._blocks = blocks
        self.position = self._read(PRESENT_POSITION)  # steps
        self.speed = self._read(PRESENT_SPEED)  # steps/s
        self.faulty = any(block[_STATUS] for block in blocks)

    @property
    def load(self) -> NDArray[np.float64]:
        """The motor's drive, in percent of full PWM."""
        return self._read(PRESENT_LOAD) * np.float64(0.1)

    @property
    def voltage(self) -> NDArray[np.float64]:
        """Volts."""
        return self._read(PRESENT_VOLTAGE) * np.float64(0.1)

    @property
    def temperature(self) -> NDArray[np.integer]:
        """Degrees Celsius."""
        return self._read(PRESENT_TEMPERATURE)

    @property
    def current(self) -> NDArray[np.float64]:
        """Amperes."""
        return self._read(PRESENT_CURRENT) * np.float64(0.0065)

    def faults(self, servo: int) -> list[str]:
        """Return the names of the faults that the servo at this place reports."""
        status = self._blocks[servo][_STATUS]
        unknown = status & ~sum(FAULTS)
        return [name for bit, name in FAULTS.items() if status & bit] + (
            [f'unknown (status {unknown})'] if unknown else []
        )

    def _read(self, register: Register) -> NDArray[np.integer]:
        start = register.address - STATE_ADDRESS
        return np.array([register.decode(block[start:]) for block in self._blocks])
