"""Figures: what misses a required target is a failure, also when it could not be measured."""

import json
from pathlib import Path

from so101_bringup import figures
from so101_bringup.figures import at_least, at_most, exactly, mark


def test_marks() -> None:
    assert mark(at_most('a', 1.0, 2, 'ms')) == 'ok'
    assert mark(at_most('a', 3.0, 2, 'ms')) == 'slow'
    assert mark(at_least('a', 1.0, 2, 'Hz', required=True)) == 'FAILED'
    assert mark(exactly('a', float('nan'), 0, '', required=True)) == 'FAILED'
    assert mark(exactly('a', None, 0, '')) == ''


def test_a_required_figure_that_was_not_measured_has_failed() -> None:
    good = exactly('good', 0, 0, '', required=True)
    slow = at_most('slow', 9.0, 1, 's')
    missing = exactly('missing', None, 0, '', required=True)
    assert figures.failed([good, slow, missing]) == [missing]


def test_the_file_has_the_agreed_form(tmp_path: Path) -> None:
    path = tmp_path / 'deep' / 'x.json'
    interval = (1.5, 2.5)
    found = [at_most('t', 2.0, 3, 'us', baseline_name='other', baseline=8.0, interval=interval)]
    figures.write(path, 'x', found, notes=['n'])
    document = json.loads(path.read_text())
    assert document['name'] == 'x'
    assert document['notes'] == ['n']
    assert document['machine']['cores'] >= 1
    assert document['figures'] == [
        {
            **{'name': 't', 'value': 2.0, 'unit': 'us', 'target': '<= 3', 'ok': True},
            **{'interval': [1.5, 2.5], 'required': False, 'ratio': 0.25},
            'baseline': {'name': 'other', 'value': 8.0},
        }
    ]
    assert not list(tmp_path.glob('**/*.partial'))
