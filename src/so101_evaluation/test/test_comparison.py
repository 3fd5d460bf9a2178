"""so101 compare on two reports: what it matches, prints and writes, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from so101_episodes.episode import Episode
from so101_evaluation import compare_command
from so101_evaluation.comparison import Comparison
from so101_evaluation.entry import Entry
from so101_evaluation.report import Report

Make = Callable[..., Episode]


def report(make: Make, **groups: dict) -> Report:
    """Return a report of groups of episodes: each has a number `n`, and values of an episode."""
    entries = [
        Entry.of(make(**{key: value for key, value in group.items() if key != 'n'}), name, name)
        for name, group in groups.items()
        for _ in range(group['n'])
    ]
    return Report('title', 'now', 'rollout', tuple(entries), {}, 0)


@pytest.fixture
def before(episode_of: Make) -> Report:
    one = {'checkpoint': 'old/1', 'figures': {'jerk_rms_degrees': 2.0, 'gone_s': 1.0}}
    return report(
        episode_of,
        a={'n': 6, **one},
        b={'n': 4, 'outcome': 'failure', 'reason': 'missed', **one},
        c={'n': 1, 'outcome': 'unlabelled', 'place': '', **one},
    )


@pytest.fixture
def after(episode_of: Make) -> Report:
    one = {'figures': {'jerk_rms_degrees': 1.0, 'new_s': None}}
    return report(
        episode_of,
        a={'n': 5, 'checkpoint': 'new/1', **one},
        b={'n': 5, 'checkpoint': 'new/2', 'place': '2 of 4 (far right)', **one},
        c={'n': 1, 'checkpoint': 'new/2', 'outcome': 'failure', 'reason': 'dropped', **one},
        d={'n': 1, 'checkpoint': 'new/2', 'task': 'Another', **one},
    )


def test_like_is_held_against_like(before: Report, after: Report) -> None:
    found = Comparison(before, after, 'before', 'after')
    assert list(found.checkpoints) == ['1']
    assert found.checkpoints['1'].second.tally.total == 5
    assert list(found.places) == ['1 of 4 (far left)']
    assert found.reasons == {'missed': (4, 0), 'dropped': (0, 1)}
    ratios = {pair.name: pair.ratio for pair in found.figures}
    assert ratios == {
        'success_duration_s': 1.0,
        'jerk_rms_degrees': 0.5,
        'gone_s': None,
        'new_s': None,
    }
    assert found.cautions == [
        "only in after: the task 'Another'",
        "only in after: the place '2 of 4 (far right)'",
        'before: 1 unlabelled, left out',
    ]


def test_two_reports_become_a_page_a_file_and_a_table(
    before: Report, after: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, one in (('before', before), ('after', after)):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'report.json').write_text(json.dumps(one.to_json()))
    out = tmp_path / 'out'
    words = [str(tmp_path / 'before'), str(tmp_path / 'after' / 'report.json')]
    compare_command.main([*words, '--out', str(out)])
    said = capsys.readouterr().out
    assert '60 % (6 of 10)' in said
    assert '92 % (11 of 12)' in said
    assert 'no difference shown: -4 to +61 points' in said
    document = json.loads((out / 'comparison.json').read_text())
    assert document['overall']['difference'] == pytest.approx(11 / 12 - 0.6)
    assert document['overall']['shown'] is False
    assert document['first']['name'] == 'before'
    assert document['figures']['jerk_rms_degrees']['ratio'] == 0.5
    page = (out / 'comparison.html').read_text()
    assert 'href="../before/report.html"' in page
    assert 'No difference shown: -4 to +61 points' in page


def refused(capsys: pytest.CaptureFixture[str], *words: Path) -> str:
    with pytest.raises(SystemExit) as end:
        compare_command.main([str(word) for word in words])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith('compare: ')
    assert said.count('\n') == 1
    return said


def test_what_is_no_report_is_refused(
    before: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / 'good.json', tmp_path / 'bad.json'
    good.write_text(json.dumps(before.to_json()))
    assert 'is given twice' in refused(capsys, good, good)
    assert 'cannot read' in refused(capsys, good, bad)
    for text in ('{', '[]', '{}', '\x00', json.dumps(before.to_json() | {'episodes': [1]})):
        bad.write_text(text)
        assert 'bad.json' in refused(capsys, good, bad)
    bad.write_bytes(b'\xff\xfe')
    assert 'bad.json' in refused(capsys, good, bad)
