"""make_tiny_smolvla: a SmolVLA checkpoint of random weights, built offline by LeRobot's classes.

It runs everything that a trained SmolVLA runs, in 0.3 M parameters. Its actions are about its
noise: a tremble around READY.
"""

import argparse
import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.factory import make_pre_post_processors
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
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
from so101_policy.checkpoint import CONFIG, NOTE, VLM
from so101_policy.features import ACTION, STATE, image_feature

# Dataset units. Above the table with the gripper a little open: safe to tremble around.
READY = (0.0, -60.0, 60.0, 60.0, 90.0, 20.0)
STATE_SPREAD = (25.0, 25.0, 25.0, 20.0, 20.0, 20.0)
# An untrained flow policy emits nearly its noise, of variance one: this is how far the arm moves.
ACTION_SPREAD = (1.5, 1.5, 1.5, 1.5, 1.5, 3.0)

IMAGE_SIZE = 64  # pixels, of the vision tower
CHUNK_SIZE = 50
FPS = 30


def build(folder: Path, seed: int = 0, cameras: Collection[str] = tuple(CAMERAS)) -> None:
    """Write the checkpoint to `folder`, whole or not at all; an old checkpoint there is replaced.

    `cameras` are those that it sees. Raises UserError when one is not the robot's, and when
    `folder` exists and is not a checkpoint.
    """
    if not cameras or set(cameras) - set(CAMERAS):
        raise UserError(f'cameras {", ".join(cameras)}: give one or more of {", ".join(CAMERAS)}')
    if folder.exists() and not (folder / CONFIG).is_file():
        raise UserError(f'{folder} exists and is not a checkpoint; give another folder')
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{folder.name}.', dir=folder.parent) as scratch:
        made = Path(scratch) / 'checkpoint'
        _write(made, seed, cameras)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


def _write(folder: Path, seed: int, cameras: Collection[str]) -> None:
    torch.manual_seed(seed)
    _write_vlm(folder / VLM)
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
        resize_imgs_with_padding=(IMAGE_SIZE, IMAGE_SIZE),
        chunk_size=CHUNK_SIZE,
        n_action_steps=CHUNK_SIZE,
        num_vlm_layers=2,
        num_expert_layers=2,
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


def _write_vlm(folder: Path) -> None:
    """Write the configuration, tokenizer and processor of a very small SmolVLM."""
    special = ['<pad>', '<s>', '</s>', '<image>', '<fake_token_around_image>', '<global-img>']
    image_tokens = ('image_token', 'fake_image_token', 'global_image_token')
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    bytes_only = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only,
        pad_token='<pad>',
        bos_token='<s>',
        eos_token='</s>',
        extra_special_tokens=dict(zip(image_tokens, special[3:], strict=True)),
    )
    size = {'longest_edge': IMAGE_SIZE}
    SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=size, max_image_size=size),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=size, max_image_size=size),
        image_seq_len=4,
    ).save_pretrained(folder)
    SmolVLMConfig.from_dict(
        {
            'image_token_id': vocabulary['<image>'],
            'pad_token_id': vocabulary['<pad>'],
            'scale_factor': 2,
            'vision_config': {
                'hidden_size': 32,
                'intermediate_size': 64,
                'num_hidden_layers': 1,
                'num_attention_heads': 2,
                'image_size': IMAGE_SIZE,
                'patch_size': 16,
            },
            'text_config': {
                'model_type': 'llama',
                'vocab_size': len(vocabulary),
                'hidden_size': 64,
                'intermediate_size': 128,
                'num_hidden_layers': 2,
                'num_attention_heads': 4,
                'num_key_value_heads': 2,
                'head_dim': 16,
                'pad_token_id': vocabulary['<pad>'],
            },
        }
    ).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--out', type=Path, required=True, help='the folder to write')
    parser.add_argument('--seed', type=int, default=0, help='of the random weights')
    parser.add_argument(
        '--cameras', default=','.join(CAMERAS), help='that it sees, separated by commas'
    )
    arguments = parser.parse_args()
    try:
        build(arguments.out, arguments.seed, arguments.cameras.split(','))
    except UserError as error:
        print(f'make_tiny_smolvla: {error}', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    main()
