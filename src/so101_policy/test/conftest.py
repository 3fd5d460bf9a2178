"""Checkpoints and a robot for the tests of this package."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_ACT = """
import sys
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors

torch.manual_seed(0)
images = ['observation.images.wrist', 'observation.images.overhead']
config = ACTConfig(
    device='cpu', push_to_hub=False, chunk_size=20, n_action_steps=20, dim_model=32, n_heads=2,
    dim_feedforward=64, n_encoder_layers=1, n_vae_encoder_layers=1, latent_dim=4,
    pretrained_backbone_weights=None,
    input_features={
        **{name: PolicyFeature(FeatureType.VISUAL, (3, 480, 640)) for name in images},
        'observation.state': PolicyFeature(FeatureType.STATE, (6,)),
    },
    output_features={'action': PolicyFeature(FeatureType.ACTION, (6,))},
)
vector = {'mean': torch.tensor([0.0, -60, 60, 60, 90, 20]), 'std': torch.full((6,), 25.0)}
picture = {'mean': torch.full((3, 1, 1), 0.5), 'std': torch.full((3, 1, 1), 0.2)}
statistics = {'observation.state': vector, 'action': vector, **dict.fromkeys(images, picture)}
ACTPolicy(config).save_pretrained(sys.argv[1])
for processor in make_pre_post_processors(config, dataset_stats=statistics):
    processor.save_pretrained(sys.argv[1])
"""


@pytest.fixture(scope='session')
def smolvla(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SmolVLA, moved from where it was built. Not to be changed."""
    folder = tmp_path_factory.mktemp('smolvla')
    make_smolvla(folder / 'made')
    return (folder / 'made').rename(folder / 'moved')


@pytest.fixture(scope='session')
def one_eyed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SmolVLA that sees the wrist camera alone. Not to be changed."""
    folder = tmp_path_factory.mktemp('one_eyed') / 'made'
    make_smolvla(folder, '--cameras', 'wrist')
    return folder


def make_smolvla(folder: Path, *options: str) -> None:
    module = 'so101_policy.untrained_smolvla'
    command = [sys.executable, '-m', module, '--out', str(folder), *options]
    subprocess.run(command, check=True, timeout=100)


@pytest.fixture(scope='session')
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('act') / 'pretrained_model'
    subprocess.run([sys.executable, '-c', _ACT, str(folder)], check=True, timeout=100)
    return folder


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Return a function that copies a checkpoint to where a test may break it."""
    return lambda checkpoint: Path(shutil.copytree(checkpoint, tmp_path / 'copy'))
