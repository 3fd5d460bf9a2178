"""What a chunk of actions must be for the arm to follow it; pure."""

import numpy as np

from so101_description.joints import GRIPPER, JOINTS, URDF_LIMITS
from so101_policy.plan import Array

# Radians beyond the joints' limits. Calibrations differ from the URDF by some degrees, and people
# press against the stops; no demonstration is further out.
_BEYOND = np.deg2rad(20)

# rad/s from one action to the next: five times what the servos can do without load.
_SPEED = 25.0

# Radians from where the arm is sent: further than a policy goes on its own demonstrations' ways.
_FAR = np.deg2rad(90)

# Open or closed is what many policies say of a gripper, and the plan makes a way of it.
_ARM = np.arange(len(JOINTS)) != GRIPPER

_LOW, _HIGH = np.array([URDF_LIMITS[joint] for joint in JOINTS]).T


def complaint(actions: Array, pose: Array, fps: float) -> str:
    """Return why the arm is not to follow `actions`, '' when it is.

    `actions`, shape (T, 6), radians, `fps` of them a second; `pose`, shape (6,): where the arm is
    sent when the first of them is due.
    """
    if not np.isfinite(actions).all():
        return 'the policy gave actions that are not finite'
    for excess, text in (
        (np.maximum(_LOW - actions, actions - _HIGH).max(axis=0) - _BEYOND, 'out of its range'),
        (np.abs(actions[0] - pose) * _ARM - _FAR, 'from where it is'),
        (
            np.abs(np.diff(actions, axis=0)).max(axis=0, initial=0.0) * _ARM - _SPEED / fps,
            'in a leap',
        ),
    ):
        joint = int(excess.argmax())
        if excess[joint] > 0:
            low, high = np.rad2deg([actions[:, joint].min(), actions[:, joint].max()])
            return (
                f'the policy diverges: it sends {JOINTS[joint]} {text}, from '
                f'{np.rad2deg(pose[joint]):.0f} to between {low:.0f} and {high:.0f} degrees'
            )
    return ''
