"""convert: recorded episodes into a LeRobot dataset to train on.

    so101 convert recordings --out datasets/pick_and_place

Rosbag2 folders of the suite's topics, whoever recorded them, become a dataset of format 3.0. A
conversion that was stopped or killed goes on from there when it is called again.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from so101_description.cameras import CAMERAS
from so101_episodes.episode import OUTCOMES
from so101_node.error import UserError
from so101_node.progress import progress_bar
from so101_training.conversion import source, streams, workshop
from so101_training.conversion.draft import Draft
from so101_training.conversion.manifest import CONVERSION, REMARKS, Conversion, counts
from so101_training.conversion.piece import Piece, Settings
from so101_training.conversion.source import Source
from so101_training.conversion.video import CODECS, Codec, quiet

DESCRIPTION = 'Convert recorded episodes into a LeRobot dataset to train on.'

# Exit codes: all is well; nothing was written; the dataset is there, without some broken episodes.
_FAILED, _SKIPPED = 1, 3

_MB = 1_000_000
_FRAME = 30_000  # bytes of a frame in a video, by a generous estimate


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with code 1 after an error, 3 when broken episodes were skipped."""
    given = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    quiet()
    try:
        code = run(given)
    except KeyboardInterrupt:
        print('convert: stopped; call it again and it goes on from here', file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except UserError as error:
        print(f'convert: {error}', file=sys.stderr)
        sys.exit(_FAILED)
    except OSError as error:
        print(
            f'convert: {error.strerror}: {error.filename or given.out}; mend that and call it '
            'again, it goes on from here',
            file=sys.stderr,
        )
        sys.exit(_FAILED)
    sys.exit(code)


def run(given: argparse.Namespace) -> int:
    """Convert; return the exit code. Raises UserError and OSError."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    sources = [
        source.look(number, folder) for number, folder in enumerate(source.find(given.episodes))
    ]
    if given.list:
        _show(sources)
        return 0
    if given.out is None:
        raise UserError('give --out, the folder of the dataset')
    out: Path = given.out.absolute()
    codec = Codec(
        given.codec,
        given.gop,
        given.crf,
        given.preset or ('12' if given.codec == 'libsvtav1' else Codec.preset),
        *given.size,
    )
    codec.check()
    wanted, left_out = source.chosen(
        sources, _outcomes(given.outcome), source.numbers(given.exclude, '--exclude')
    )
    broken = {found: found.broken for found in wanted if found.broken}
    wanted = [_with_task(found, given.task) for found in wanted if not found.broken]
    for found in [found for found in wanted if not found.task]:
        broken[found] = 'it has no task; give it with --task'
        wanted.remove(found)
    base = _base(out, given.append)
    known = {entry['key'] for entry in base.episodes} if base else set()
    again = [found for found in wanted if found.key in known]
    wanted = [found for found in wanted if found.key not in known]
    settings = Settings(
        given.fps,
        _cameras(given.cameras, wanted, base),
        given.max_age,
        given.max_skew,
        codec,
    )
    _say(console, sources, wanted, left_out, again)
    for found, why in broken.items():
        _skipped(console, found, why)
    if not wanted and not again:
        raise UserError('no episode to convert; --list shows what there is, --outcome chooses')
    if not wanted:
        print(f'{out}: all of them are in it already')
        return _SKIPPED if broken else 0
    _check_room(out, wanted, settings)
    started = time.monotonic()
    draft = Draft(out, settings)
    try:
        made, failures = _made(wanted, settings, draft, given.jobs, console)
        broken |= failures
        if not made:
            draft.discard()
            raise UserError('none of the episodes could be converted; nothing was written')
        console.print('putting the dataset together')
        # Imported now: it takes seconds, and the pool had no need of it.
        from so101_training.conversion import dataset

        dataset.write(draft.dataset, out if base else None, made, settings, {**left_out, **broken})
        draft.publish()
    finally:
        draft.close()
    print(_result(out, made, settings, base, time.monotonic() - started))
    return _SKIPPED if broken else 0


def _made(
    wanted: Sequence[Source], settings: Settings, draft: Draft, jobs: int, console: Console
) -> tuple[list[tuple[Source, Piece]], dict[Source, str]]:
    """Return the pieces, in the order of the sources, and why there are not more."""
    made: dict[int, tuple[Source, Piece]] = {}
    failures: dict[Source, str] = {}
    before = sum(Piece.load(draft.pieces / found.key) is not None for found in wanted)
    if before:
        console.print(f'{before} of them were converted before this was stopped')
    expected = sum(found.duration for found in wanted) * settings.fps * len(settings.cameras)
    with progress_bar(console) as progress:
        bar = progress.add_task(f'{len(wanted)} episodes', total=expected)
        done = 0.0

        def show(frames: int) -> None:
            progress.update(bar, completed=min(done + frames, expected))

        for found, result in workshop.convert(wanted, settings, draft.pieces, jobs, show):
            if isinstance(result, Piece):
                made[found.number] = (found, result)
            else:
                failures[found] = result
                _skipped(console, found, result)
            progress.update(
                bar, description=f'{len(made) + len(failures)} of {len(wanted)} episodes'
            )
        progress.update(bar, completed=expected)
    return [made[number] for number in sorted(made)], failures


def _base(out: Path, append: bool) -> Conversion | None:
    if not out.exists():
        return None
    if not append:
        raise UserError(f'{out} exists; add to it with --append, or give another --out')
    return Conversion.load(out)


def _cameras(
    given: str | None, wanted: Sequence[Source], base: Conversion | None
) -> tuple[str, ...]:
    """Return the cameras: those given, else the dataset's, else all that some episode has."""
    if given is not None:
        names = given.split(',')
        if odd := [name for name in names if name not in CAMERAS]:
            raise UserError(f'--cameras {", ".join(odd)}: expected some of {", ".join(CAMERAS)}')
        return tuple(name for name in CAMERAS if name in names)
    if base:
        return tuple(base.settings['cameras'])
    found: set[str] = set()
    for one in wanted:
        try:
            found |= set(streams.cameras(one.folder))
        except UserError:
            continue  # it is named with its reason when it is converted
        if len(found) == len(CAMERAS):
            break
    return tuple(name for name in CAMERAS if name in found) or tuple(CAMERAS)


def _with_task(found: Source, task: str | None) -> Source:
    return found if task is None else Source(**{**vars(found), 'task': task})


def _outcomes(text: str) -> list[str]:
    return list(OUTCOMES) if text == 'all' else text.split(',')


def _check_room(out: Path, wanted: Sequence[Source], settings: Settings) -> None:
    """Refuse a disk that would be full before the end: pieces and videos are there twice."""
    frames = sum(found.duration for found in wanted) * settings.fps * len(settings.cameras)
    width, height = settings.codec.size
    need = 2 * frames * _FRAME * (width * height) / (640 * 480)
    parent = next(folder for folder in out.parents if folder.exists())
    if (free := shutil.disk_usage(parent).free) < need:
        raise UserError(
            f'{free // _MB} MB are free at {parent}, it may need {need / _MB:.0f}; make room, or '
            'give another --out'
        )


def _show(sources: Sequence[Source]) -> None:
    for found in sources:
        rest = found.broken or f'{found.task}  {found.reason}'
        print(
            f'{found.number:5}  {found.name:28}  {found.kind or "-":13}  {found.outcome:10}  '
            f'{found.duration:6.1f} s  {rest}'.rstrip()
        )


def _say(
    console: Console,
    sources: Sequence[Source],
    wanted: Sequence[Source],
    left_out: Mapping[Source, str],
    again: Sequence[Source],
) -> None:
    text = f'{len(wanted)} of {len(sources)} episodes to convert'
    reasons = Counter(left_out.values())
    parts = [f'{number} left out: {why}' for why, number in reasons.items()]
    parts += [f'{len(again)} in the dataset already'] if again else []
    console.print('; '.join([text, *parts]))


def _skipped(console: Console, found: Source, why: str) -> None:
    console.print(f'skipped {found.number} {found.name}: {why}')


def _result(
    out: Path,
    made: Sequence[tuple[Source, Piece]],
    settings: Settings,
    base: Conversion | None,
    seconds: float,
) -> str:
    frames = sum(len(piece) for _, piece in made)
    remarks: Counter[str] = Counter()
    for _, piece in made:
        for of_stream in counts(piece.remarks).values():
            remarks.update(of_stream)
    added = 'more episodes in' if base else 'episodes:'
    noted = ', '.join(f'{number} {kind}' for kind, number in sorted(remarks.items()))
    return (
        f'{len(made)} {added} {out}: {frames} frames, {", ".join(settings.cameras)}, '
        f'{frames / max(seconds, 1e-3):.0f} frames/s\n'
        f'samples {noted or "all plain"}: {REMARKS}; settings and sources: {CONVERSION}'
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition('x')
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f'{text!r}: expected WIDTHxHEIGHT, such as 640x480')
    return int(width), int(height)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='convert', description=DESCRIPTION)
    add: Any = parser.add_argument
    add('episodes', type=Path, nargs='+', help='episodes, or folders of episodes')
    add('--out', type=Path, help='the folder of the dataset')
    add('--list', action='store_true', help='show the episodes and their numbers, convert nothing')
    add('--append', action='store_true', help='add to the dataset what is not in it yet')
    add(
        '--outcome',
        default='success',
        help=f'which episodes: {", ".join(OUTCOMES)}, some separated by commas, or all; '
        'default: success',
    )
    add('--exclude', default='', help='numbers of episodes to leave out, such as 3,17,20-25')
    add('--task', help='the task of all of them, instead of what the episodes say')
    add(
        '--cameras',
        help=f'some of {",".join(CAMERAS)}; default: all that an episode has images of',
    )
    add('--fps', type=int, default=30, help='frames a second; default: 30')
    add('--max-age', type=float, default=0.2, help='of a sample at its tick, s; default: 0.2')
    add('--max-skew', type=float, default=0.05, help='between two images, s; default: 0.05')
    add('--codec', choices=CODECS, default=Codec.vcodec, help=f'default: {Codec.vcodec}')
    add('--gop', type=int, default=Codec.g, help=f'frames per keyframe; default: {Codec.g}')
    add('--crf', type=int, default=Codec.crf, help=f'quality; default: {Codec.crf}')
    add('--preset', help=f'of the encoder; default: {Codec.preset}, of libsvtav1 12')
    add(
        '--size',
        type=_size,
        default=(None, None),
        metavar='WIDTHxHEIGHT',
        help="of the videos; default: the cameras'",
    )
    add('--jobs', type=int, default=os.cpu_count() or 1, help='processes; default: one a core')
    return parser


if __name__ == '__main__':
    main()
