"""An arm that a script moves: what interrupts the script, and how the arm is left; pure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from so101_node.error import UserError

Pose = NDArray[np.float64]  # radians, shape (6,)


class Stopped(Exception):
    """The script was asked to stop; what the arm does then is the asker's concern."""


class ArmFault(UserError):
    """The driver latched a fault, arm/stop for one: it holds the arm where it is."""


class Interrupted(UserError):
    """A motion was left off on its way: the arm comes to rest, and may be moved on from there."""


class OtherDriver(UserError):
    """Another driver would take what is meant for ours: say nothing more to anybody."""


class Arm(Protocol):
    """Every method blocks until it is done; it raises UserError when it cannot be, or Stopped.

    Any of them raises ArmFault when the driver latches a fault meanwhile.
    """

    def torque(self, on: bool) -> None: ...
    def move(self, goal: Pose) -> None: ...

    def wait_for_clearance(self) -> None:
        """Wait until the driver's fault is cleared."""


@contextmanager
def powered(arm: Arm, home: Pose, sim: bool, report: Callable[[str], None]) -> Iterator[None]:
    """Switch torque on, and off again afterwards.

    After a UserError the arm is brought home, as far as it still moves, and the first error is
    raised. A fault is first waited out, on a real arm: whoever pressed stop wants it held, not
    dropped.
    """
    try:
        arm.torque(True)
        yield
    except UserError as error:
        if isinstance(error, ArmFault) and not sim:
            report(f'{error}. The arm is held; Ctrl-C lets go of it')
            arm.wait_for_clearance()
        attempt(lambda: arm.move(home), report)
        attempt(lambda: arm.torque(False), report)
        raise
    arm.torque(False)


def attempt(step: Callable[[], object], report: Callable[[str], None]) -> None:
    """Do a step on the way out of an error, which comes first: one more is only reported."""
    try:
        step()
    except UserError as error:
        report(f'and then: {error}')
