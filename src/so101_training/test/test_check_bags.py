"""Bags in every state are checked: stamps, receipts, what is missing and what is broken."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from so101_training.checks import survey
from so101_training.checks.bags import BagPiece, Bags, read
from so101_training.checks.finding import BAD, DOUBTFUL
from so101_training.checks.verdict import GOOD, Verdict, judged
from so101_training.scripted.bag_writer import write_bag
from so101_training.scripted.motion import Plan
from so101_training.scripted.scene import TASK, Scene, scene

SIZE = (64, 96)


@pytest.fixture
def made() -> Scene:
    random = np.random.default_rng(12)
    found = scene(random, SIZE, Plan.drawn(random).but(speed=2.0))
    found.outcome, found.reason = 'success', ''
    return found


def verdict(folder: Path) -> Verdict:
    source = survey.opened([folder])
    return judged(survey.surveyed(source, 'it', lambda done, of: None, 1)).verdicts[0]


def texts(folder: Path, name: str) -> str:
    return ' '.join(each.text for each in verdict(folder).findings if each.check == name)


def test_a_bag_becomes_a_take(made: Scene, tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag', made)
    take = read(BagPiece(tmp_path / 'bag', 7, (), 1))
    assert (take.number, take.name, take.tasks, take.outcome) == (7, 'bag', (TASK,), 'success')
    assert take.fps is None and take.state is not None and take.action is not None
    assert set(take.pictures) == {'wrist', 'overhead'}
    assert len(take.pictures['wrist'].seconds) == made.length
    seconds = made.motion.seconds
    for signal, values in ((take.state, made.motion.state), (take.action, made.motion.action)):
        between = signal.at(seconds[5:-5])  # of 100 a second, interpolated both ways
        assert np.abs(between - values[5:-5]).max() < 1.0
    assert verdict(tmp_path / 'bag').verdict == GOOD


def test_its_pictures_are_found_again(made: Scene, tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag', made)
    seconds = float(made.motion.seconds[20])
    found = Bags([tmp_path / 'bag']).thumbnails(0, 'overhead', [seconds, 999.0])
    assert list(found) == [seconds]
    assert np.abs(found[seconds].astype(int) - made.cameras['overhead'](20)).mean() < 6
    assert Bags([tmp_path / 'nothing']).thumbnails(0, 'overhead', [0.0]) == {}


def test_gaps_by_their_stamps(made: Scene, tmp_path: Path) -> None:
    made.stamps['wrist'] = np.delete(made.motion.seconds, slice(30, 37))
    made.stamps['overhead'] = np.delete(made.motion.seconds, slice(50, 75))
    made.stamps['joint_states'] = np.delete(
        np.arange(0, made.motion.seconds[-1], 0.01), slice(150, 180)
    )
    write_bag(tmp_path / 'bag', made)
    by_source = {
        (each.camera, each.severity): each.text
        for each in verdict(tmp_path / 'bag').findings
        if each.check == 'gaps' and 'nothing came' in each.text
    }
    assert set(by_source) == {('wrist', DOUBTFUL), ('overhead', BAD), ('', DOUBTFUL)}
    assert '0.27 s' in by_source['wrist', DOUBTFUL]
    assert 'joint_states for 0.31 s' in by_source['', DOUBTFUL]


def test_cameras_of_different_moments(made: Scene, tmp_path: Path) -> None:
    made.delays['overhead'] = 0.2
    write_bag(tmp_path / 'bag', made)
    found = texts(tmp_path / 'bag', 'skew')
    assert 'overhead camera are' in found and 'older than those of the wrist' in found


def test_a_camera_that_others_have(made: Scene, tmp_path: Path) -> None:
    for name in ('a', 'b'):
        write_bag(tmp_path / name, made)
    del made.cameras['wrist']
    write_bag(tmp_path / 'c', made)
    made.cameras.clear()
    write_bag(tmp_path / 'd', made)
    source = survey.opened([tmp_path])
    found = judged(survey.surveyed(source, 'it', lambda done, of: None, 1)).verdicts
    assert [each.verdict for each in found] == [GOOD, GOOD, BAD, BAD]
    assert 'no pictures of the wrist camera' in found[2].findings[0].text
    assert 'holds no pictures' in found[3].findings[0].text


def test_stamps_that_run_backwards(made: Scene, tmp_path: Path) -> None:
    stamps = made.motion.seconds.copy()
    stamps[40:] -= 0.5
    made.stamps['wrist'] = stamps
    made.delays['wrist'] = 0.02
    # Received in the order in which they were taken, whatever the clock said.
    write_bag(tmp_path / 'bag', replace(made, delays={'wrist': 0.02}))
    take = read(BagPiece(tmp_path / 'bag', 0, (), 1))
    assert len(take.pictures['wrist'].seconds) == made.length


def test_a_bag_that_is_cut_or_holds_nonsense(made: Scene, tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag', made)
    file = next((tmp_path / 'bag').glob('*.mcap'))
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    assert verdict(tmp_path / 'bag').verdict == BAD
    assert 'broken' in texts(tmp_path / 'bag', 'integrity')
    file.write_bytes(b'')
    assert verdict(tmp_path / 'bag').verdict == BAD


def test_an_episode_that_says_nonsense_of_itself(made: Scene, tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag', made)
    path = tmp_path / 'bag/episode.json'
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {'outcome': 'splendid'}))
    assert 'splendid' in texts(tmp_path / 'bag', 'integrity')
    path.write_text(json.dumps(values | {'outcome': 'failure', 'reason': 'dropped'}))
    assert 'dropped' in texts(tmp_path / 'bag', 'failure')


def test_a_plain_bag_is_an_episode_without_a_task(made: Scene, tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag', made)
    (tmp_path / 'bag/episode.json').unlink()
    found = verdict(tmp_path / 'bag')
    assert [(each.check, each.severity) for each in found.findings] == [('task', BAD)]
