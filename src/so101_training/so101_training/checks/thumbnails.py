"""Small pictures of an episode: its start, middle and end, and where something was found."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from so101_cameras.image import to_jpeg
from so101_training.checks.bags import Bags
from so101_training.checks.dataset import Dataset
from so101_training.checks.finding import Finding
from so101_training.checks.survey import each_of
from so101_training.checks.take import Collection, Take
from so101_training.checks.verdict import GOOD, Judgement

# Pixels and quality of one: 3 to 5 kB, so that 75 episodes of two cameras make a page of 3 MB.
_WIDTH = 144
_QUALITY = 68

# Pictures of a camera besides start, middle and end.
_MORE = 2

# Episodes up to which the good ones have pictures, too.
_MOST = 300


@dataclass(frozen=True)
class Thumbnail:
    """`uri`: a JPEG as data URI, '' where there is no picture; `found`: what was found there."""

    second: float
    uri: str
    found: str


@dataclass(frozen=True)
class _Wanted:
    source: Dataset | Bags
    number: int
    camera: str
    seconds: tuple[tuple[float, str], ...]

    @property
    def frames(self) -> int:
        return len(self.seconds)


Strips = dict[tuple[int, str], list[Thumbnail]]


def thumbnails(
    source: Dataset | Bags,
    collection: Collection,
    judgement: Judgement,
    advance: Callable[[int, int], None],
    processes: int,
) -> Strips:
    """Return the pictures of (number, camera), in the order of time."""
    takes = {take.number: take for take in collection.takes}
    shown = [
        verdict
        for verdict in judgement.verdicts
        if len(judgement.verdicts) <= _MOST or verdict.verdict != GOOD
    ]
    wanted = [
        _Wanted(source, verdict.number, camera, seconds)
        for verdict in shown
        for camera in takes[verdict.number].pictures
        if (seconds := chosen(takes[verdict.number], camera, verdict.findings))
    ]
    if not wanted:
        return {}
    found = each_of(_taken, wanted, advance, processes)
    return {(each.number, each.camera): strip for each, strip in found}


def chosen(
    take: Take, camera: str, findings: tuple[Finding, ...]
) -> tuple[tuple[float, str], ...]:
    """Return the seconds of the pictures to show, and what was found there."""
    known = take.pictures[camera].seconds
    if not len(known):
        return ()
    marked: dict[float, str] = {}
    for finding in findings:
        if finding.seconds and finding.camera in (camera, '') and len(marked) < _MORE:
            at = sum(finding.seconds) / 2 if finding.worst is None else finding.worst
            marked.setdefault(float(known[np.argmin(np.abs(known - at))]), finding.check)
    usual = {float(known[i]): '' for i in (0, len(known) // 2, -1)}
    return tuple(sorted((usual | marked).items()))


def _taken(wanted: _Wanted) -> list[Thumbnail]:
    pictures = wanted.source.thumbnails(
        wanted.number, wanted.camera, [second for second, _ in wanted.seconds]
    )
    return [
        Thumbnail(second, _uri(pictures[second]) if second in pictures else '', found)
        for second, found in wanted.seconds
    ]


def _uri(pixels: np.ndarray) -> str:
    height = max(round(_WIDTH * pixels.shape[0] / pixels.shape[1]), 1)
    small = cv2.resize(pixels, (_WIDTH, height), interpolation=cv2.INTER_AREA)
    jpeg = to_jpeg(small, _QUALITY)  # type: ignore[arg-type]
    return f'data:image/jpeg;base64,{b64encode(jpeg).decode()}'
