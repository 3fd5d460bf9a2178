"""A report is what its episodes say, also when it is read again from JSON."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so101_episodes.episode import Episode, Mark
from so101_evaluation import report_page
from so101_evaluation.entry import Entry
from so101_evaluation.group import Group, Summary
from so101_evaluation.report import Report
from so101_node.error import UserError

CALMLY = settings(deadline=None, max_examples=50)  # on a busy machine, too

ENTRIES = st.builds(
    Entry,
    name=st.text(),
    folder=st.text(),
    video=st.just(''),
    video_s=st.floats(0, 1e6),
    checkpoint=st.sampled_from(['', 'a/1', 'b/1', 'b/2/pretrained_model']),
    place=st.sampled_from(['', '1 of 4 (far left)', 'table']),
    task=st.text(),
    outcome=st.sampled_from(['success', 'failure', 'unlabelled']),
    reason=st.sampled_from(['', 'missed', 'dropped']),
    started=st.integers(0, 2**62),
    duration_s=st.floats(0, 1e4),
    salvaged=st.booleans(),
    lost=st.dictionaries(st.text(), st.integers(1, 99), max_size=2),
    marks=st.just(()),
    figures=st.dictionaries(
        st.sampled_from(['jerk_s', 'other']), st.none() | st.floats(-1e6, 1e6), max_size=2
    ),
    damage=st.text(),
)
REPORTS = st.builds(
    Report,
    title=st.text(),
    made=st.text(),
    kind=st.just('rollout'),
    entries=st.lists(ENTRIES, max_size=6).map(tuple),
    skipped=st.dictionaries(st.text(), st.text(), max_size=2),
    left_out=st.integers(0, 5),
)


@CALMLY
@given(REPORTS)
def test_a_report_read_again_is_the_same(report: Report) -> None:
    document = json.dumps(report.to_json(), allow_nan=False)
    assert Report.from_json(json.loads(document)) == report


@CALMLY
@given(REPORTS)
def test_the_parts_are_the_whole(report: Report) -> None:
    document = report.to_json()
    for parts in ('checkpoints', 'places'):
        for key in ('episodes', 'successes', 'failures', 'unlabelled'):
            total = sum(part[key] for part in document[parts].values())
            assert total == document['overall'][key]
    assert sum(document['overall']['failure_reasons'].values()) == document['overall']['failures']


@CALMLY
@given(REPORTS)
def test_every_report_has_a_page(report: Report) -> None:
    text = report_page.render(report, [''] * len(report.entries))
    assert text.count('<tr class=') == len(report.entries)


def test_an_episode_is_told_with_what_was_wrong(episode_of: Callable[..., Episode]) -> None:
    start = episode_of().started
    mark = Mark('wrist', 'frozen', start + 2_000_000_000, start + 3_500_000_000, 'stood still')
    figures = {'starved_seconds': math.nan}
    entry = Entry.of(
        episode_of(marks=(mark,), salvaged=True, figures=figures), 'name', 'folder', damage='cut'
    )
    assert entry.warnings == [
        'its recorder was killed; it was salvaged',
        'cut',
        '2 messages of /joint_states were lost',
        '2.0 to 3.5 s: stood still',
    ]
    assert entry.figures == {'starved_seconds': None}


def test_reasons_are_those_of_failures_the_most_frequent_first(
    episode_of: Callable[..., Episode],
) -> None:
    outcomes = [('failure', 'a'), ('failure', 'b'), ('failure', 'b'), ('failure', '')]
    outcomes += [('success', 'lucky'), ('unlabelled', 'interrupted')]
    entries = [
        Entry.of(episode_of(outcome=outcome, reason=reason), '', '')
        for outcome, reason in outcomes
    ]
    assert list(Group('all', tuple(entries)).reasons.items()) == [
        ('b', 2),
        ('a', 1),
        ('not said', 1),
    ]


def test_a_summary_is_of_what_was_measured() -> None:
    assert Summary.of([None, 1.0, 2.0, None, 3.0]) == Summary(3, 2.0, 1.5, 2.5)
    assert Summary.of([None]) is None


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        ({'so101_report': 2}, 'form 2'),
        ({'title': 3}, 'title of Report is 3'),
        ({'episodes': None}, 'entries of Report'),
        ({'episodes': [{}]}, 'name of Entry'),
    ],
)
def test_what_is_no_report_is_refused(change: dict[str, Any], complaint: str) -> None:
    document = Report('title', 'now', 'rollout', (), {}, 0).to_json() | change
    with pytest.raises(UserError, match=complaint):
        Report.from_json(document)


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        ({'outcome': 'good'}, 'outcome'),
        ({'figures': {'a': 'b'}}, 'figures'),
        ({'duration_s': math.inf}, 'duration_s'),
        ({'duration_s': 10**400}, 'duration_s'),
        ({'figures': {'a': math.nan}}, 'figures'),
        ({'lost': {'a': 'b'}}, 'lost'),
        ({'marks': [3]}, 'Trouble'),
    ],
)
def test_an_episode_that_is_none_is_refused(
    episode_of: Callable[..., Episode], change: dict[str, Any], complaint: str
) -> None:
    entry = Entry.of(episode_of(), 'name', 'folder')
    report = Report('title', 'now', 'rollout', (entry,), {}, 0)
    document = json.loads(json.dumps(report.to_json()))
    document['episodes'][0] |= change
    with pytest.raises(UserError, match=complaint):
        Report.from_json(document)


@pytest.mark.parametrize('document', [[], {}, {'so101_comparison': 1}, None])
def test_something_else_is_no_report(document: Any) -> None:
    with pytest.raises(UserError, match='no report'):
        Report.from_json(document)
