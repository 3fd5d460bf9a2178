"""The voltage that the servos measure, against what they are made for."""

from collections.abc import Iterator

from so101_bringup.doctor.arm_reading import ArmReading
from so101_bringup.doctor.arm_view import judged_each
from so101_bringup.doctor.finding import Finding, error, sound, warning
from so101_bringup.doctor.subject import Subject
from so101_driver.registers import MAX_VOLTAGE, PRESENT_VOLTAGE

AREA = 'supply'

TOO_HIGH = error(
    'supply.too_high',
    'The supply gives more than the servos stand: 7.4 V servos on 12 V, or a supply of 16 V. They '
    'burn.',
    'pull the power plug now; take the supply that the label on the motors names',
)
ODD = error(
    'supply.odd',
    'The voltage is that of no supply for these servos: neither 12 V, nor 5 to 7.4 V.',
    'measure the supply without load; look at its plug, cable and label',
)
WEAK = warning(
    'supply.weak',
    'The follower has 12 V servos, and a supply of 5 to 7.4 V: it moves slowly and gives up '
    'under load.',
    "take a 12 V supply of 5 A; the leader's is easily taken for it",
)
MIXED = warning(
    'supply.mixed_servos',
    'One arm has servos for 7.4 V and servos for 12 V: no supply is right for all.',
    'look at the labels, and put motors of one kind into one arm',
)
UNEVEN = warning(
    'supply.uneven',
    'The servos at one end of the chain get less than those at the other: a thin or loose cable.',
    'push in the cable before {first}, or change it',
)

# Volts of the supplies that these servos are sold for; as the driver's warning.
_TWELVE = (11.0, 13.0)
_LOW = (4.5, 8.6)

# Volts. Register 14 of a servo for 12 V allows 14 V from the factory, that of one for 7.4 V 8 V.
_FOR_TWELVE = 10.0

# Volts between two servos of an arm at rest.
_UNEVEN = 0.8


def find(subject: Subject) -> Iterator[Finding]:
    yield from judged_each(AREA, subject.arms, judged)


def judged(reading: ArmReading) -> Iterator[Finding]:
    arm = reading.role
    volts = {servo: reading.get(servo, PRESENT_VOLTAGE) / 10 for servo in reading.tables}
    limits = {servo: reading.get(servo, MAX_VOLTAGE) / 10 for servo in reading.tables}
    highest, lowest = max(volts.values()), min(volts.values())
    values = {'arm': arm, 'highest_v': highest, 'lowest_v': lowest}
    found = []
    over = [servo for servo in volts if volts[servo] > limits[servo]]
    twelve = {servo for servo, limit in limits.items() if limit >= _FOR_TWELVE}
    if over:
        least = min(limits[servo] for servo in over)
        found.append(
            TOO_HIGH.finding(
                f'{arm} arm: {highest:.1f} V; {len(over)} motors stand {least:.1f} V at most',
                **values,
            )
        )
    elif not any(low <= highest <= high for low, high in (_TWELVE, _LOW)):
        found.append(ODD.finding(f'{arm} arm: {highest:.1f} V', **values))
    elif arm == 'follower' and twelve and highest <= _LOW[1]:
        found.append(WEAK.finding(f'{arm} arm: {highest:.1f} V on 12 V servos', **values))
    if 0 < len(twelve) < len(limits):
        names = ', '.join(reading.name(servo) for servo in limits if servo not in twelve)
        found.append(MIXED.finding(f'{arm} arm: for 7.4 V: {names}; others for 12 V', **values))
    if highest - lowest > _UNEVEN:
        first = next(servo for servo, value in volts.items() if highest - value > _UNEVEN)
        found.append(
            UNEVEN.finding(
                f'{arm} arm: {lowest:.1f} to {highest:.1f} V, low from {reading.name(first)} on',
                first=reading.name(first),
                **values,
            )
        )
    yield from found
    if not found:
        kind = '12 V' if twelve else '7.4 V'
        yield sound(AREA, f'{arm} arm: {highest:.1f} V on {kind} servos', **values)
