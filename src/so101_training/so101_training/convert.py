"""convert: recorded episodes into a LeRobot dataset to train on.

    so101 convert recordings --out datasets/pick_and_place

Rosbag2 folders of the suite's topics, whoever recorded them, become a dataset of format 3.0. A
conversion that was stopped or killed goes on from there when it is called again.
"""

import argparse
import math
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from so101_description.cameras import CAMERAS
from so101_episodes.episode import OUTCOMES
from so101_node.error import UserError
from so101_node.progress import progress_bar
from so101_training.arguments import natural, numbers
from so101_training.conversion import manifest, source, streams, workshop
from so101_training.conversion.draft import Draft
from so101_training.conversion.manifest import CONVERSION, REMARKS, TAKEN_OUT, Conversion
from so101_training.conversion.piece import Piece, Settings
from so101_training.conversion.source import Source
from so101_training.conversion.video import CODECS, PRESETS, QUALITIES, Codec, quiet

DESCRIPTION = 'Convert recorded episodes into a LeRobot dataset to train on.'

# Exit codes: all is well; nothing was written; the dataset is there, without some broken episodes.
_FAILED, _SKIPPED = 1, 3

_MB = 1_000_000
_FRAME = 12_000  # bytes of a frame in a video, of a real camera, about


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
            'again: what was converted is kept',
            file=sys.stderr,
        )
        sys.exit(_FAILED)
    sys.exit(code)


def run(given: argparse.Namespace) -> int:
    """Convert; return the exit code. Raises UserError and OSError."""
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    if given.out is None and not given.list:
        raise UserError('give --out, the folder of the dataset')
    excluded = numbers(given.exclude, '--exclude')
    found = [
        source.look(number, folder) for number, folder in enumerate(source.find(given.episodes))
    ]
    if given.list:
        _show(found)
        return 0
    if given.task is not None:
        found = [replace(one, task=given.task) for one in found]
    wanted, left_out = source.chosen(found, _outcomes(given.outcome), excluded)
    broken = {one: why for one in wanted if (why := one.broken or _without_task(one))}
    out: Path = given.out.resolve()
    draft = Draft(out)
    try:
        base = _base(out, given.append)
        # Also of those left out by their label: it may have changed since they were converted.
        again = _known([one for one in found if not one.broken], base)
        left_out = {one: why for one, why in left_out.items() if one not in again}
        new = [one for one in wanted if one not in again and one not in broken]
        again |= _doubles(new)
        new = [one for one in new if one not in again]
        settings = _settings(given, base, new, out)
        _say(console, found, new, left_out, again, broken)
        if not new:
            if again:
                print(f'{out}: nothing is new')
                return _SKIPPED if broken else 0
            if broken:
                raise UserError('none of the episodes can be converted; nothing was written')
            raise UserError('no episode to convert; --list shows what there is, --outcome chooses')
        draft.begin(settings)
        started = time.monotonic()
        made, failures = _made(new, settings, draft, out, given.jobs, console)
        broken |= failures
        if not made:
            raise UserError('none of the episodes could be converted; nothing was written')
        console.print('putting the dataset together')
        # Imported now: it takes seconds, and the pool had no need of it.
        from so101_training.conversion import dataset

        others = {**left_out, **broken}
        dataset.write(draft.dataset, out if base else None, made, settings, others)
        draft.publish()
    finally:
        draft.close()
    print(_result(out, made, settings, base, time.monotonic() - started))
    return _SKIPPED if broken else 0


def _say(
    console: Console,
    found: Sequence[Source],
    new: Sequence[Source],
    left_out: Mapping[Source, str],
    again: Mapping[Source, str],
    broken: Mapping[Source, str],
) -> None:
    """Say how many there are to convert, and why not the others."""
    parts = [f'{len(new)} of {len(found)} episodes to convert']
    parts += [f'{number} left out: {why}' for why, number in Counter(left_out.values()).items()]
    parts += [f'{len(again)} known already'] if again else []
    console.print('; '.join(parts))
    for what, reasons in (('not added', again), ('skipped', broken)):
        for one, why in reasons.items():
            if why:
                console.print(f'{what}: {one.number} {one.name}: {why}')


def _without_task(one: Source) -> str:
    return '' if one.task else 'it has no task; give it with --task'


def _known(sources: Sequence[Source], base: Conversion | None) -> dict[Source, str]:
    """Return those that the dataset knows, and what there is to say of each, perhaps nothing."""
    known = {entry['recording']: entry for entry in base.episodes} if base else {}
    gone = {e['recording'] for e in base.left_out if e['why'] == TAKEN_OUT} if base else set()
    again = {}
    for one in sources:
        if one.recording in gone:
            again[one] = TAKEN_OUT
        elif entry := known.get(one.recording):
            again[one] = ', '.join(
                f'{name} {entry[name]!r} in the dataset, {value!r} in the recording'
                for name, value in (('outcome', one.outcome), ('task', one.task))
                if entry[name] != value
            )
    return again


def _doubles(sources: Sequence[Source]) -> dict[Source, str]:
    """Return the copies of recordings that come earlier."""
    first: dict[str, Source] = {}
    for one in sources:
        first.setdefault(one.recording, one)
    return {
        one: f'the same recording as {first[one.recording].name}'
        for one in sources
        if first[one.recording] is not one
    }


def _made(
    wanted: Sequence[Source],
    settings: Settings,
    draft: Draft,
    out: Path,
    jobs: int,
    console: Console,
) -> tuple[list[tuple[Source, Piece]], dict[Source, str]]:
    """Return the pieces, in the order of the sources, and why there are not more."""
    made: dict[int, tuple[Source, Piece]] = {}
    failures: dict[Source, str] = {}
    missing = []
    for one in wanted:
        if known := Piece.load(draft.pieces / one.key):
            made[one.number] = (one, known)
        else:
            missing.append(one)
    if made:
        console.print(f'{len(made)} of them were converted before this was stopped')
    expected = _frames(missing, settings)
    _warn_of_room(out, expected, settings, console)
    with progress_bar(console) as progress:
        bar = progress.add_task(_count(len(made), wanted), total=expected)

        def show(frames: int) -> None:
            progress.update(bar, completed=min(frames, expected))

        for one, result in workshop.convert(missing, settings, draft.pieces, jobs, show):
            if isinstance(result, Piece):
                made[one.number] = (one, result)
            else:
                failures[one] = result
                expected -= _frames([one], settings)
                console.print(f'skipped: {one.number} {one.name}: {result}')
            done = _count(len(made) + len(failures), wanted)
            progress.update(bar, description=done, total=expected)
        progress.update(bar, completed=expected)
    return [made[number] for number in sorted(made)], failures


def _count(done: int, wanted: Sequence[Source]) -> str:
    return f'{done} of {len(wanted)} episodes'


def _frames(sources: Sequence[Source], settings: Settings) -> float:
    """Return about how many frames they have, of all cameras."""
    return sum(one.duration for one in sources) * settings.fps * len(settings.cameras)


def _base(out: Path, append: bool) -> Conversion | None:
    if not out.exists():
        return None
    if not append:
        raise UserError(f'{out} exists; add to it with --append, or give another --out')
    manifest.check(out)
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


def _settings(
    given: argparse.Namespace, base: Conversion | None, wanted: Sequence[Source], out: Path
) -> Settings:
    """Return the settings: those given, else the dataset's, else the usual ones.

    Raises UserError for what no encoder takes, and for others than the dataset's.
    """
    had = {**base.settings, **base.settings['codec']} if base else {}
    vcodec = given.codec or had.get('vcodec', Codec.vcodec)
    usual = {
        'fps': 30,
        'max_age': 0.2,
        'max_skew': 0.05,
        'g': Codec.g,
        'crf': QUALITIES[vcodec],
        'preset': PRESETS[vcodec],
        'width': Codec.width,
        'height': Codec.height,
        **had,
    }
    width, height = given.size or (usual['width'], usual['height'])

    def chosen(name: str, value: Any) -> Any:
        return usual[name] if value is None else value

    codec = Codec(
        vcodec,
        chosen('g', given.gop),
        chosen('crf', given.crf),
        chosen('preset', given.preset),
        width,
        height,
    )
    codec.check()
    settings = Settings(
        chosen('fps', given.fps),
        _cameras(given.cameras, wanted, base),
        chosen('max_age', given.max_age),
        chosen('max_skew', given.max_skew),
        codec,
    )
    wants = settings.to_json()
    wants |= wants['codec']
    if differ := [
        f'{name} {had[name]}, not {wants[name]}'
        for name in wants
        if name != 'codec' and name in had and had[name] != wants[name]
    ]:
        raise UserError(
            f'{out} was converted with {", ".join(differ)}; do not give these, or another --out'
        )
    return settings


def _outcomes(text: str) -> list[str]:
    return list(OUTCOMES) if text == 'all' else text.split(',')


def _warn_of_room(out: Path, frames: float, settings: Settings, console: Console) -> None:
    """Say when the disk is likely to be full before the end: then all that is done is kept."""
    width, height = settings.codec.size
    # A video is there twice for a moment: as pieces, and joined.
    need = 2 * frames * _FRAME * (width * height) / (640 * 480)
    if (free := shutil.disk_usage(out.parent).free) < need:
        console.print(
            f'{free // _MB} MB are free at {out.parent}, about {need / _MB:.0f} are needed; '
            'should it be full, make room and call this again'
        )


def _show(sources: Sequence[Source]) -> None:
    for found in sources:
        rest = found.broken or f'{found.task}  {found.reason}'
        print(
            f'{found.number:5}  {found.name:28}  {found.kind or "-":13}  {found.outcome:10}  '
            f'{found.duration:6.1f} s  {rest}'.rstrip()
        )


def _result(
    out: Path,
    made: Sequence[tuple[Source, Piece]],
    settings: Settings,
    base: Conversion | None,
    seconds: float,
) -> str:
    frames = sum(piece.frames for _, piece in made)
    remarks: Counter[str] = Counter()
    for _, piece in made:
        for of_stream in piece.remarks.values():
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


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text!r}: expected seconds above 0')
    return value


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
    add('--fps', type=natural, help='frames a second; default: 30')
    add('--max-age', type=_seconds, help='of a sample at its tick, s; default: 0.2')
    add('--max-skew', type=_seconds, help='between two images, s; default: 0.05')
    add('--codec', choices=CODECS, help=f'default: {Codec.vcodec}')
    add('--gop', type=natural, help=f'frames per keyframe; default: {Codec.g}')
    add('--crf', type=int, help=f'quality; default: {_listed(QUALITIES)}')
    add('--preset', help=f'of the encoder; default: {_listed(PRESETS)}')
    add('--size', type=_size, metavar='WIDTHxHEIGHT', help="of the videos; default: the cameras'")
    add('--jobs', type=natural, default=os.cpu_count(), help='processes; default: one a core')
    return parser


def _listed(defaults: Mapping[str, object]) -> str:
    return ', '.join(f'{value} ({name})' for name, value in defaults.items())


if __name__ == '__main__':
    main()
