"""The reporter follows a folder of episodes, and its last report is complete."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from so101_episodes.episode import Episode
from so101_node.topics import DIAGNOSTICS

Write = Callable[..., Episode]

MODULE = 'so101_evaluation.reporter_node'


def outcomes(directory: Path) -> list[str]:
    file = directory / 'report.json'
    if not file.exists():
        return []
    return [episode['outcome'] for episode in json.loads(file.read_text())['episodes']]


def test_each_episode_and_each_label_is_reported(
    graph: Any, tmp_path: Path, write_episode: Write
) -> None:
    said: list[str] = []
    graph.node.subscribe(
        DIAGNOSTICS, lambda m: said.extend(s.message for s in m.status if 'reporter' in s.name)
    )
    directory = tmp_path / 'evaluation'
    reporter = graph.start(MODULE, directory=directory)
    graph.wait_for(lambda: 'no rollout yet' in said, 'status')
    assert not (directory / 'report.json').exists()
    first = write_episode(directory / 'a', outcome='unlabelled')
    graph.wait_for(lambda: outcomes(directory) == ['unlabelled'], 'report')
    replace(first, outcome='success').save(directory / 'a')
    graph.wait_for(lambda: outcomes(directory) == ['success'], 'report after a label')
    graph.wait_for(lambda: any('1 of 1 successes' in line for line in said), 'result')
    write_episode(directory / 'b', outcome='failure', started=first.started + 1)
    reporter.send_signal(signal.SIGTERM)
    out, error = reporter.communicate(timeout=20)
    assert reporter.returncode == 0, error
    assert outcomes(directory) == ['success', 'failure']
    line = out.splitlines()[-1]
    assert line == (
        f'1 of 2 successes, 50 % (Wilson 95 %: 9 to 91 %): {directory / "report.html"}'
    )


def test_a_report_that_cannot_be_written_is_said_and_tried_again(
    graph: Any, tmp_path: Path, write_episode: Write
) -> None:
    said: list[str] = []
    graph.node.subscribe(
        DIAGNOSTICS, lambda m: said.extend(s.message for s in m.status if 'reporter' in s.name)
    )
    (tmp_path / 'report.html').mkdir()
    write_episode(tmp_path / 'a')
    reporter = graph.start(MODULE, directory=tmp_path)
    graph.wait_for(lambda: any('cannot write' in line for line in said), 'complaint')
    (tmp_path / 'report.html').rmdir()
    graph.wait_for(lambda: outcomes(tmp_path) == ['success'], 'report')
    reporter.send_signal(signal.SIGINT)
    reporter.communicate(timeout=20)
    assert reporter.returncode == 0


def test_a_folder_that_cannot_be_made_ends_it(graph: Any, tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    reporter = graph.start(MODULE, directory=tmp_path / 'file' / 'below')
    _, error = reporter.communicate(timeout=20)
    assert reporter.returncode == 1
    assert 'cannot use' in error
    assert 'Traceback' not in error
