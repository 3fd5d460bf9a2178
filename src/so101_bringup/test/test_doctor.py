"""Each planted fault is found and named; a sound robot has none."""

from pathlib import Path

import pytest

from so101_bringup.doctor.examination import CHECKS, examine, kinds
from so101_bringup.doctor.finding import Kind, Level
from so101_bringup.doctor.planted_faults import PLANTED, Planted
from so101_bringup.doctor.stand import Stand

ROUNDS = 400


@pytest.fixture
def stand(tmp_path: Path, unmarked: Path) -> Stand:
    return Stand(tmp_path, unmarked)


def found(stand: Stand) -> dict[str, str]:
    """Return the ids of all that is wrong, and what was said."""
    return {
        finding.id: f'{finding.found} -> {finding.cure}'
        for finding in examine(stand.subject(ROUNDS), CHECKS)
        if finding.level in (Level.WARN, Level.ERROR)
    }


def test_a_sound_robot_has_nothing_wrong(stand: Stand) -> None:
    assert found(stand) == {}


@pytest.mark.parametrize('planted', PLANTED, ids=lambda planted: planted.fault.replace(' ', '_'))
def test_a_planted_fault_is_found_and_nothing_else(stand: Stand, planted: Planted) -> None:
    planted.plant(stand)
    wrong = found(stand)
    assert planted.kind.id in wrong
    assert set(wrong) <= {planted.kind.id, *(kind.id for kind in planted.also)}


def test_every_kind_is_planted() -> None:
    assert {one.kind.id for one in PLANTED} == {kind.id for kind in kinds()}


def test_every_kind_is_documented() -> None:
    text = (Path(__file__).parents[3] / 'docs' / 'doctor.md').read_text()
    for kind in kinds():
        assert f'| `{kind.id}` | {kind.level.value} |' in text


def test_ids_are_unique_and_name_their_area() -> None:
    ids = [kind.id for kind in kinds()]
    assert len(set(ids)) == len(ids)
    assert {kind.area for kind in kinds()} == set(CHECKS)
    for check in CHECKS.values():
        assert {k.area for k in vars(check).values() if isinstance(k, Kind)} == {check.AREA}
