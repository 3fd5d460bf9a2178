"""train: a policy on a LeRobot dataset, by LeRobot's own trainer, resumable at any step.

so101 train --dataset datasets/cube
so101 train --dataset datasets/cube --exclude-cameras overhead steps=10000
so101 train --resume-from outputs/train
"""

import argparse
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ament_index_python.packages import get_package_share_directory

from so101_node.error import UserError
from so101_training.training import parameters, processes, resumption
from so101_training.training.interruption import Interrupted

if TYPE_CHECKING:
    from so101_training.training.display import Display
    from so101_training.training.trainer import Plan

DESCRIPTION = "Train a policy on a LeRobot dataset, by LeRobot's trainer; resumable at any step."

_NO_GPU = (
    'no GPU: training on the processor. A small policy takes hours there; one update of SmolVLA '
    'takes minutes, and 20,000 of them months (an RTX 3090: 10 hours)'
)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit with code 1 after an error, 128 + its number after a signal."""
    words = sys.argv[1:] if words is None else words
    given = _parser().parse_intermixed_args(words)
    code = 0
    try:
        run(given, words)
    except KeyboardInterrupt as interruption:
        number = interruption.number if isinstance(interruption, Interrupted) else signal.SIGINT
        code = 128 + number
    except UserError as error:
        code = 1
        _say(error)
    if processes.inside():
        processes.leave(code)
    if code:
        sys.exit(code)


def run(given: argparse.Namespace, words: Sequence[str]) -> None:
    """Train as `given`, which was parsed of `words`. Raises UserError and KeyboardInterrupt."""
    typed = _typed(given)
    # From here on torch is needed, whose import takes seconds.
    from so101_training.training import planning
    from so101_training.training.display import Display

    if given.resume_from is not None:
        if given.config is not None:
            raise UserError(
                '--config with --resume-from: a resumed run has the parameters of its checkpoint; '
                'change one by KEY=VALUE'
            )
        saved = resumption.read(given.resume_from)
        plan = planning.of_resumed_run(saved, typed)
        count = typed.get('num_processes', saved.num_processes)
    else:
        file = parameters.read(given.config) if given.config else {}
        values = parameters.assemble(_defaults(), file, typed)
        plan, count = planning.of_new_run(values), values.num_processes

    if processes.inside():
        _train(plan, Display(quiet=not processes.is_main()), given.dry_run)
        return
    display = Display()
    device = plan.config.policy.device
    if count > 1:
        processes.check(count, device)
    _introduce(plan, count, display)
    with _a_way_on(plan):
        if count > 1 and not given.dry_run:
            processes.run(count, words)
        else:
            _train(plan, display, given.dry_run)


def _typed(given: argparse.Namespace) -> dict[str, Any]:
    """Return the keys and values of the command line."""
    values = parameters.overrides(given.override)
    options = {
        'dataset': given.dataset,
        'out': given.out,
        'exclude_cameras': given.exclude_cameras,
        'cache': given.cache,
        'num_processes': given.gpus,
    }
    named = {key: value for key, value in options.items() if value is not None}
    return values | parameters.checked(named, 'the command line')


def _defaults() -> dict[str, Any]:
    share = Path(get_package_share_directory('so101_training'))
    return parameters.read(share / 'config' / 'train.yaml')


def _introduce(plan: 'Plan', count: int, display: 'Display') -> None:
    """Say what is about to be done, and what is doubtful about it."""
    data, config = plan.data, plan.config
    batch = config.batch_size * count
    without = f', without {" and ".join(plan.excluded)}' if plan.excluded else ''
    display.say(
        f'dataset: {data.folder}, {data.episodes} episodes, {data.frames:,} frames: '
        f'{"; ".join(data.tasks)}'
    )
    display.say(f'policy: {plan.start}, seeing {" and ".join(plan.cameras)}{without}')
    begun = f'from step {plan.saved.step:,} ' if plan.saved else ''
    in_processes = f', in {count} processes' if count > 1 else ''
    display.say(
        f'training: {begun}to step {config.steps:,}, {batch} samples each{in_processes}: the '
        f'dataset {config.steps * batch / data.frames:.1f} times; into {plan.out}'
    )
    if count > 1:
        display.say(
            f'learning rate: LeRobot does not rescale it for the {count}-fold batch; '
            'policy.optimizer_lr sets it'
        )
    if config.policy.device == 'cpu':
        display.say(_NO_GPU)
    for doubt in data.doubts:
        display.say(f'warning: {doubt}')


def _train(plan: 'Plan', display: 'Display', rehearse: bool) -> None:
    from so101_training.training import disk
    from so101_training.training.dataset import NONE, make_datasets
    from so101_training.training.trainer import Rehearsed, Trainer

    if rehearse:
        plan = dataclasses.replace(plan, cache=NONE)
    trainer = Trainer(plan, display, make_datasets, rehearse)
    try:
        trainer.train()
    except Rehearsed:
        display.say(
            'ready: the dataset and the policy could be made, a checkpoint has '
            f'{disk.gigabytes(trainer.size)}; nothing was written'
        )
        return
    display.say(f'done: {plan.out / resumption.CHECKPOINTS / resumption.LAST}')


@contextlib.contextmanager
def _a_way_on(plan: 'Plan') -> Iterator[None]:
    """Say after an interruption how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        checkpoints = plan.out / resumption.CHECKPOINTS
        last = checkpoints / resumption.LAST
        if last.exists():
            step = resumption.read(last).step
            way = f'step {step:,} is saved; go on with: {resumption.command(last.resolve())}'
        else:
            way = 'no checkpoint was saved yet'
        print(f'train: stopped; {way}', file=sys.stderr)
        raise


def _say(error: UserError) -> None:
    """Say an error once, also when there are several processes."""
    if processes.inside():
        processes.report(str(error))
    else:
        print(f'train: {error}', file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='train', description=DESCRIPTION)
    parser.add_argument('--dataset', help='folder of the LeRobot dataset')
    parser.add_argument('--out', help='folder of the run; default: outputs/train')
    parser.add_argument(
        '--config', type=Path, help='YAML file of the parameters that differ from train.yaml'
    )
    parser.add_argument(
        '--resume-from',
        type=Path,
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or from the last one of a run',
    )
    parser.add_argument(
        '--exclude-cameras', metavar='A,B', help='cameras that are neither decoded nor seen'
    )
    parser.add_argument(
        '--cache',
        metavar='auto|none|FOLDER',
        help='where decoded frames are kept; default: beside the dataset when there is room',
    )
    parser.add_argument('--gpus', type=int, metavar='N', help='GPUs to train on; default: 1')
    parser.add_argument(
        '--dry-run', action='store_true', help='make everything, up to the first step, then end'
    )
    parser.add_argument(
        'override',
        nargs='*',
        metavar='KEY=VALUE',
        help="a parameter of train.yaml, or any option of LeRobot's trainer by its dotted name",
    )
    return parser


if __name__ == '__main__':
    main()
