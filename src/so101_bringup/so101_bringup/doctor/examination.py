"""All checks, in the order in which a robot comes to life."""

from collections.abc import Callable, Collection, Iterator
from types import ModuleType

from so101_bringup.doctor.checks import (
    bus,
    calibration,
    camera,
    checkpoint,
    clock,
    dataset,
    dds,
    disk,
    gpu,
    images,
    memory,
    network,
    port,
    processor,
    robot,
    servos,
    supply,
    usb,
    versions,
)
from so101_bringup.doctor.finding import Finding, Kind
from so101_bringup.doctor.subject import Subject
from so101_node.error import UserError

# The clock last: it is watched from the start.
CHECKS: dict[str, ModuleType] = {
    check.AREA: check
    for check in (
        robot, usb, port, bus, servos, supply, calibration, camera, images, gpu, checkpoint,
        dataset, dds, network, disk, processor, memory, versions, clock,
    )
}  # fmt: skip

Progress = Callable[[str], None]


def chosen(text: str) -> list[str]:
    """Return the areas of `usb,bus`, all of an empty text. Raises UserError for unknown ones."""
    names = [part.strip() for part in text.split(',') if part.strip()]
    if odd := [name for name in names if name not in CHECKS]:
        raise UserError(f'--only {", ".join(odd)}: unknown; known: {", ".join(CHECKS)}')
    return [name for name in CHECKS if not names or name in names]


def examine(
    subject: Subject, areas: Collection[str], progress: Progress = lambda area: None
) -> Iterator[Finding]:
    """Yield what the checks of these areas find; `progress` hears of each before it begins."""
    for area in areas:
        progress(area)
        yield from CHECKS[area].find(subject)


def kinds() -> list[Kind]:
    """Return everything that can be wrong, in the order of the checks."""
    return [
        kind
        for check in CHECKS.values()
        for kind in vars(check).values()
        if isinstance(kind, Kind)
    ]
