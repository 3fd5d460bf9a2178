"""Where a training starts: a checkpoint, a model of the hub, or a policy type's random weights."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import lerobot.policies  # noqa: F401  (its import makes the policy types known)
from lerobot.configs import FeatureType, PolicyFeature, PreTrainedConfig

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy import checkpoint, json_object
from so101_policy.checkpoint import CONFIG, NOTE, VLM
from so101_policy.features import STATE, image_feature
from so101_policy.training import of_note
from so101_training.training.parameters import nearest

# Names that say nothing of where a camera looks: those of base models (smolvla_base: camera1 to
# camera3), and what LeRobot fills up with. The dataset's own take their place.
_PLACEHOLDER = re.compile(r'observation\.images?\.?(camera|image|empty_camera_)?\d*')


def words(policy: str) -> list[str]:
    """Return the words by which LeRobot starts from `policy`. Raises UserError when it cannot."""
    folder = Path(policy).expanduser()
    if folder.is_dir():
        found = checkpoint.find(folder)
        return [f'--policy.path={found}', *own_vlm_words(found)]
    if policy in PreTrainedConfig.get_known_choices():
        return [f'--policy.type={policy}']
    if policy.startswith(('/', '.', '~')) or policy.count('/') != 1:
        types = PreTrainedConfig.get_known_choices()
        raise UserError(
            f'policy {policy}: no such folder, nor a policy type; the nearest type is '
            f'{nearest(policy, types)}'
        )
    try:
        PreTrainedConfig.from_pretrained(policy, local_files_only=_offline())
    except OSError as error:
        raise UserError(
            f'policy {policy}: not in the cache of this machine and not fetched: fetch it once '
            f'with: HF_HUB_OFFLINE=0 hf download {policy}; SmolVLA also needs its vision-language '
            'model: HF_HUB_OFFLINE=0 hf download HuggingFaceTB/SmolVLM2-500M-Video-Instruct'
        ) from error
    return [f'--policy.path={policy}']


def base(policy: str, config: PreTrainedConfig) -> str | None:
    """Return what the weights come from, of a training that starts from `policy`; None: random."""
    if config.pretrained_path is None:
        return None
    folder = Path(policy).expanduser()
    if folder.is_dir() and not of_note(checkpoint.find(folder) / NOTE).trained:
        return None
    return policy


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def own_vlm_words(folder: Path) -> list[str]:
    """Return the words for a vision-language model that a checkpoint brings.

    It has no weights: those that are not in the checkpoint come from where its config says.
    """
    vlm = folder / VLM
    if not vlm.is_dir() or json_object.read(folder / CONFIG).get('load_vlm_weights'):
        return []
    return [f'--policy.vlm_model_name={vlm}']


def cameras(
    config: PreTrainedConfig,
    present: Sequence[str],
    excluded: Sequence[str],
    renames: Mapping[str, str],
) -> tuple[str, ...]:
    """Return the cameras that the policy is to see, short names, of those `present`.

    `present` are the dataset's, without those `excluded`; `renames` is LeRobot's rename_map. A
    policy of this robot sees the cameras that it saw before, one of placeholders all.
    Raises UserError, with both lists, when the policy names a camera that is not there.
    """
    here = {image_feature(camera): camera for camera in present}
    images = image_feature('')
    if renames:
        unknown = sorted(name for name in renames if name.startswith(images) and name not in here)
        if unknown:
            raise UserError(_differ(f'rename_map names {", ".join(unknown)}', here))
        return tuple(present)
    own = set(config.image_features)
    named = {name for name in own if not _PLACEHOLDER.fullmatch(name)}
    if not named:
        return tuple(present)
    without = {image_feature(name.removeprefix(images)) for name in excluded}
    if lacking := named - set(here) - without:
        raise UserError(_differ(f'the policy sees {", ".join(sorted(lacking))}', here))
    return tuple(camera for name, camera in here.items() if name in named)


def input_features(
    config: PreTrainedConfig, chosen: Sequence[str], renames: Mapping[str, str]
) -> dict[str, PolicyFeature]:
    """Return what the policy is given: the images of the chosen cameras and the joints."""
    height, width, channels = IMAGE_SHAPE
    features = {}
    for camera in chosen:
        name = renames.get(image_feature(camera), image_feature(camera))
        known = (config.input_features or {}).get(name)
        features[name] = known or PolicyFeature(FeatureType.VISUAL, (channels, height, width))
    return {**features, STATE: PolicyFeature(FeatureType.STATE, (len(JOINTS),))}


def seen(config: PreTrainedConfig, renames: Mapping[str, str]) -> tuple[str, ...]:
    """Return the cameras, short names, that a policy of ours was trained with."""
    names = set(config.image_features)
    return tuple(
        camera
        for camera in CAMERAS
        if renames.get(image_feature(camera), image_feature(camera)) in names
    )


def _differ(what: str, here: Mapping[str, str]) -> str:
    return (
        f'the cameras differ: {what}; the dataset gives {", ".join(here)}. Rename them in the '
        'dataset, or name those to go without in exclude_cameras'
    )
