"""The driver meets each fault as the table demands, and the table in docs/ has them all."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from so101_sim.fault_table import ROWS, Row, missing
from so101_sim.fault_trial import Pose, Sample, Stand, unasked

DOCUMENT = Path(__file__).parents[3] / 'docs' / 'faults.md'


@pytest.fixture(scope='module')
def stand(tmp_path_factory: pytest.TempPathFactory, calibration_path: Path) -> Iterator[Stand]:
    one = Stand(tmp_path_factory.mktemp('stand'), calibration_path)
    yield one
    one.close()


# A driver that waits for a core misses replies as well, and pauses for it.
TRIALS = [
    pytest.param(row, marks=[pytest.mark.alone] if row.steady else [], id=str(row)) for row in ROWS
]


@pytest.mark.parametrize('row', TRIALS)
def test_the_driver_meets_a_fault_as_the_table_demands(stand: Stand, row: Row) -> None:
    assert stand.trial(row).misses == []


def test_every_fault_has_a_row() -> None:
    assert missing() == set()


@pytest.mark.parametrize('row', ROWS, ids=str)
def test_a_row_stands_in_the_document(row: Row) -> None:
    start = f'| {row.orders} | {row.situation} | '
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith(start)]
    assert len(lines) == 1
    assert f'| {row.torque} | {row.outcome} | ' in lines[0]
    assert row.message in lines[0]
    assert lines[0].endswith(f'| {row.steps} |')


CYCLE = 5_000_000
STRUCK = 100 * CYCLE


def asked(now: int) -> Pose:
    """One joint goes at 1 rad/s, the others stand."""
    return np.array([now * 1e-9, 0.0, 0.0, 0.0, 0.0, 0.0])


def samples(leap: Pose, torque: bool = True) -> list[Sample]:
    """Joints that do what is asked 10 ms late and a little aside, and leap with the fault."""
    return [
        Sample(
            now,
            asked(now - 2 * CYCLE) + 0.02 + (leap if now > STRUCK + 20 * CYCLE else 0.0),
            (True, torque, True, True, True, True),
        )
        for now in range(0, 2 * STRUCK, CYCLE)
    ]


def test_motion_on_the_way_that_was_asked_is_none_of_the_faults() -> None:
    assert unasked(samples(np.zeros(6)), STRUCK, asked) == pytest.approx(0.0, abs=1e-9)
    stays_behind = np.array([-0.1, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert unasked(samples(stays_behind), STRUCK, asked) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize('joint', range(6))
@pytest.mark.parametrize('way', [0.2, -0.5])
def test_a_leap_off_the_way_is_measured(joint: int, way: float) -> None:
    measured = unasked(samples(np.eye(6)[joint] * way), STRUCK, asked)
    assert measured is not None
    assert measured > np.rad2deg(0.1)


def test_a_joint_without_torque_may_fall() -> None:
    falls = samples(np.array([0.0, 0.5, 0.0, 0.0, 0.0, 0.0]), torque=False)
    assert unasked(falls, STRUCK, asked) == pytest.approx(0.0, abs=1e-9)
    limp = [sample._replace(torque=(False,) * 6) for sample in falls]
    assert unasked(limp, STRUCK, asked) is None


def test_a_trial_is_judged_while_the_physics_go_on() -> None:
    samples = [Sample(now, np.zeros(6), (True,) * 6) for now in range(3)]

    def asked(now: int) -> Pose:
        if len(samples) < 10:
            samples.append(Sample(len(samples), np.ones(6), (True,) * 6))
        return np.zeros(6)

    assert unasked(samples, 0, asked) == 0.0
