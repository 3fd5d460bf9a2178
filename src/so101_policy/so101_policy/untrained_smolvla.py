"""make_smolvla: a SmolVLA checkpoint of random weights, built offline by LeRobot's classes.

Its vision-language model is SmolVLM scaled down. `tiny` runs everything that a trained SmolVLA
runs, in 0.3 M parameters, and is for tests; `small` can be trained on a processor, in an hour or
two. Untrained, their actions are about their noise: a tremble around READY.
"""

import argparse
import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    SmolVLMConfig,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
)
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_node.robot_file import Robot
from so101_policy.checkpoint import CONFIG, NOTE, VLM
from so101_policy.features import ACTION, STATE, image_feature

# Dataset units. Above the table with the gripper a little open: safe to tremble around.
READY = (0.0, -60.0, 60.0, 60.0, 90.0, 20.0)
STATE_SPREAD = (25.0, 25.0, 25.0, 20.0, 20.0, 20.0)
# An untrained flow policy emits nearly its noise, of variance one: this is how far the arm moves.
ACTION_SPREAD = (1.5, 1.5, 1.5, 1.5, 1.5, 3.0)

CHUNK_SIZE = 50
FPS = 30

# Tokens at most: the bytes, and what the task's words take.
_VOCABULARY = 320


class Tower(NamedTuple):
    """A transformer's width, its layers, attention heads, and the width inside its layers."""

    width: int
    layers: int
    heads: int
    inside: int


@dataclass(frozen=True)
class Size:
    """Of a SmolVLA. Images are made `image` pixels wide and high, and cut into patches.

    `merge` patches each way become one token of the text tower, whose heads share keys and values
    in twos. The action expert has as many layers as that, of three quarters of its width.
    """

    image: int
    patch: int
    merge: int
    vision: Tower
    text: Tower


SIZES = {
    'tiny': Size(64, 16, 2, vision=Tower(32, 1, 2, 64), text=Tower(64, 2, 4, 128)),
    # 96 pixels: an overhead one is 8 mm of the table, a third of the cube. What it costs to train
    # is nearly all matrix products, so that a larger one is slower by as much.
    'small': Size(96, 12, 2, vision=Tower(96, 3, 3, 384), text=Tower(128, 3, 4, 384)),
}


def build(
    folder: Path, size: str = 'tiny', seed: int = 0, cameras: Collection[str] = tuple(CAMERAS)
) -> None:
    """Write the checkpoint to `folder`, whole or not at all; an old checkpoint there is replaced.

    `size` is one of SIZES, `cameras` are those that it sees. Raises UserError when one is not the
    robot's, and when `folder` exists and is not a checkpoint.
    """
    if size not in SIZES:
        raise UserError(f'size {size}: give one of {", ".join(SIZES)}')
    if not cameras or set(cameras) - set(CAMERAS):
        raise UserError(f'cameras {", ".join(cameras)}: give one or more of {", ".join(CAMERAS)}')
    if folder.exists() and not (folder / CONFIG).is_file():
        raise UserError(f'{folder} exists and is not a checkpoint; give another folder')
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{folder.name}.', dir=folder.parent) as scratch:
        made = Path(scratch) / 'checkpoint'
        _write(made, SIZES[size], seed, cameras)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


def _write(folder: Path, size: Size, seed: int, cameras: Collection[str]) -> None:
    torch.manual_seed(seed)
    _write_vlm(folder / VLM, size)
    height, width, channels = IMAGE_SHAPE
    joints = (len(JOINTS),)
    config = SmolVLAConfig(
        device='cpu',
        push_to_hub=False,
        input_features={
            **{
                image_feature(camera): PolicyFeature(FeatureType.VISUAL, (channels, height, width))
                for camera in cameras
            },
            STATE: PolicyFeature(FeatureType.STATE, joints),
        },
        output_features={ACTION: PolicyFeature(FeatureType.ACTION, joints)},
        vlm_model_name=VLM,
        load_vlm_weights=False,
        resize_imgs_with_padding=(size.image, size.image),
        chunk_size=CHUNK_SIZE,
        n_action_steps=CHUNK_SIZE,
        num_vlm_layers=size.text.layers,
        num_expert_layers=size.text.layers,
        # Nothing of it was trained before: all of it is to be.
        train_expert_only=False,
        freeze_vision_encoder=False,
    )
    statistics = {
        STATE: {'mean': torch.tensor(READY), 'std': torch.tensor(STATE_SPREAD)},
        ACTION: {'mean': torch.tensor(READY), 'std': torch.tensor(ACTION_SPREAD)},
    }
    # A relative name for the VLM, so that no file says where the checkpoint was made.
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        SmolVLAPolicy(config).save_pretrained(folder)
        for processor in make_pre_post_processors(config, dataset_stats=statistics):
            processor.save_pretrained(folder)
    (folder / NOTE).write_text(json.dumps({'trained': False, 'fps': FPS}, indent=4))


def _write_vlm(folder: Path, size: Size) -> None:
    """Write the configuration, tokenizer and processor of a SmolVLM of that size."""
    tokenizer = _tokenizer()
    vocabulary = tokenizer.get_vocab()
    edge = {'longest_edge': size.image}
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=edge, max_image_size=edge),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=edge, max_image_size=edge),
        image_seq_len=(size.image // size.patch // size.merge) ** 2,
    ).save_pretrained(folder)
    SmolVLMConfig.from_dict(
        {
            'image_token_id': vocabulary[_IMAGE_TOKENS['image_token']],
            'pad_token_id': vocabulary[_PAD],
            'scale_factor': size.merge,
            'vision_config': {
                'hidden_size': size.vision.width,
                'intermediate_size': size.vision.inside,
                'num_hidden_layers': size.vision.layers,
                'num_attention_heads': size.vision.heads,
                'image_size': size.image,
                'patch_size': size.patch,
            },
            'text_config': {
                'model_type': 'llama',
                'vocab_size': len(vocabulary),
                'hidden_size': size.text.width,
                'intermediate_size': size.text.inside,
                'num_hidden_layers': size.text.layers,
                'num_attention_heads': size.text.heads,
                'num_key_value_heads': size.text.heads // 2,
                'head_dim': size.text.width // size.text.heads,
                'pad_token_id': vocabulary[_PAD],
            },
        }
    ).save_pretrained(folder)


_PAD, _BEGIN, _END = '<pad>', '<s>', '</s>'
_IMAGE_TOKENS = {
    'image_token': '<image>',
    'fake_image_token': '<fake_token_around_image>',
    'global_image_token': '<global-img>',
}


def _tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes to which each word of the robot's usual task is one token.

    Any other task is longer, but not unknown.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [Robot().task] * 2,  # what occurs once is not merged
        trainers.BpeTrainer(
            vocab_size=_VOCABULARY,
            special_tokens=[_PAD, _BEGIN, _END, *_IMAGE_TOKENS.values()],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_PAD,
        bos_token=_BEGIN,
        eos_token=_END,
        extra_special_tokens=_IMAGE_TOKENS,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--out', type=Path, required=True, help='the folder to write')
    parser.add_argument('--size', default='tiny', choices=tuple(SIZES), help='default: tiny')
    parser.add_argument('--seed', type=int, default=0, help='of the random weights')
    parser.add_argument(
        '--cameras', default=','.join(CAMERAS), help='that it sees, separated by commas'
    )
    arguments = parser.parse_args()
    try:
        build(arguments.out, arguments.size, arguments.seed, arguments.cameras.split(','))
    except UserError as error:
        print(f'make_smolvla: {error}', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    main()
