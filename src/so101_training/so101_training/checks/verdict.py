"""All checks, and what they say together: a verdict for each episode; pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from so101_training.checks import (
    black,
    blurred,
    following,
    frozen,
    gaps,
    grasp,
    integrity,
    labels,
    lag,
    limits,
    outliers,
    overexposed,
    pauses,
    rate,
    skew,
    statistics,
    task_text,
    torn,
    units,
)
from so101_training.checks.finding import BAD, DOUBTFUL, Finding
from so101_training.checks.take import Collection

FORM = 1  # of the JSON file: the value of its key 'so101_check'

GOOD = 'good'

# Episodes of which most being bad says something of a camera.
_FEW = 3

# In the order in which a person wants to read them: what is broken, then pictures, joints, text.
CHECKS = (
    integrity, labels, grasp, black, frozen, rate, gaps, torn, blurred, overexposed, skew, units,
    limits, lag, following, pauses, outliers, task_text, statistics,
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """`verdict`: good, doubtful or bad, as the worst of the findings."""

    number: int
    name: str
    verdict: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Judgement:
    """`whole`: the findings about no single episode."""

    title: str
    verdicts: tuple[Verdict, ...]
    whole: tuple[Finding, ...]
    cameras: tuple[str, ...]

    def of(self, verdict: str) -> list[Verdict]:
        return [each for each in self.verdicts if each.verdict == verdict]

    @property
    def bad(self) -> list[int]:
        return [each.number for each in self.of(BAD)]

    @property
    def good(self) -> bool:
        """Whether nothing is bad, in an episode or in all of them."""
        return not self.bad and not any(each.severity == BAD for each in self.whole)

    def unusable_cameras(self) -> list[tuple[str, int]]:
        """Return the cameras that alone make most episodes bad, and in how many they do."""
        found: list[tuple[str, int]] = []
        if len(self.verdicts) < _FEW:
            return found
        for camera in self.cameras:
            count = sum(
                any(f.camera == camera and f.severity == BAD for f in each.findings)
                for each in self.verdicts
            )
            if count > len(self.verdicts) / 2:
                found.append((camera, count))
        return found

    def groups(self) -> list[tuple[str, str, str, list[int]]]:
        """Return check, camera, severity and episodes of what was found, most episodes first."""
        numbers: dict[tuple[str, str, str], list[int]] = {}
        for each in self.verdicts:
            for f in each.findings:
                found = numbers.setdefault((f.check, f.camera, f.severity), [])
                if each.number not in found:
                    found.append(each.number)
        return sorted(
            ((*key, found) for key, found in numbers.items()),
            key=lambda group: (group[2] != BAD, -len(group[3])),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what --json writes; the schema stands in docs/training.md."""
        return {
            'so101_check': FORM,
            'title': self.title,
            'good': self.good,
            'episodes': [
                {
                    'number': each.number,
                    'name': each.name,
                    'verdict': each.verdict,
                    'findings': [_as_json(f) for f in each.findings],
                }
                for each in self.verdicts
            ],
            'dataset': [_as_json(f) for f in self.whole],
            'unusable_cameras': [camera for camera, _ in self.unusable_cameras()],
        }


def judged(collection: Collection) -> Judgement:
    """Run every check."""
    findings: list[Finding] = []
    for check in CHECKS:
        findings += check.find(collection)
    by_number: dict[int | None, list[Finding]] = {}
    for each in findings:
        by_number.setdefault(each.number, []).append(each)
    return Judgement(
        collection.title,
        tuple(
            Verdict(
                take.number, take.name, worst(by_number.get(take.number, ())),
                tuple(by_number.get(take.number, ())),
            )
            for take in collection.takes
        ),
        tuple(by_number.get(None, ())),
        tuple(collection.cameras),
    )  # fmt: skip


def worst(findings: Iterable[Finding]) -> str:
    severities = {each.severity for each in findings}
    return BAD if BAD in severities else DOUBTFUL if DOUBTFUL in severities else GOOD


def ranges(numbers: Sequence[int]) -> str:
    """Return numbers as a person writes them: '3, 17, 71 to 74'."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ', '.join(
        f'{part[0]} to {part[-1]}' if len(part) > 2 else ', '.join(map(str, part))
        for part in parts
    )


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        'check': finding.check,
        'severity': finding.severity,
        'text': finding.text,
        'camera': finding.camera,
        'seconds': list(finding.seconds) if finding.seconds else None,
    }
