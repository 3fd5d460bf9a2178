"""The six joints of the SO-101, in the order of the URDF, of LeRobot and of servo ids 1 to 6."""

import math

import numpy as np

JOINTS = (
    'shoulder_pan',
    'shoulder_lift',
    'elbow_flex',
    'wrist_flex',
    'wrist_roll',
    'gripper',
)
GRIPPER = JOINTS.index('gripper')

# Radians. Source: the so101_new_calib URDF of SO-ARM100. They are nominal: an arm's own range is
# in its calibration, and it is that range which the driver enforces.
URDF_LIMITS = {
    'shoulder_pan': (-1.91986, 1.91986),
    'shoulder_lift': (-1.74533, 1.74533),
    'elbow_flex': (-1.69, 1.69),
    'wrist_flex': (-1.65806, 1.65806),
    'wrist_roll': (-2.74385, 2.84121),
    'gripper': (-0.174533, 1.74533),
}

# Radians. The pose before and after every rollout: folded, wrist rolled a quarter turn, the wrist
# camera looking at the table. The gripper stands at 5 of LeRobot's 0 to 100.
HOME = np.array(
    [
        0.0,
        math.radians(-104.66),
        math.radians(96.09),
        math.radians(48.92),
        math.radians(90.0),
        URDF_LIMITS['gripper'][0] + 0.05 * (URDF_LIMITS['gripper'][1] - URDF_LIMITS['gripper'][0]),
    ]
)
HOME.flags.writeable = False
