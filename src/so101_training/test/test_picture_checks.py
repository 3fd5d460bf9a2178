"""Checks of pictures on data sets that are drawn: what is found where, and what is no defect."""

from collections.abc import Callable

import numpy as np
import pytest

from so101_training.checks import survey
from so101_training.checks.finding import Finding
from so101_training.checks.take import Collection
from so101_training.checks.thumbnails import chosen
from so101_training.checks.verdict import GOOD, Judgement, judged
from so101_training.scripted import defects
from so101_training.scripted.dataset_writer import write_dataset
from so101_training.scripted.motion import Plan
from so101_training.scripted.scene import Camera, Scene, scene

SIZE = (120, 160)
START, STOP = 40, 75  # the samples that are spoilt: the arm is on its way with the cube
RANDOM = np.random.default_rng(30)

SPOILT: dict[str, Callable[[Camera], Camera]] = {
    'black': lambda camera: defects.black(camera, START, STOP, level=8),
    'frozen': lambda camera: defects.frozen(camera, START, STOP),
    'gaps': lambda camera: defects.frozen(camera, START, START + 9),
    'rate': lambda camera: defects.slowed(camera, START, STOP + 10),
    'blurred': lambda camera: defects.blurred(camera, START, STOP, 3.5),
    'overexposed': lambda camera: defects.overexposed(camera, START, STOP, 3.0),
    'torn': lambda camera: defects.torn(camera, np.array([50, 62]), RANDOM, 'shifted'),
    'skew': lambda camera: defects.late(camera, 11),
}


def scenes() -> list[Scene]:
    found = []
    for name in (*SPOILT, 'dim', 'slow', 'paused'):
        plan = Plan.drawn(RANDOM).but(speed=2.2, pause=(0, 0.0))
        if name == 'slow':
            plan = plan.but(speed=1.4)
        if name == 'paused':
            plan = plan.but(pause=(3, 1.2))
        made = scene(RANDOM, SIZE, plan)
        if name in SPOILT:
            made.cameras['wrist'] = SPOILT[name](made.cameras['wrist'])
        if name == 'dim':
            for camera, picture in made.cameras.items():
                gain = 45 / float(np.mean(picture(0)))
                made.cameras[camera] = defects.overexposed(picture, 0, made.length, gain)
        found.append(made)
    return found


@pytest.fixture(scope='module')
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp('pictures') / 'dataset'
    write_dataset(folder, scenes(), SIZE, per_file=4, preset='superfast')
    return survey.surveyed(survey.opened([folder]), 'it', lambda done, of: None, 1)


@pytest.fixture(scope='module')
def judgement(collection: Collection) -> Judgement:
    return judged(collection)


@pytest.mark.parametrize('name', SPOILT)
def test_a_defect_is_found_where_it_is_and_nowhere_else(judgement: Judgement, name: str) -> None:
    number = list(SPOILT).index(name)
    of_pictures = [each for each in judgement.verdicts[number].findings if each.check in SPOILT]
    assert name in {each.check for each in of_pictures}
    assert {each.camera for each in of_pictures} == {'wrist'}
    found = next(each for each in of_pictures if each.check == name)
    if found.seconds is not None:
        assert found.seconds[0] == pytest.approx(START / 30, abs=0.5)
    elsewhere = [
        each.number
        for each in judgement.verdicts
        if each.number != number and name in {f.check for f in each.findings}
    ]
    # A camera that is late stands still when the arm begins: that is no other defect.
    assert set(elsewhere) <= {list(SPOILT).index('skew')}


def test_dim_rooms_slow_arms_and_short_pauses_are_none(judgement: Judgement) -> None:
    assert [each.verdict for each in judgement.verdicts[len(SPOILT) :]] == [GOOD] * 3


def test_the_picture_that_is_shown_is_one_of_the_torn(
    collection: Collection, judgement: Judgement
) -> None:
    number = list(SPOILT).index('torn')
    shown = chosen(collection.takes[number], 'wrist', judgement.verdicts[number].findings)
    marked = [round(second * 30) for second, found in shown if found == 'torn']
    assert len(marked) == 1 and marked[0] in (50, 62)
    assert len(shown) == 4
    usual = chosen(collection.takes[number], 'overhead', judgement.verdicts[number].findings)
    assert [found for _, found in usual] == ['', '', '']


def test_no_more_than_two_are_marked(collection: Collection) -> None:
    many = tuple(Finding(f'{i}', 0, 'bad', '', 'wrist', (i / 3, i / 3)) for i in range(9))
    shown = chosen(collection.takes[0], 'wrist', many)
    assert len([found for _, found in shown if found]) == 2
