"""A tiny dataset, a tiny SmolVLA, and one whole training of it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from lerobot.configs.video import RGBEncoderConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_policy import untrained_smolvla
from so101_policy.features import ACTION, JOINT_NAMES, STATE, image_feature
from so101_training import train

FPS = 30
EPISODES, FRAMES = 2, 8
# An epoch is 16 frames: three whole batches and one of a single frame, so that step 5 begins the
# second.
BATCH, STEPS, SAVE = 5, 6, 2
TASK = 'Pick up the cube and place it in the bowl'


def words(dataset: Path, policy: Path, out: Path, *more: str) -> list[str]:
    return [
        *('--dataset', str(dataset), '--out', str(out), f'policy={policy}', 'num_workers=0'),
        *(f'batch_size={BATCH}', f'steps={STEPS}', f'save_freq={SAVE}', 'log_freq=1', *more),
    ]


@pytest.fixture(scope='session')
def shared_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short episodes of an arm that moves all joints; not to be changed."""
    folder = tmp_path_factory.mktemp('datasets') / 'cube'
    joints = {'dtype': 'float32', 'shape': (6,), 'names': list(JOINT_NAMES)}
    image = {'dtype': 'video', 'shape': IMAGE_SHAPE, 'names': ['height', 'width', 'channels']}
    dataset = LeRobotDataset.create(
        'local/cube',
        FPS,
        {image_feature(camera): image for camera in CAMERAS} | {STATE: joints, ACTION: joints},
        root=folder,
        streaming_encoding=True,
        rgb_encoder=RGBEncoderConfig(vcodec='h264'),
    )
    chance = np.random.default_rng(1)
    for _ in range(EPISODES):
        for frame in range(FRAMES):
            state = np.array(untrained_smolvla.READY) + 10 * np.sin(frame / 3 + np.arange(6))
            pixels = np.full(IMAGE_SHAPE, 20 * frame, np.uint8)
            pixels[100:300, 100:300] = chance.integers(0, 255, 3)
            dataset.add_frame(
                {image_feature(camera): pixels for camera in CAMERAS}
                | {STATE: np.float32(state), ACTION: np.float32(state + 1), 'task': TASK}
            )
        dataset.save_episode()
    dataset.finalize()
    return folder


@pytest.fixture
def dataset(shared_dataset: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return shutil.copytree(shared_dataset, tmp_path / 'cube')


@pytest.fixture(scope='session')
def tiny_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('policies') / 'tiny'
    untrained_smolvla.build(folder)
    return folder


@pytest.fixture(scope='session')
def trained(
    shared_dataset: Path, tiny_policy: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a run that nothing interrupted; not to be changed."""
    out = tmp_path_factory.mktemp('runs') / 'whole'
    train.main(words(shared_dataset, tiny_policy, out))
    return out
