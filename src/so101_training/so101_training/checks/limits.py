"""Joints beyond what the arm can do."""

from collections.abc import Iterator

import numpy as np

from so101_description.joints import JOINTS, URDF_LIMITS
from so101_description.units import radians_to_dataset
from so101_training.checks.finding import Finding, graver
from so101_training.checks.take import Collection
from so101_training.checks.units import in_other_units

NAME = 'limits'

# Dataset units beyond the nominal limits. An arm's own range differs from the nominal one by its
# calibration: the suite's home pose is 5 degrees beyond. 30 is what the policy calls other units.
_BEYOND, _FAR = 10.0, 30.0

_LOW, _HIGH = radians_to_dataset(np.array([URDF_LIMITS[joint] for joint in JOINTS]).T)


def find(collection: Collection) -> Iterator[Finding]:
    for take in collection.takes:
        for what, signal in (('state', take.state), ('action', take.action)):
            if signal is None or in_other_units(signal):
                continue
            beyond = np.maximum(_LOW - signal.values, signal.values - _HIGH)
            row, joint = np.unravel_index(int(np.argmax(beyond)), beyond.shape)
            most = float(beyond[row, joint])
            if most <= _BEYOND:
                continue
            yield Finding(
                NAME,
                take.number,
                graver(most, _FAR),
                f'{JOINTS[joint]} in the {what} is at {signal.values[row, joint]:.0f} at '
                f'{signal.seconds[row]:.1f} s, its range is {_LOW[joint]:.0f} to '
                f'{_HIGH[joint]:.0f}; calibrate the arm again, or leave it out',
                seconds=(float(signal.seconds[row]), float(signal.seconds[row])),
            )
