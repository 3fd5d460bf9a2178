"""so101 check as a person calls it: codes, files, words."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from so101_training import check
from so101_training.checks.verdict import ranges
from so101_training.scripted import defects
from so101_training.scripted.bag_writer import write_bag
from so101_training.scripted.dataset_writer import write_dataset
from so101_training.scripted.motion import Plan
from so101_training.scripted.scene import Scene, scene

SIZE = (64, 96)
EVIL = '<script>alert("x")</script> & the cube'


def made(count: int, dark: set[int], task: str = 'Pick up the cube') -> list[Scene]:
    random = np.random.default_rng(21)
    found = []
    for number in range(count):
        each = scene(random, SIZE, Plan.drawn(random).but(speed=3.0))
        each.task = task
        if number in dark:
            each.cameras['overhead'] = defects.black(each.cameras['overhead'], 0, each.length)
        found.append(each)
    return found


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        check.main([*words, '--processes', '1'])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture(scope='module')
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('datasets')
    for name, dark, task in (('good', set(), EVIL), ('one', {2}, EVIL), ('dark', {0, 1, 2}, EVIL)):
        write_dataset(root / name, made(4, dark, task), SIZE, preset='ultrafast')
    return root


def test_all_good_is_0_and_the_page_needs_nothing(
    datasets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(str(datasets / 'good')) == 0
    page = datasets / 'good_check.html'  # the data set's own folder stays LeRobot's
    assert f'bad none; doubtful none: {page}' in capsys.readouterr().out
    text = page.read_text()
    assert EVIL not in text
    assert '&lt;script&gt;alert(' in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert not list((datasets / 'good').glob('*.html'))


def test_one_bad_is_1_and_says_why(
    datasets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, verdicts = tmp_path / 'x/page.html', tmp_path / 'verdicts.json'
    assert run(str(datasets / 'one'), '--out', str(page), '--json', str(verdicts)) == 1
    assert '2: every picture of the overhead camera is black' in capsys.readouterr().out
    document = json.loads(verdicts.read_text())
    assert (document['so101_check'], document['good']) == (1, False)
    assert [each['verdict'] for each in document['episodes']] == ['good', 'good', 'bad', 'good']
    found = document['episodes'][2]['findings'][0]
    assert (found['check'], found['camera'], found['severity']) == ('black', 'overhead', 'bad')
    assert found['seconds'][0] == 0.0
    assert 'class="marked"' in page.read_text()


@pytest.mark.timeout(240)  # LeRobot brings torch: ten seconds of a core before anything is done
def test_fix_leaves_it_out(
    datasets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(datasets / 'one'), '--out', str(tmp_path / 'page.html')]
    assert run(*words, '--fix', str(tmp_path / 'fixed'), '--exclude', '0') == 0
    assert '2 episodes; left out: 0, 2' in capsys.readouterr().out
    assert run(str(tmp_path / 'fixed'), '--out', str(tmp_path / 'after.html')) == 0
    assert run(*words, '--fix', str(tmp_path / 'kept'), '--keep', '2') == 0
    assert '4 episodes; left out: none' in capsys.readouterr().out


def test_a_camera_that_is_bad_in_most_is_named(
    datasets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(datasets / 'dark'), '--out', str(tmp_path / 'page.html')]
    assert run(*words) == 1
    assert 'train without it, --exclude-cameras overhead' in capsys.readouterr().out
    assert 'overhead' in (tmp_path / 'page.html').read_text()
    assert run(*words, '--exclude-cameras', 'overhead') == 0


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (['one', '--exclude', '1'], 'about --fix'),
        (['one', '--fix', 'good'], 'is there already'),
        (['one', '--fix', 'new', '--keep', '77'], 'has no episode 77'),
        (['one', '--exclude-cameras', 'side'], 'has no camera side'),
        (['nowhere'], 'no such folder'),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    datasets: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(datasets)
    assert run(*words, '--out', str(tmp_path / 'page.html')) == 1
    error = capsys.readouterr().err
    assert said in error.splitlines()[-1] and error.splitlines()[-1].startswith('check: ')
    assert not (datasets / 'new').exists()
    assert not list(datasets.glob('.*'))


@pytest.mark.parametrize('words', [[], ['a', '--keep', 'five'], ['a', '--nonsense']])
def test_wrong_words_are_2(words: list[str]) -> None:
    assert run(*words) == 2


def test_bags_have_the_page_among_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, each in enumerate(made(2, {1})):
        write_bag(tmp_path / 'recordings' / f'take_{number}', each)
    assert run(str(tmp_path / 'recordings')) == 1
    assert 'data:image/jpeg' in (tmp_path / 'recordings/check.html').read_text()
    assert run(str(tmp_path / 'recordings/take_0')) == 0
    assert (tmp_path / 'recordings/take_0_check.html').is_file()
    capsys.readouterr()
    two = [str(tmp_path / 'recordings' / name) for name in ('take_0', 'take_1')]
    assert run(*two) == 1
    assert 'give --out' in capsys.readouterr().err
    assert run(*two, '--fix', str(tmp_path / 'fixed'), '--out', str(tmp_path / 'p.html')) == 1
    assert '--fix is for a dataset' in capsys.readouterr().err


def test_ranges_are_written_as_a_person_would() -> None:
    assert ranges([]) == ''
    assert ranges([3]) == '3'
    assert ranges([74, 71, 3, 72, 73, 5, 6]) == '3, 5, 6, 71 to 74'
