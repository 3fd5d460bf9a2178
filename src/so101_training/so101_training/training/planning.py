"""From parameters to a plan: every check that can be made before the trainer starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from so101_node.error import UserError
from so101_policy.features import image_feature
from so101_training.training import (
    lerobot_options,
    note,
    parameters,
    resumption,
    starting_policy,
    training_set,
)
from so101_training.training.dataset import AUTO
from so101_training.training.parameters import Parameters
from so101_training.training.resumption import SavedState
from so101_training.training.trainer import Plan

# What a run was begun with, and a resumed one cannot change.
_FIXED = ('policy', 'out', 'exclude_cameras', 'seed')


def of_new_run(given: Parameters) -> Plan:
    """Return the plan of a run from the beginning. Raises UserError."""
    out = Path(given.out).expanduser()
    resumption.check_new(out)
    data = training_set.read(training_set.find(given.dataset))
    values = {key: getattr(given, key) for key in parameters.KEYS}
    config = lerobot_options.parse(
        [
            *starting_policy.words(given.policy),
            *lerobot_options.dataset_words(data.folder),
            *lerobot_options.words({**values, 'device': _device(given.device)}),
            *lerobot_options.words(given.options),
            f'--output_dir={out}',
        ]
    )
    policy = config.policy
    assert policy is not None
    excluded = [name.removeprefix(image_feature('')) for name in given.exclude_cameras]
    seen = starting_policy.seen(policy, config.rename_map)
    present = data.cameras_without(excluded, others=seen)
    chosen = starting_policy.cameras(policy, present, excluded, config.rename_map)
    policy.input_features = starting_policy.input_features(policy, chosen, config.rename_map)
    base = starting_policy.base(given.policy, policy)
    return Plan(config, data, chosen, base, None, (), given.cache)


def of_resumed_run(saved: SavedState, changes: Mapping[str, Any]) -> Plan:
    """Return the plan of a run that goes on from a checkpoint, with the parameters in `changes`.

    Raises UserError.
    """
    if fixed := [key for key in _FIXED if key in changes]:
        raise UserError(
            f'{fixed[0]} belongs to the run that is gone on with, {saved.run}; '
            'leave it out, or start a new run'
        )
    changes = dict(changes)
    words = [f'--config_path={saved.config}', '--resume=true', f'--output_dir={saved.run}']
    if 'dataset' in changes:
        words += lerobot_options.dataset_words(training_set.find(changes['dataset']))
    if 'device' in changes:
        changes['device'] = _device(changes['device'])
    words += starting_policy.own_vlm_words(saved.pretrained)
    config = lerobot_options.parse([*words, *lerobot_options.words(changes)])
    if saved.step >= config.steps:
        raise UserError(
            f'{saved.folder} is step {saved.step}, and the run has {config.steps}: it is done. '
            f'steps={2 * config.steps} goes on; it is the number in all'
        )
    data = training_set.read(training_set.find(config.dataset.root or ''))
    policy = config.policy
    assert policy is not None
    seen = starting_policy.seen(policy, config.rename_map)
    present = data.cameras_without(set(data.cameras) - set(seen))
    chosen = starting_policy.cameras(policy, present, (), config.rename_map)
    base, had, milestones = note.read(saved.pretrained)
    cache = changes.get('cache', had or AUTO)
    return Plan(config, data, chosen, base, saved, tuple(milestones), cache)


def _device(name: str) -> str:
    """Return the name of a device that is there. Raises UserError when the one named is not."""
    available = {'cuda': torch.cuda.is_available(), 'mps': torch.backends.mps.is_available()}
    if name == 'auto':
        return next((device for device, there in available.items() if there), 'cpu')
    if not available.get(name, True):
        raise UserError(f'device {name}: torch finds none here; use device=cpu or auto')
    return name
