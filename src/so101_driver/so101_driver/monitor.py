"""Compares what the servos say with what they should: finds every trouble of a joint; pure.

Times are int nanoseconds of system time.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import GRIPPER, JOINTS
from so101_driver.servo_fault import Reaction, reported
from so101_driver.servo_state import ServoStates

# Silence of a servo, in seconds. After the first its reports are too old to move on: the arm slows
# down to a stop and goes on when the servo is heard again. After the second it is a fault.
PAUSE = 0.05
SILENCE = 0.5

# A joint so far (radians) behind its reference, for so long (seconds), is blocked. At the fastest
# that the reference goes, the lag of a free joint is a third of this.
_BLOCKED = 0.6
_BLOCKED_SECONDS = 0.5


class Reading(NamedTuple):
    """What the servos answered; `silent` joints did not, their states are the last known."""

    states: ServoStates
    silent: tuple[int, ...] = ()


class Trouble(NamedTuple):
    joint: int
    name: str
    reaction: Reaction
    text: str  # what happened, and what to do; {joints} stands for the names of all it befell


# The name of a torque that is on though nobody switched it on.
OWN_TORQUE = 'own torque'


class Monitor:
    """Watches all six joints; `heard` is when each last answered."""

    def __init__(self) -> None:
        self.heard = [0] * len(JOINTS)
        self._blocked_since = [0] * len(JOINTS)

    def reset(self, now: int) -> None:
        """All servos have just answered, and none is behind."""
        self.heard = [now] * len(JOINTS)
        self._blocked_since = [0] * len(JOINTS)

    def absent(self, now: int) -> list[int]:
        """Return the joints that were not heard for PAUSE."""
        return [joint for joint, heard in enumerate(self.heard) if now - heard > PAUSE * 1e9]

    def check(
        self,
        now: int,
        reading: Reading,
        powered: Sequence[bool],
        positions: NDArray[np.float64],
        reference: NDArray[np.float64] | None,
    ) -> list[Trouble]:
        """Return the troubles of now.

        `powered` joints should have torque, the others none. `positions` and `reference` are where
        the joints are and were told to be, radians; no reference while torque is off.
        """
        troubles = self._silences(now, reading.silent)
        status = reading.states.status
        if any(status):
            troubles += [
                Trouble(
                    joint,
                    fault.name,
                    fault.reaction,
                    f'{{joints}} reports {fault.name}: {fault.cure}',
                )
                for joint in range(len(JOINTS))
                for fault in reported(status[joint])
            ]
        if reading.states.commands is not None:
            troubles += self._torques(reading, powered)
        if reference is not None:
            troubles += self._blocked(now, powered, positions, reference)
        return troubles

    def _silences(self, now: int, silent: Sequence[int]) -> list[Trouble]:
        if not silent:
            self.heard = [now] * len(JOINTS)
            return []
        if len(silent) == len(JOINTS):
            return []  # the bus is lost, not a servo: see control_loop.py
        self.heard = [heard if joint in silent else now for joint, heard in enumerate(self.heard)]
        return [
            Trouble(
                joint,
                'silence',
                Reaction.HOLD,
                f'no answer from {{joints}} for {SILENCE} s: check the cable and the power supply',
            )
            for joint in silent
            if now - self.heard[joint] > SILENCE * 1e9
        ]

    def _torques(self, reading: Reading, powered: Sequence[bool]) -> list[Trouble]:
        assert reading.states.commands is not None
        troubles = []
        for joint, command in enumerate(reading.states.commands):
            if joint in reading.silent or bool(command.torque) == powered[joint]:
                continue
            if powered[joint]:
                text = (
                    '{joints} lost its torque, perhaps by a dip of the supply voltage: support '
                    'the arm, check power supply and cables, switch arm/torque off'
                )
                troubles.append(Trouble(joint, 'lost torque', Reaction.RELEASE, text))
            else:
                text = (
                    '{joints} switched its torque on by itself: it was switched off; end '
                    'other programs that use the port'
                )
                troubles.append(Trouble(joint, OWN_TORQUE, Reaction.RELEASE, text))
        return troubles

    def _blocked(
        self,
        now: int,
        powered: Sequence[bool],
        positions: NDArray[np.float64],
        reference: NDArray[np.float64],
    ) -> list[Trouble]:
        behind = np.abs(positions - reference)
        if behind.max() <= _BLOCKED:
            self._blocked_since = [0] * len(JOINTS)
            return []
        troubles = []
        for joint, angle in enumerate(behind.tolist()):
            # The gripper closes on things: that is no trouble, see gripper.py.
            if angle <= _BLOCKED or joint == GRIPPER or not powered[joint]:
                self._blocked_since[joint] = 0
            elif not self._blocked_since[joint]:
                self._blocked_since[joint] = now
            elif now - self._blocked_since[joint] > _BLOCKED_SECONDS * 1e9:
                text = (
                    f'{{joints}} is {np.rad2deg(angle):.0f} degrees behind its goal: '
                    'free it of what blocks it'
                )
                troubles.append(Trouble(joint, 'blocked', Reaction.YIELD, text))
        return troubles
