"""so101 report on folders of episodes: what it reads, what it names, what it writes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from so101_episodes.episode import PARTIAL, Episode
from so101_evaluation import report_command, report_writer
from so101_evaluation.report import Report
from so101_evaluation.report_writer import ReportWriter
from so101_view.video_file import VideoFile

Write = Callable[..., Episode]

NASTY = '</title><script>alert(1)</script>"\' onload=alert(2) &amp; {{ 7 * 7 }} <img src=x>'


def data(folder: Path) -> dict:
    return json.loads((folder / 'report.json').read_text())


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    with pytest.raises(SystemExit) as end:
        report_command.main([str(word) for word in words])
    assert end.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith('report: ')
    return said


class Page(HTMLParser):
    """Every tag with its attributes, and all the text that is read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ''
        self._of_style = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, text: str) -> None:
        self.text += text


def test_the_report_is_of_complete_rollouts_and_names_the_others(
    tmp_path: Path, write_episode: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, outcome in enumerate(('success', 'success', 'failure', 'unlabelled')):
        write_episode(tmp_path / f'{number}', outcome=outcome, started=10 - number)
    write_episode(tmp_path / 'by_hand', kind='demonstration')
    write_episode(tmp_path / 'unfinished', complete=False)
    (tmp_path / PARTIAL).mkdir()
    write_episode(tmp_path / PARTIAL / 'being_recorded')
    write_episode(tmp_path / 'broken')
    (tmp_path / 'broken' / 'episode.json').write_text('{')
    write_episode(tmp_path / 'plain_bag')
    (tmp_path / 'plain_bag' / 'episode.json').unlink()
    (tmp_path / 'evaluation_1').mkdir()

    report_command.main([str(tmp_path)])

    said = capsys.readouterr()
    assert said.out == (
        '2 of 3 successes, 67 % (Wilson 95 %: 21 to 94 %), 1 unlabelled: '
        f'{tmp_path / "report.html"}\n'
    )
    assert 'left out: 1 of another kind' in said.err
    document = data(tmp_path)
    assert [episode['name'] for episode in document['episodes']] == ['3', '2', '1', '0']
    assert set(document['skipped']) == {
        'unfinished',
        '.partial/being_recorded',
        'broken',
        'plain_bag',
    }
    assert document['left_out'] == 1
    assert document['overall']['rate'] == pytest.approx(2 / 3)
    for name in document['skipped']:
        assert f'skipped: {name}: ' in said.err


def test_other_kinds_and_checkpoints_can_be_chosen(tmp_path: Path, write_episode: Write) -> None:
    write_episode(tmp_path / 'a', checkpoint='train/10/pretrained_model')
    write_episode(tmp_path / 'b', checkpoint='train/110/pretrained_model')
    write_episode(tmp_path / 'c', kind='demonstration', checkpoint='')
    chosen = {
        ('--checkpoint', '10'): ['a'],
        ('--checkpoint', 'train/110/pretrained_model'): ['b'],
        ('--checkpoint', '10', '--checkpoint', '110'): ['a', 'b'],
        ('--kind', 'demonstration'): ['c'],
        ('--kind', 'all'): ['a', 'b', 'c'],
    }
    for words, names in chosen.items():
        report_command.main([str(tmp_path), *words])
        assert [episode['name'] for episode in data(tmp_path)['episodes']] == names


def test_episodes_of_several_folders_need_a_place_for_the_report(
    tmp_path: Path, write_episode: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write_episode(tmp_path / 'one' / 'a')
    write_episode(tmp_path / 'two' / 'b')
    assert 'give --out' in refused(capsys, tmp_path / 'one', tmp_path / 'two' / 'b')
    out = tmp_path / 'new' / 'out'
    report_command.main([str(tmp_path / 'one'), str(tmp_path / 'two' / 'b'), '--out', str(out)])
    folders = [episode['folder'] for episode in data(out)['episodes']]
    assert folders == ['../../one/a', '../../two/b']
    assert all((out / folder / 'episode.json').is_file() for folder in folders)


def test_nothing_to_report_on_writes_nothing(
    tmp_path: Path, write_episode: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 'no rollout episode' in refused(capsys, tmp_path)
    assert 'No such file' in refused(capsys, tmp_path / 'nowhere')
    write_episode(tmp_path / 'a')
    assert 'of checkpoint 7' in refused(capsys, tmp_path, '--checkpoint', '7')
    assert {path.name for path in tmp_path.iterdir()} == {'a'}


def test_a_report_that_cannot_be_written_leaves_the_last_one(
    tmp_path: Path, write_episode: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write_episode(tmp_path / 'a')
    out = tmp_path / 'out'
    (out / 'report.json').mkdir(parents=True)
    assert 'cannot write' in refused(capsys, tmp_path, '--out', out)
    assert {path.name for path in out.iterdir()} == {'report.json', 'report.html'}


def test_the_page_needs_nothing_else_and_links_beside_itself(
    tmp_path: Path, write_episode: Write
) -> None:
    write_episode(tmp_path / 'with video?')
    (tmp_path / 'with video?' / 'video.mp4').touch()
    write_episode(tmp_path / 'no_images', images=0, outcome='failure', reason='dropped it')
    report_command.main([str(tmp_path)])
    page = Page((tmp_path / 'report.html').read_text())
    tags = {tag for tag, _ in page.tags}
    assert not tags & {'script', 'iframe', 'object', 'base', 'embed'}
    assert [attributes['href'] for tag, attributes in page.tags if tag == 'link'] == ['data:,']
    sources = [a.get('src') for tag, a in page.tags if tag == 'img']
    assert len(sources) == 1
    assert all(source and source.startswith('data:image/jpeg;base64,') for source in sources)
    text = (tmp_path / 'report.html').read_text()
    assert 'http' not in text
    assert 'url(' not in text
    assert '@import' not in text
    assert 'no image' in page.text
    ids = {attributes['id'] for _, attributes in page.tags if 'id' in attributes}
    links = [a['href'] or '' for tag, a in page.tags if tag == 'a']
    assert {link[1:] for link in links if link.startswith('#')} <= ids
    assert {link for link in links if not link.startswith('#')} == {
        'report.json',
        'with%20video%3F',
        'with%20video%3F/video.mp4',
        'no_images',
    }


def test_a_video_of_the_run_is_linked_at_the_episodes_second(
    tmp_path: Path, write_episode: Write
) -> None:
    episode = write_episode(tmp_path / 'a')
    began = episode.started - 1_500_000_000
    film = VideoFile(tmp_path / 'run.mp4', (64, 48), 10, began)
    film.write(np.zeros((48, 64, 3), np.uint8))
    for _ in range(29):
        film.repeat()
    film.close()
    write_episode(tmp_path / 'b', started=episode.started + 60_000_000_000)
    report_command.main([str(tmp_path)])
    first, second = data(tmp_path)['episodes']
    assert (first['video'], first['video_s']) == ('run.mp4', pytest.approx(1.5))
    assert second['video'] == ''
    assert 'href="run.mp4#t=1.5"' in (tmp_path / 'report.html').read_text()


def test_missing_videos_can_be_rendered(tmp_path: Path, write_episode: Write) -> None:
    for name, images in (('filmed', 2), ('not_filmed', 2), ('no_images', 0)):
        write_episode(tmp_path / name, images, ended=1_700_000_001_000_000_000)
    (tmp_path / 'filmed' / 'video.mp4').touch()
    report_command.main([str(tmp_path), '--videos'])
    videos = {episode['name']: episode['video'] for episode in data(tmp_path)['episodes']}
    assert videos == {
        'filmed': 'filmed/video.mp4',
        'not_filmed': 'not_filmed/video.mp4',
        'no_images': '',
    }
    assert (tmp_path / 'filmed' / 'video.mp4').stat().st_size == 0
    assert (tmp_path / 'not_filmed' / 'video.mp4').stat().st_size > 0


def test_texts_of_episodes_are_only_text(tmp_path: Path, write_episode: Write) -> None:
    write_episode(
        tmp_path / 'a', task=NASTY, reason=NASTY, outcome='failure', place=NASTY, checkpoint=NASTY
    )
    write_episode(tmp_path / 'b', task=NASTY, checkpoint='b', figures={NASTY: 1.0})
    report_command.main([str(tmp_path)])
    page = Page((tmp_path / 'report.html').read_text())
    assert not {tag for tag, _ in page.tags} & {'script'}
    assert not [a for _, a in page.tags if any(name.startswith('on') for name in a)]
    assert not [a for _, a in page.tags if a.get('src') == 'x']
    assert page.text.count(NASTY) >= 3
    assert '49' not in page.text.split('Episodes')[0]


def test_what_is_new_is_read_and_what_is_known_is_not(
    tmp_path: Path, write_episode: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    filmstrip = report_writer.filmstrip

    def counted(folder: Path, episode: Episode) -> bytes | None:
        opened.append(folder.name)
        return filmstrip(folder, episode)

    monkeypatch.setattr(report_writer, 'filmstrip', counted)
    first = write_episode(tmp_path / 'a', outcome='unlabelled')
    writer = ReportWriter([tmp_path], tmp_path)
    assert writer.changed()
    writer.write(writer.read())
    assert not writer.changed()
    replace(first, outcome='success', reason='seen from afar').save(tmp_path / 'a')
    assert writer.changed()
    write_episode(tmp_path / 'b', outcome='failure', started=first.started + 1)
    report = writer.read()
    assert [entry.outcome for entry in report.entries] == ['success', 'failure']
    assert opened == ['a', 'b']
    writer.write(report)
    assert Report.from_json(data(tmp_path)) == report


def test_a_folder_name_that_comes_again_has_its_own_pictures(
    tmp_path: Path, write_episode: Write
) -> None:
    write_episode(tmp_path / 'a')
    writer = ReportWriter([tmp_path], tmp_path)
    writer.write(writer.read())
    before = (tmp_path / 'report.html').read_text()
    shutil.rmtree(tmp_path / 'a')
    write_episode(tmp_path / 'a', images=2, started=5)
    writer.write(writer.read())
    pictures = [
        [a['src'] for tag, a in Page(text).tags if tag == 'img']
        for text in (before, (tmp_path / 'report.html').read_text())
    ]
    assert pictures[0] != pictures[1]
