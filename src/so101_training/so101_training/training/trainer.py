"""One run of LeRobot's trainer, with what this suite does at each of its turns.

LeRobot's loop is called as it is. The functions that it calls are replaced in its module, here and
nowhere else; each replacement calls the original. Facts: LeRobot 0.6.1, scripts.lerobot_train.
"""

import math
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.configs.train import TrainPipelineConfig
from lerobot.scripts import lerobot_train
from lerobot.utils.logging_utils import MetricsTracker
from rich.console import Console

from so101_node.error import UserError
from so101_policy.checkpoint import VLM
from so101_training.training import (
    checkpoint_writer,
    disk,
    history_plot,
    model_card,
    note,
    processes,
)
from so101_training.training.display import Display
from so101_training.training.history import CSV, PLOT, History, Milestone, Row, table
from so101_training.training.interruption import Interrupted, Interruption, held_back
from so101_training.training.reproducible import NamedOrder, seed_step
from so101_training.training.resumption import CHECKPOINTS, PRETRAINED, SavedState
from so101_training.training.substitution import substituted
from so101_training.training.train_log import TrainLog, chatter_in, set_up_logging
from so101_training.training.training_set import TrainingSet

LOG = 'train.log'

# dataset.make_datasets. Samples are asked for by name, as reproducible.NamedOrder gives them, and
# depend on that and the seed alone.
MakeDatasets = Callable[
    [TrainPipelineConfig, Collection[str], str, Console], tuple[Any, Any | None]
]


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the trainer starts."""

    config: TrainPipelineConfig
    data: TrainingSet
    cameras: tuple[str, ...]  # that the policy sees, short names
    base: str | None  # what the weights come from; None: random
    saved: SavedState | None  # what is gone on from
    milestones: tuple[Milestone, ...]  # until then
    cache: str  # where decoded frames are kept, as dataset.make_datasets takes it

    @property
    def out(self) -> Path:
        assert self.config.output_dir is not None
        return self.config.output_dir

    @property
    def start(self) -> str:
        """What is trained, as messages say it: where it starts, or that it is new."""
        policy = self.config.policy
        assert policy is not None
        return self.base or str(policy.pretrained_path or f'a new {policy.type}')

    @property
    def excluded(self) -> tuple[str, ...]:
        return tuple(camera for camera in self.data.cameras if camera not in self.cameras)


class Rehearsed(Exception):
    """A dry run came to where the first step would be."""


class Trainer:
    """Trains by a plan. `clock` gives seconds."""

    def __init__(
        self,
        plan: Plan,
        display: Display,
        make_datasets: MakeDatasets,
        rehearse: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan = plan
        self._config = plan.config
        self._display = display
        self._make_datasets = make_datasets
        self._rehearse = rehearse
        self._clock = clock
        self._log = TrainLog()
        self._milestones = list(plan.milestones)
        self._started = 0.0
        self._seed = self._config.seed or 0
        self._accelerator: Any = None
        self._ending = False
        self._tracker: MetricsTracker | None = None
        self._history: History | None = None
        self.size = 0.0  # bytes of a checkpoint, once the policy is made

    def train(self) -> None:
        """Train to the end, or raise Interrupted after the checkpoint of the step it came in.

        Raises UserError for what a user can cure, and Rehearsed instead of the first step when the
        run is a rehearsal.
        """
        replacements = {
            'init_logging': self._init_logging,
            'make_train_eval_datasets': self._make_train_eval_datasets,
            'make_policy': self._make_policy,
            'make_pre_post_processors': self._make_processors,
            'make_optimizer_and_scheduler': self._make_optimizer,
            'EpisodeAwareSampler': self._make_order,
            'cycle': self._cycle,
            'MetricsTracker': self._make_tracker,
            'tqdm': lambda *_, **__: _Bar(self._display),
            'update_policy': self._update,
            'should_save_checkpoint': self._is_saving_step,
            'save_checkpoint': self._save,
            'update_last_checkpoint': self._link_last,
        }
        # It has been validated: again, the policy's configuration would be read anew by sys.argv.
        self._config.validate = lambda: None  # type: ignore[method-assign]
        with (
            self._log,
            Interruption(self._say_that_it_ends) as self._interruption,
            substituted(lerobot_train, replacements) as self._originals,
            chatter_in(self._log),
        ):
            try:
                lerobot_train.train(self._config)
            finally:
                self._display.end()
                if self._history is not None:
                    self._history.close()

    @property
    def milestones(self) -> Sequence[Milestone]:
        return self._milestones

    # In the order in which LeRobot comes to them.

    def _init_logging(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        set_up_logging(self._log, self._display.say)

    def _make_train_eval_datasets(self, config: TrainPipelineConfig) -> tuple[Any, Any | None]:
        return self._make_datasets(
            config, self._plan.excluded, self._plan.cache, self._display.console
        )

    def _make_policy(self, *arguments: Any, **named: Any) -> Any:
        self._display.say(f'making the policy: {self._plan.start}')
        return self._of_lerobot('make_policy', *arguments, **named)

    def _make_processors(self, *arguments: Any, **named: Any) -> Any:
        vlm = Path(getattr(self._config.policy, 'vlm_model_name', None) or '')
        # A checkpoint names its tokenizer as it was where that was made.
        if 'preprocessor_overrides' in named and vlm.is_absolute() and vlm.is_dir():
            named['preprocessor_overrides']['tokenizer_processor'] = {'tokenizer_name': str(vlm)}
        return self._of_lerobot('make_pre_post_processors', *arguments, **named)

    def _of_lerobot(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call what makes the policy; it reads files and names of the user's."""
        try:
            return self._originals[name](*arguments, **named)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            lines = ' '.join(' '.join(str(error).strip().splitlines()[:3]).split())
            raise UserError(
                f'LeRobot cannot make the policy, {self._plan.start}: '
                f'{type(error).__name__}: {lines}'
            ) from error

    def _make_optimizer(self, config: TrainPipelineConfig, policy: Any) -> Any:
        self.size = disk.checkpoint_size(
            (p.numel(), p.element_size(), p.requires_grad) for p in policy.parameters()
        )
        done = self._plan.saved.step if self._plan.saved else 0
        count = disk.saves(done, config.steps, config.save_freq)
        if config.save_checkpoint and self._is_main:
            disk.check(self._plan.out, count, self.size)
        return self._originals['make_optimizer_and_scheduler'](config, policy)

    def _make_order(self, *arguments: Any, **named: Any) -> NamedOrder:
        processes = self._accelerator.num_processes
        multiple = self._config.batch_size * processes if processes > 1 else 1
        return NamedOrder(*arguments, multiple=multiple, **named)

    def _cycle(self, loader: Iterable[Any]) -> Iterator[Any]:
        """Yield batches for ever, as LeRobot's cycle does."""
        while True:
            batches = iter(loader)
            yield held_back(lambda batches=batches: next(batches))  # type: ignore[misc]
            yield from batches

    def _make_tracker(self, *arguments: Any, **named: Any) -> MetricsTracker:
        if self._rehearse:
            raise Rehearsed
        self._tracker = _Tracker(*arguments, on_log=self._record, **named)
        self._begin()
        return self._tracker

    def _begin(self) -> None:
        """Everything is made; the next thing is the first step."""
        out, done = self._plan.out, self._plan.saved.step if self._plan.saved else 0
        if self._is_main:
            out.mkdir(parents=True, exist_ok=True)
            self._log.open(out / LOG)
            checkpoint_writer.clear(out / CHECKPOINTS)
            self._history = History(out / CSV, done)
            self._display.begin(done, self._config.steps)
        before = self._milestones[-1].wall_s if self._milestones else 0.0
        self._started = self._clock() - before
        self._interruption.wait = True

    def _update(self, tracker: MetricsTracker, policy: Any, *rest: Any, **named: Any) -> Any:
        if self._accelerator.num_processes > 1:
            processes.keep(policy)
        seed_step(self._seed, tracker.steps, self._accelerator.process_index)
        try:
            result = self._originals['update_policy'](tracker, policy, *rest, **named)
        except torch.OutOfMemoryError as error:
            raise UserError(
                f'the GPU has no memory for step {tracker.steps + 1} with batch size '
                f'{self._config.batch_size}: {str(error).splitlines()[0]} Set a smaller batch_size'
            ) from error
        if not math.isfinite(tracker.loss.val):
            raise UserError(
                f'the loss is {tracker.loss.val} at step {tracker.steps + 1}: the weights are '
                'spoilt from here on; earlier checkpoints are sound. Lower policy.optimizer_lr, '
                'and see so101 check'
            )
        return result

    def _record(self, tracker: MetricsTracker) -> None:
        if self._history is None:
            return
        row = self._row(tracker)
        self._history.add(row)
        self._display.log(row)

    def _row(self, tracker: MetricsTracker) -> Row:
        step_s = tracker.update_s.avg + tracker.dataloading_s.avg
        batch = self._config.batch_size * self._accelerator.num_processes
        return Row(
            step=tracker.steps,
            epoch=tracker.epochs,
            loss=tracker.loss.avg,
            gradient_norm=tracker.grad_norm.avg,
            learning_rate=tracker.lr.avg,
            data_s=tracker.dataloading_s.avg,
            update_s=tracker.update_s.avg,
            samples_per_s=batch / step_s if step_s > 0 else 0.0,
            wall_s=self._clock() - self._started,
        )

    def _is_saving_step(self, step: int, *rest: Any) -> bool:
        # Processes hear of a signal at different moments, but must agree.
        asked = self._interruption.asked is not None
        if self._accelerator.num_processes > 1:
            heard = torch.tensor(int(asked), device=self._accelerator.device)
            asked = bool(self._accelerator.reduce(heard, reduction='sum').item())
        self._ending = asked
        if asked and not self._config.save_checkpoint:
            raise self._interrupted()
        return asked or self._originals['should_save_checkpoint'](step, *rest)

    def _save(self, checkpoint_dir: Path, step: int, policy: Any, **named: Any) -> None:
        assert self._tracker is not None
        self._milestones.append(self._milestone(self._tracker))

        def fill(folder: Path) -> None:
            self._originals['save_checkpoint'](
                checkpoint_dir=folder, step=step, policy=policy, **named
            )
            self._add_ours(folder / PRETRAINED, policy)

        checkpoint_writer.write(checkpoint_dir, fill)

    def _milestone(self, tracker: MetricsTracker) -> Milestone:
        """Return the line of this step: the means since the last row, or that row."""
        assert self._history is not None
        wall_s = self._clock() - self._started
        if tracker.loss.count:
            last: Any = self._row(tracker)
        elif self._history.rows:
            last = self._history.rows[-1]
        else:
            return Milestone(tracker.steps, None, None, None, wall_s)
        return Milestone(tracker.steps, last.loss, last.gradient_norm, last.learning_rate, wall_s)

    def _add_ours(self, folder: Path, policy: Any) -> None:
        assert self._history is not None
        plan, config = self._plan, self._config
        note.write(folder, plan.data, plan.cameras, plan.base, plan.cache, self._milestones)
        backbone = getattr(getattr(policy, 'model', None), 'vlm_with_expert', None)
        if backbone is not None:
            backbone.config.save_pretrained(folder / VLM)
            backbone.processor.save_pretrained(folder / VLM)
        plot = plan.out / PLOT
        history_plot.draw(plot, plan.data.folder.name, self._history.rows, self._milestones)
        shutil.copyfile(plot, folder / PLOT)
        optimizer = config.optimizer
        model_card.write(
            folder,
            plan.data,
            plan.cameras,
            {
                'type': config.policy.type,
                'base': plan.base,
                'hub': plan.base if plan.base and not Path(plan.base).is_dir() else None,
                'chunk': getattr(config.policy, 'chunk_size', config.policy.n_action_steps),
            },
            {
                'batch size': config.batch_size * self._accelerator.num_processes,
                'steps': config.steps,
                'peak learning rate': getattr(optimizer, 'lr', 'unknown'),
                'image transforms': 'on' if config.dataset.image_transforms.enable else 'off',
                'seed': config.seed,
                'processor': _processor(self._accelerator.device),
            },
            self._milestones,
        )

    def _link_last(self, checkpoint_dir: Path) -> None:
        checkpoint_writer.link_last(checkpoint_dir)
        self._display.say(f'{checkpoint_dir}\n{table(self._milestones)}')
        if self._ending and self._milestones[-1].step < self._config.steps:
            raise self._interrupted()

    def _interrupted(self) -> Interrupted:
        return Interrupted(self._interruption.asked or 15)

    def _say_that_it_ends(self) -> None:
        self._display.say('stopping: this step is ended and saved; again to stop at once')

    @property
    def _is_main(self) -> bool:
        return bool(self._accelerator.is_main_process)


class _Tracker(MetricsTracker):
    """LeRobot's means, handed over each time before they are forgotten."""

    def __init__(self, *arguments: Any, on_log: Callable[[MetricsTracker], None], **named: Any):
        super().__init__(*arguments, **named)
        self.__dict__['_on_log'] = on_log

    def reset_averages(self) -> None:
        self._on_log(self)
        super().reset_averages()


class _Bar:
    """What LeRobot takes for a tqdm bar."""

    def __init__(self, display: Display) -> None:
        self._display = display

    def update(self, _: int) -> None:
        self._display.advance()

    def close(self) -> None:
        self._display.end()


def _processor(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type
