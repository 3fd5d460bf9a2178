import contextlib
import io
import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator
from lerobot.configs import RGBEncoderConfig
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets import EpisodeAwareSampler
from lerobot.datasets.factory import make_train_eval_datasets
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.common.vla_utils import resize_with_pad
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.transforms import ImageTransformConfig, ImageTransformsConfig
from lerobot.utils.feature_utils import dataset_to_policy_features
from rich.console import Console

from so101_node.error import UserError
from so101_training.training import dataset as module
from so101_training.training.batches import EPOCH, TrainingDataset
from so101_training.training.dataset import AUTO, NONE, make_datasets, policy_size
from so101_training.training.videos import DataError

CAMERAS = ('wrist', 'overhead')
HEIGHT, WIDTH = 48, 64
LENGTHS = (9, 12, 7, 10)
NAMES = [f'{joint}.pos' for joint in ('pan', 'lift', 'elbow', 'flex', 'roll', 'gripper')]


@pytest.fixture(scope='session')
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two cameras and four episodes, of two tasks, that no test changes."""
    root = tmp_path_factory.mktemp('dataset') / 'picking'
    joints = {'dtype': 'float32', 'shape': (6,), 'names': NAMES}
    image = {
        'dtype': 'video',
        'shape': (HEIGHT, WIDTH, 3),
        'names': ['height', 'width', 'channels'],
    }
    features = {f'observation.images.{camera}': image for camera in CAMERAS}
    features |= {'observation.state': joints, 'action': joints}
    dataset = LeRobotDataset.create(
        'so101/picking',
        30,
        features,
        root=root,
        streaming_encoding=True,
        rgb_encoder=RGBEncoderConfig(vcodec='h264', crf=18),
    )
    random = np.random.default_rng(0)
    for episode, length in enumerate(LENGTHS):
        for _ in range(length):
            pictures = random.integers(0, 255, (2, 12, 16, 3), np.uint8).repeat(4, 1).repeat(4, 2)
            frame = {
                f'observation.images.{c}': picture
                for c, picture in zip(CAMERAS, pictures, strict=True)
            }
            frame |= {
                name: random.normal(0, 30, 6).astype(np.float32)
                for name in ('observation.state', 'action')
            }
            dataset.add_frame({**frame, 'task': 'Pick' if episode < 3 else 'Place'})
        dataset.save_episode()
    dataset.finalize()
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(original, tmp_path / 'picking'))


def smolvla(side: int | None = None) -> SmolVLAConfig:
    size = None if side is None else (side, side)
    return SmolVLAConfig(device='cpu', push_to_hub=False, resize_imgs_with_padding=size)


def config_of(root: Path, policy: Any = None, **dataset: Any) -> TrainPipelineConfig:
    return TrainPipelineConfig(
        dataset=DatasetConfig('so101/picking', root=str(root), video_backend='pyav', **dataset),
        policy=policy or smolvla(),
        batch_size=6,
    )


def transforms(**entries: ImageTransformConfig) -> ImageTransformsConfig:
    return ImageTransformsConfig(enable=True, **({'tfs': entries} if entries else {}))


def console() -> Console:
    return Console(file=io.StringIO(), width=500)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert ours[name].dtype == value.dtype, name
            assert ours[name].shape == value.shape, name
            assert torch.equal(ours[name], value), name
        else:
            assert ours[name] == value, name


@pytest.mark.parametrize(
    'policy',
    [smolvla(), ACTConfig(device='cpu'), DiffusionConfig(device='cpu', n_obs_steps=3)],
    ids=lambda policy: policy.type,
)
@pytest.mark.parametrize('episodes', [None, [1, 3], [3, 0]], ids=str)
@pytest.mark.parametrize('cached', [False, True])
def test_samples_are_lerobots_own(
    original: Path, tmp_path: Path, policy: Any, episodes: list[int] | None, cached: bool
) -> None:
    config = config_of(original, policy, episodes=episodes)
    theirs, _ = make_train_eval_datasets(config)
    ours, held_out = make_datasets(config, cache=tmp_path if cached else NONE, console=console())
    assert held_out is None
    assert len(ours) == len(theirs)
    assert (ours.num_frames, ours.num_episodes) == (theirs.num_frames, theirs.num_episodes)
    assert ours.episodes == theirs.episodes
    assert ours.absolute_to_relative_idx == theirs.absolute_to_relative_idx
    assert ours.meta.camera_keys == theirs.meta.camera_keys
    for place in (0, 1, len(ours) // 2, len(ours) - 1):
        assert_same(ours[place], theirs[place])
    (batch,) = ours.__getitems__([5, 0, 8, 5])
    assert_same(batch, torch.utils.data.default_collate([theirs[i] for i in (5, 0, 8, 5)]))


@pytest.mark.parametrize('episodes', [None, [0, 2, 3]], ids=str)
def test_the_same_episodes_as_lerobots_are_held_out(
    original: Path, episodes: list[int] | None
) -> None:
    config = config_of(original, episodes=episodes, eval_split=0.4)
    config.dataset.image_transforms = transforms()  # for training only
    theirs = make_train_eval_datasets(config)
    ours = make_datasets(config, cache=NONE, console=console())
    assert [made and made.episodes for made in ours] == [made.episodes for made in theirs]
    held_out, wanted = ours[1], theirs[1]
    assert held_out is not None
    for place in range(len(wanted)):
        assert_same(held_out[place], wanted[place])


def test_a_split_that_leaves_nothing_to_train_on_is_refused(original: Path) -> None:
    with pytest.raises(UserError, match=r'eval_split 0\.9 leaves none of 4 episodes'):
        make_datasets(config_of(original, eval_split=0.9), cache=NONE, console=console())


def test_statistics_of_images_are_imagenets_when_wanted(original: Path) -> None:
    for wanted in (True, False):
        config = config_of(original, use_imagenet_stats=wanted)
        theirs, _ = make_train_eval_datasets(config)
        ours, _ = make_datasets(config, cache=NONE, console=console())
        assert set(ours.meta.stats) == set(theirs.meta.stats)
        for name, statistics in theirs.meta.stats.items():
            for kind, value in statistics.items():
                np.testing.assert_array_equal(ours.meta.stats[name][kind], value)


@pytest.mark.parametrize(
    ('side', 'height', 'width'), [(40, 30, 40), (32, 24, 32), (64, 48, 64), (512, 48, 64)]
)
def test_the_policy_sees_what_it_would_make_itself(
    original: Path, tmp_path: Path, side: int, height: int, width: int
) -> None:
    config = config_of(original, smolvla(side))
    theirs, _ = make_train_eval_datasets(config)
    camera = 'observation.images.wrist'
    for cache in (NONE, tmp_path):
        ours, _ = make_datasets(config, cache=cache, console=console())
        for place in (0, 20):
            small = ours[place][camera]
            assert small.shape == (3, height, width)
            seen = resize_with_pad(small[None] / 255.0, side, side, pad_value=0)
            wanted = resize_with_pad(theirs[place][camera][None] / 255.0, side, side, pad_value=0)
            error = (seen - wanted).abs() * 255
            assert error.max() <= 1.0
            assert error.mean() <= 0.3
        assert ours.meta.features[camera]['shape'] == (HEIGHT, WIDTH, 3)


def test_sizes_are_those_of_the_policy() -> None:
    assert policy_size(smolvla(512), 480, 640) == (384, 512)
    assert policy_size(smolvla(224), 480, 640) == (168, 224)
    assert policy_size(smolvla(), 480, 640) == (480, 640)
    assert policy_size(smolvla(1024), 480, 640) == (480, 640)
    assert policy_size(ACTConfig(device='cpu'), 480, 640) == (480, 640)
    for side in range(16, 400, 7):
        size = policy_size(smolvla(side), 480, 641)
        image = torch.rand(1, 3, *size)
        padded = resize_with_pad(image, side, side, pad_value=0)
        if size != (480, 641):
            assert torch.equal(padded[..., -size[0] :, -size[1] :], image)


def clean_forks() -> Any:
    """Return how to fork workers from a process without threads: from this one they may hang."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['so101_training.training.batches'])
    return context


def loader_of(
    dataset: TrainingDataset, workers: int, context: Any = None
) -> torch.utils.data.DataLoader:
    """Return the loader of LeRobot's trainer, but that its workers are forked, not spawned."""
    sampler = EpisodeAwareSampler(
        dataset.meta.episodes['dataset_from_index'],
        dataset.meta.episodes['dataset_to_index'],
        episode_indices_to_use=dataset.episodes,
        shuffle=True,
        seed=3,
        absolute_to_relative_idx=dataset.absolute_to_relative_idx,
    )
    return torch.utils.data.DataLoader(
        dataset,
        num_workers=workers,
        batch_size=6,
        sampler=sampler,
        multiprocessing_context=(context or clean_forks()) if workers else None,
    )


def test_batches_are_the_same_whoever_makes_them(original: Path, tmp_path: Path) -> None:
    config = config_of(original, smolvla(40), image_transforms=transforms(), episodes=[0, 1, 2])
    alone, _ = make_datasets(config, cache=NONE, console=console())
    wanted = list(loader_of(alone, 0))
    assert sum(len(batch['index']) for batch in wanted) == sum(LENGTHS[:3])
    for workers in (2, 4):
        dataset, _ = make_datasets(config, cache=tmp_path, console=console())
        for ours, theirs in zip(loader_of(dataset, workers), wanted, strict=True):
            assert_same(ours, theirs)


KILLED = """
import os, signal, sys
import psutil
from test_dataset import NONE, config_of, console, loader_of, make_datasets
from pathlib import Path
dataset, _ = make_datasets(config_of(Path(sys.argv[1])), cache=NONE, console=console())
batches = iter(loader_of(dataset, 2, 'fork'))
next(batches), next(batches)
print(*(worker.pid for worker in psutil.Process().children()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_trainer_that_is_killed(original: Path) -> None:
    trainer = subprocess.run(
        [sys.executable, '-c', KILLED, original],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert trainer.returncode == -signal.SIGKILL
    pids = trainer.stdout.split()
    assert len(pids) == 2
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(int(pid)).wait(20)


def test_accelerate_passes_batches_on(original: Path) -> None:
    config = config_of(original, image_transforms=transforms())
    dataset, _ = make_datasets(config, cache=NONE, console=console())
    prepared = Accelerator(cpu=True).prepare(loader_of(dataset, 0))
    for ours, theirs in zip(prepared, loader_of(dataset, 0), strict=True):
        assert_same(ours, theirs)


def test_a_sample_depends_on_seed_epoch_and_itself_alone(original: Path) -> None:
    config = config_of(original, image_transforms=transforms())
    dataset, _ = make_datasets(config, cache=NONE, console=console())
    camera = 'observation.images.wrist'
    images = [dataset[name][camera] for name in (4, EPOCH + 4, 2 * EPOCH + 4)]
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[1], images[2])
    (batch,) = dataset.__getitems__([2, EPOCH + 4, 4, EPOCH + 9])
    assert torch.equal(batch[camera][1], images[1])
    assert torch.equal(batch[camera][2], images[0])
    # Also when episodes are left out, or a camera.
    config.dataset.episodes = [1, 2]
    fewer, _ = make_datasets(config, ['overhead'], cache=NONE, console=console())
    assert torch.equal(fewer[1][camera], dataset[LENGTHS[0] + 1][camera])
    config.seed = 8
    other, _ = make_datasets(config, cache=NONE, console=console())
    assert not torch.equal(other[1][camera], fewer[1][camera])


def test_slower_transforms_are_named_once(original: Path) -> None:
    noise = ImageTransformConfig(1.0, 'GaussianNoise', {'std': (20.0, 20.0)})
    output = console()
    config = config_of(original, image_transforms=transforms(noise=noise))
    dataset, _ = make_datasets(config, cache=NONE, console=output)
    assert 'take longer' in said(output)
    assert 'noise' in said(output)
    plain, _ = make_datasets(config_of(original), cache=NONE, console=console())
    difference = dataset[3]['observation.images.wrist'].float()
    difference -= plain[3]['observation.images.wrist'].float()
    assert difference.std() > 5


def test_a_transform_that_does_not_exist_is_named(original: Path) -> None:
    wrong = transforms(blur=ImageTransformConfig(1.0, 'Blurr'))
    with pytest.raises(UserError, match=r"image_transforms: Transform 'Blurr' is not valid"):
        make_datasets(config_of(original, image_transforms=wrong), cache=NONE, console=console())


@pytest.mark.parametrize('name', ['overhead', 'observation.images.overhead'])
@pytest.mark.parametrize('cached', [False, True])
def test_an_excluded_camera_needs_no_videos_and_is_not_there(
    root: Path, tmp_path: Path, name: str, cached: bool
) -> None:
    shutil.rmtree(root / 'videos' / 'observation.images.overhead')
    cache = tmp_path / 'cache'
    dataset, _ = make_datasets(
        config_of(root), [name], cache=cache if cached else NONE, console=console()
    )
    assert dataset.meta.camera_keys == ['observation.images.wrist']
    assert 'observation.images.overhead' not in dataset.meta.features
    assert not any('overhead' in key for key in dataset[0])
    assert not list(cache.rglob('*overhead*'))


@pytest.mark.parametrize(
    ('excluded', 'message'),
    [
        (['gripper', 'wrist'], r'no camera gripper in .*picking: it has wrist, overhead'),
        (['action'], r'no camera action'),
        (CAMERAS, r'all cameras of .*picking are excluded'),
    ],
)
def test_what_cannot_be_excluded_is_said(
    original: Path, excluded: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_datasets(config_of(original), excluded, cache=NONE, console=console())


def without_statistics(root: Path) -> None:
    (root / 'meta' / 'stats.json').unlink()


def without_statistics_of_actions(root: Path) -> None:
    path = root / 'meta' / 'stats.json'
    values = json.loads(path.read_text())
    del values['action']
    path.write_text(json.dumps(values))


def without_a_video(root: Path) -> None:
    shutil.rmtree(root / 'videos' / 'observation.images.overhead')


def without_rows(root: Path) -> None:
    (path,) = (root / 'data').rglob('*.parquet')
    pq.write_table(pq.read_table(path).slice(0, sum(LENGTHS) - 2), path)


def without_info(root: Path) -> None:
    (root / 'meta' / 'info.json').unlink()


def with_pictures(root: Path) -> None:
    path = root / 'meta' / 'info.json'
    info = json.loads(path.read_text())
    info['features']['observation.images.wrist']['dtype'] = 'image'
    path.write_text(json.dumps(info))


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (without_statistics, r'stats\.json lacks .*observation\.state, action, without which'),
        (without_statistics_of_actions, r'stats\.json lacks action, without which'),
        (without_a_video, r'picking lacks videos/observation\.images\.overhead/.*\.mp4'),
        (without_rows, 'episode 3 has 8 rows, not 10'),
        (without_info, 'no dataset .*picking'),
        (with_pictures, r'has observation\.images\.wrist beside videos in colour'),
    ],
)
def test_a_dataset_that_is_not_whole_is_refused(
    root: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(root)
    with pytest.raises(UserError, match=message):
        make_datasets(config_of(root), cache=NONE, console=console())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'episodes': [0, 4]}, r'episodes \[0, 4\]: .*picking has episodes 0 to 3'),
        ({'episodes': []}, 'has episodes 0 to 3'),
        ({'streaming': True}, 'streaming is not supported'),
    ],
)
def test_options_that_cannot_be_are_refused(
    original: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_datasets(config_of(original, **options), cache=NONE, console=console())


def test_a_damaged_video_is_named_by_the_loader(root: Path) -> None:
    dataset, _ = make_datasets(config_of(root), cache=NONE, console=console())
    (video,) = (root / 'videos' / 'observation.images.overhead').rglob('*.mp4')
    video.write_bytes(video.read_bytes()[:200])
    for workers in (0, 1):
        with pytest.raises(DataError) as caught:
            next(iter(loader_of(dataset, workers)))
        assert str(caught.value).startswith(f'{video} is not a video')
        assert 'Traceback' not in str(caught.value)


def test_the_cache_is_beside_the_dataset_where_there_is_room(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(10**12, 0, 10**12))
    output = console()
    cached, _ = make_datasets(config_of(root), cache=AUTO, console=output)
    assert 'decoding frames once' in said(output)
    assert (root.parent / 'picking.frames').is_dir()
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: usage(10**12, 10**12, 0))
    # What is made already needs no room.
    again = console()
    make_datasets(config_of(root), cache=AUTO, console=again)
    assert said(again) == ''
    shutil.rmtree(root.parent / 'picking.frames')
    decoded, _ = make_datasets(config_of(root), cache=AUTO, console=again)
    assert 'frames are decoded whenever they are drawn' in said(again)
    assert not (root.parent / 'picking.frames').exists()
    monkeypatch.undo()
    make_datasets(config_of(root), cache=root.parent, console=console())
    assert_same(decoded[7], cached[7])


def test_lerobot_still_reads_a_dataset_with_a_cache_beside_it(root: Path) -> None:
    before, _ = make_train_eval_datasets(config_of(root))
    make_datasets(config_of(root), cache=root.parent, console=console())
    after, _ = make_train_eval_datasets(config_of(root))
    assert_same(after[3], before[3])


def test_files_are_fetched_when_the_hub_may_be_asked(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    videos = root / 'videos' / 'observation.images.overhead'
    hub = shutil.move(videos, tmp_path / 'hub')
    asked: list[Any] = []

    def fetch(name: str, **options: Any) -> str:
        asked.append((name, options['allow_patterns']))
        shutil.copytree(hub, videos)
        return str(options['local_dir'])

    monkeypatch.setattr(module.constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.setattr(module, 'snapshot_download', fetch)
    dataset, _ = make_datasets(config_of(root), cache=NONE, console=console())
    assert dataset[0]['observation.images.overhead'].shape == (3, HEIGHT, WIDTH)
    ((name, files),) = asked
    assert name == 'so101/picking'
    assert all('overhead' in file for file in files)


def test_a_policy_built_from_the_metadata_lacks_an_excluded_camera(original: Path) -> None:
    dataset, _ = make_datasets(config_of(original), ['wrist'], cache=NONE, console=console())
    features = dataset_to_policy_features(dataset.meta.features)
    images = [name for name in features if name.startswith('observation.images')]
    assert images == ['observation.images.overhead']
    assert features[images[0]].shape == (3, HEIGHT, WIDTH)
