"""The accidents of the project that this one grew from, planted where they happened, are found.

75 episodes; an overhead camera that is black from episode 71 on, five failed grasps, and a wrist
camera that falls to half its rate in the middle of an episode.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from so101_training import check
from so101_training.checks import survey
from so101_training.checks.finding import BAD
from so101_training.checks.verdict import GOOD, Judgement, judged, ranges
from so101_training.scripted import defects
from so101_training.scripted.bag_writer import write_bag
from so101_training.scripted.dataset_writer import write_dataset
from so101_training.scripted.motion import Plan
from so101_training.scripted.scene import Scene, scene

EPISODES = 75
FAILED = {3, 17, 18, 26, 45}
BLACK = {71, 72, 73, 74}
SLOW = 31

SIZE = (96, 128)


def scenes(
    episodes: int, failed: set[int], dark: set[int], slow: int, speed: float
) -> Iterator[Scene]:
    random = np.random.default_rng(75)
    for number in range(episodes):
        plan = Plan.drawn(random)
        plan = plan.but(speed=plan.speed * speed, pause=(0, 0.0), grasped=number not in failed)
        made = scene(random, SIZE, plan)
        if number in dark:
            made.cameras['overhead'] = defects.black(made.cameras['overhead'], 0, made.length)
        if number == slow:
            middle = made.length // 3
            made.cameras['wrist'] = defects.slowed(made.cameras['wrist'], middle, made.length)
        yield made


@pytest.fixture(scope='module')
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('accidents') / 'pick_place'
    write_dataset(folder, scenes(EPISODES, FAILED, BLACK, SLOW, 2.4), SIZE, preset='ultrafast')
    return folder


def bad(judgement: Judgement, name: str, camera: str = '') -> set[int]:
    return {
        each.number
        for each in judgement.verdicts
        for found in each.findings
        if (found.check, found.camera, found.severity) == (name, camera, BAD)
    }


def look(folder: Path) -> Judgement:
    source = survey.opened([folder])
    return judged(survey.surveyed(source, folder.name, lambda done, of: None, 1))


@pytest.mark.timeout(240)  # drawing 75 episodes takes 15 s of a core, which others may want, too
def test_they_are_found_in_a_dataset_and_nothing_else(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        page, verdicts = tmp_path / 'page.html', tmp_path / 'verdicts.json'
        words = [str(dataset), '--out', str(page), '--json', str(verdicts), '--processes', '1']
        check.main(words)
    assert ended.value.code == 1
    document = json.loads(verdicts.read_text())
    found = {
        (f['check'], f['camera'], each['number'])
        for each in document['episodes']
        for f in each['findings']
        if f['severity'] == BAD
    }
    assert {n for name, camera, n in found if (name, camera) == ('black', 'overhead')} == BLACK
    assert {n for name, _, n in found if name == 'grasp'} == FAILED
    assert ('rate', 'wrist', SLOW) in found
    of_bad = {each['number'] for each in document['episodes'] if each['verdict'] == BAD}
    assert of_bad == BLACK | FAILED | {SLOW}
    said = capsys.readouterr().out
    assert f'bad {ranges(sorted(of_bad))}' in said
    assert 'the overhead camera is black from episode 71 on' in said
    html = page.read_text()
    assert html.count('src="data:image/jpeg;base64,') >= 2 * 3 * EPISODES
    assert 'src="http' not in html and 'href="http' not in html


def test_they_are_found_in_bags(tmp_path: Path) -> None:
    recordings = tmp_path / 'recordings'
    recordings.mkdir()
    made = scenes(9, {2}, {7, 8}, 5, 1.8)
    for number, each in enumerate(made):
        if number == 5:  # here the pictures that the camera did not give are not there at all
            seconds = each.motion.seconds
            kept = (np.arange(len(seconds)) < len(seconds) // 3) | (
                np.arange(len(seconds)) % 2 == 0
            )
            each.stamps['wrist'] = seconds[kept]
        write_bag(recordings / f'take_{number}', each)
    judgement = look(recordings)
    assert bad(judgement, 'black', 'overhead') == {7, 8}
    assert bad(judgement, 'grasp') == {2}
    assert bad(judgement, 'rate', 'wrist') == {5}
    assert [each.number for each in judgement.of(GOOD)] == [0, 1, 3, 4, 6]
    assert judgement.verdicts[7].name == 'take_7'
