"""open_loop: play an episode to a policy, with no arm, and compare what it predicts.

    so101 open_loop recordings/20260101_120000_0 --checkpoint outputs/train

The episode's images and joint states are played in real time into the policy node itself, in a ROS
graph of its own. Its chunks are compared with the recorded actions. In --out: open_loop.json, the
figures, and open_loop.png.
"""

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from so101_description.units import radians_to_dataset
from so101_episodes.recorded_episode import RecordedEpisode
from so101_episodes.series import Series
from so101_evaluation import open_loop_figures, open_loop_graph
from so101_evaluation.labels import labels as short_names
from so101_evaluation.labels import tail
from so101_evaluation.open_loop_graph import Played
from so101_evaluation.prediction_error import PredictionError
from so101_node.error import UserError
from so101_node.progress import progress_bar
from so101_policy import checkpoint as policy_checkpoint
from so101_policy.schedule import Mode

DESCRIPTION = 'Play an episode to a policy, with no arm: predicted against recorded actions.'

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(BaseException):
    """A signal came, `number`."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with code 1 after an error, 128 + its number after a signal."""
    given = _parser().parse_args(words)
    try:
        with _stopped_by_signals():
            run(given.episode, given.checkpoint, given.mode, given.task, given.out)
    except _Stopped as stopped:
        name = signal.Signals(stopped.number).name
        print(f'open_loop: stopped by {name}; nothing was written', file=sys.stderr)
        sys.exit(128 + stopped.number)
    except UserError as error:
        print(f'open_loop: {error}', file=sys.stderr)
        sys.exit(1)


def run(
    folder: Path, checkpoints: Sequence[Path], mode: str, task: str | None, out: Path | None
) -> None:
    """Play the episode to each checkpoint, print the table, write figures and plot.

    `task` None: the episode's; `out` None: outputs/open_loop/<episode>. Raises UserError.
    """
    from so101_evaluation import open_loop_plot  # a second of imports, which --help can do without

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    found = [policy_checkpoint.read(checkpoint) for checkpoint in checkpoints]
    names = labels(checkpoints)
    episode = RecordedEpisode(folder)
    seen, actions = episode.observations(), episode.actions()
    done = Series(actions.series.times, radians_to_dataset(actions.series.values))
    told = episode.task if task is None else task
    if not told:
        raise UserError(f'{folder} does not say what the policy was told; give --task')
    out = out or Path('outputs') / 'open_loop' / folder.resolve().name
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'cannot write {out}: {error.strerror}; give another --out') from error
    console.print(
        f'{folder}: {seen.duration:.1f} s, {seen.images} images; actions of {actions.source}; '
        f'about {len(found) * seen.duration:.0f} s, and the loading'
    )
    if not actions.commanded:
        console.print(
            'warning: no commands were recorded; compared with the measured positions, which lag '
            'behind what the arm was told'
        )
    played: dict[str, Played] = {}
    with progress_bar(console) as progress:
        bar = progress.add_task('', total=len(found) * seen.duration)
        for number, (label, checkpoint) in enumerate(zip(names, found, strict=True)):
            if not checkpoint.trained:
                console.print(f'{label}: its weights are random')
            progress.update(bar, description=f'{label}: loading')

            def advance(seconds: float, number: int = number, label: str = label) -> None:
                completed = number * seen.duration + seconds
                progress.update(bar, description=f'{label}: playing', completed=completed)

            def say(line: str, label: str = label) -> None:
                console.print(f'{label}: {line}')

            played[label] = open_loop_graph.play(seen, checkpoint.path, mode, told, say, advance)
    predictions = {label: of.predictions for label, of in played.items()}
    errors = {label: PredictionError(of, done) for label, of in predictions.items()}
    for label, against in errors.items():
        if not against.compared:
            raise UserError(
                f'{label}: none of its {len(predictions[label])} chunks falls into the recorded '
                'actions; play a longer episode'
            )
    figures = {label: open_loop_figures.figures(errors[label], of) for label, of in played.items()}
    open_loop_figures.show(figures)
    for label, of in played.items():
        if of.lost:
            console.print(f'warning: {label}: {of.lost} images did not reach the policy')
    try:
        open_loop_plot.write(out / 'open_loop.png', done, predictions, errors)
        open_loop_figures.write(
            out / 'open_loop.json',
            figures,
            episode=str(folder.resolve()),
            task=told,
            mode=mode,
            actions=actions.source,
            checkpoints={
                label: {'path': str(checkpoint.path), 'trained': checkpoint.trained}
                for label, checkpoint in zip(names, found, strict=True)
            },
        )
    except OSError as error:
        raise UserError(f'cannot write {out}: {error.strerror}; give another --out') from error
    console.print(f'written: {out / "open_loop.json"} and {out / "open_loop.png"}')


def labels(checkpoints: Sequence[Path]) -> list[str]:
    """Return a short name for each: the end of its path, as long as it takes to tell them apart.

    Raises UserError when two are the same.
    """
    paths = [str(checkpoint.absolute()) for checkpoint in checkpoints]
    if len({tail(path) for path in paths}) < len(paths):
        raise UserError('two checkpoints are the same; give each once')
    names = short_names(paths)
    return [names[path] for path in paths]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='open_loop', description=DESCRIPTION)
    parser.add_argument('episode', type=Path, help='the folder of an episode, or of a rosbag2 bag')
    parser.add_argument(
        '--checkpoint',
        type=Path,
        action='append',
        required=True,
        help='a LeRobot policy checkpoint; again for each one to compare',
    )
    parser.add_argument('--out', type=Path, help='default: outputs/open_loop/<episode>')
    parser.add_argument(
        '--mode',
        choices=tuple(Mode),
        default='ensemble',
        help="the policy node's; default: ensemble, which predicts from the observation alone",
    )
    parser.add_argument('--task', help="what the policy is told; default: the episode's task")
    return parser


@contextlib.contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """Raise _Stopped on the first signal; those that follow do not disturb the way out."""

    def stop(number: int, _: FrameType | None) -> None:
        for signal_number in _SIGNALS:
            signal.signal(signal_number, signal.SIG_IGN)
        raise _Stopped(number)

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == '__main__':
    main()
