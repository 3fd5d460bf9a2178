"""The trainer's waiting for data beside LeRobot's own, and what codecs cost: one dataset, one run.

`make bench NAME=dataloader`; ten minutes. `python bench/dataloader.py --codecs` is the second part
alone, a minute. The dataset is drawn: two 640x480 cameras, a moving arm before a textured ground,
a camera's noise. The loader is that of lerobot-train with its defaults, batch 64, SmolVLA, image
transforms on. Every loader runs in a process of its own, first as fast as it can, then beside
updates of 1.27 s (the original's, on an RTX 3090) that keep one core busy all the time: on two
cores the workers have the other one. To move and scale a batch, which a GPU does, is not counted.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import torch
from lerobot.configs import RGBEncoderConfig
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets import EpisodeAwareSampler
from lerobot.datasets.factory import make_train_eval_datasets
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.video_utils import decode_video_frames_pyav
from lerobot.policies.common.vla_utils import resize_with_pad
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.scripts.lerobot_train import _dataloader_worker_kwargs
from lerobot.transforms import ImageTransformsConfig
from rich.console import Console
from rich.table import Table

from so101_bringup import figures
from so101_bringup.figures import Figure, at_least, at_most, untargeted
from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_policy.features import ACTION, JOINT_NAMES, STATE, image_feature
from so101_training.training.dataset import NONE, make_datasets
from so101_training.training.videos import Array, Clip, VideoFrames

FOLDER = Path('build') / 'bench' / 'dataloader'
EPISODES, LENGTH, FPS = 6, 160, 30  # a whole number of batches
ORIGINAL_FRAMES = 22_436  # of the original's dataset
BATCH, UPDATE = 64, 1.27  # samples, seconds: the original's
WORKERS = (4, 2)  # lerobot-train's default first
ROUNDS = 2
STEPS = 8  # beside updates
# Batches as fast as possible, a multiple of all workers: they come as many at a time.
BATCHES = {'lerobot': 12, 'videos': 32, 'cache': 64}
HEIGHT, WIDTH, _ = IMAGE_SHAPE
SMALL = (384, 512)  # what SmolVLA makes of IMAGE_SHAPE

# As so101 convert encodes.
CODEC: dict[str, Any] = {
    'vcodec': 'h264',
    'g': 2,
    'crf': 23,
    'preset': 'veryfast',
    'extra_options': {'bf': '0', 'tune': 'fastdecode'},
}
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    'h264 veryfast, GOP 2, fastdecode': (
        'h264',
        {'preset': 'veryfast', 'crf': '23', 'g': '2', 'bf': '0', 'tune': 'fastdecode'},
    ),
    'h264 veryfast, GOP 2': ('h264', {'preset': 'veryfast', 'crf': '23', 'g': '2', 'bf': '0'}),
    'h264 medium, GOP 2': ('h264', {'preset': 'medium', 'crf': '23', 'g': '2'}),
    'h264 ultrafast, GOP 2': ('h264', {'preset': 'ultrafast', 'crf': '23', 'g': '2', 'bf': '0'}),
    'h264 veryfast, GOP 1, fastdecode': (
        'h264',
        {'preset': 'veryfast', 'crf': '23', 'g': '1', 'tune': 'fastdecode'},
    ),
    'h264 veryfast, GOP 10, fastdecode': (
        'h264',
        {'preset': 'veryfast', 'crf': '23', 'g': '10', 'bf': '0', 'tune': 'fastdecode'},
    ),
    'h264 medium, GOP 30, 3 B frames': ('h264', {'preset': 'medium', 'crf': '23', 'g': '30'}),
    'AV1 preset 12, GOP 2 (LeRobot)': ('libsvtav1', {'preset': '12', 'crf': '30', 'g': '2'}),
    'AV1 preset 12, GOP 30': ('libsvtav1', {'preset': '12', 'crf': '30', 'g': '30'}),
}


def scene(count: int, seed: int) -> Iterator[Array]:
    """Yield rgb8 frames (HEIGHT, WIDTH, 3) of an arm that moves over a table."""
    generator = np.random.default_rng(seed)
    cv2.setRNGSeed(seed)
    ground: Array = np.full((HEIGHT, WIDTH, 3), 120, np.float32)
    for rows, depth in ((4, 50), (16, 25), (64, 10), (160, 4)):
        texture = generator.normal(0, depth, (rows, rows * 4 // 3, 3)).astype(np.float32)
        ground += cv2.resize(texture, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    cv2.circle(ground, (450, 330), 60, (30, 70, 190), -1, cv2.LINE_AA)
    for number in range(count):
        frame = ground.copy()
        x = int(320 + 200 * np.sin(number / 40 + seed))
        y = int(240 + 120 * np.cos(number / 55))
        cv2.rectangle(frame, (x - 30, y - 30), (x + 30, y + 30), (200, 40, 30), -1, cv2.LINE_AA)
        cv2.line(frame, (320, HEIGHT - 1), (x, y - 40), (240, 240, 235), 24, cv2.LINE_AA)
        noise = np.empty_like(frame)
        cv2.randn(noise, np.zeros(3), np.full(3, 3.0))
        # A camera interpolates its colours, so neighbours share their noise.
        frame += cv2.GaussianBlur(noise, (3, 3), 0.8)
        yield np.clip(frame, 0, 255).astype(np.uint8)


def write_dataset(root: Path) -> None:
    joints = {'dtype': 'float32', 'shape': (len(JOINT_NAMES),), 'names': list(JOINT_NAMES)}
    axes = ['height', 'width', 'channels']
    image = {'dtype': 'video', 'shape': IMAGE_SHAPE, 'names': axes}
    dataset = LeRobotDataset.create(
        'so101/bench',
        FPS,
        {**{image_feature(camera): image for camera in CAMERAS}, STATE: joints, ACTION: joints},
        root=root,
        streaming_encoding=True,
        rgb_encoder=RGBEncoderConfig(**CODEC),
    )
    generator = np.random.default_rng(0)
    for episode in range(EPISODES):
        views = [scene(LENGTH, len(CAMERAS) * episode + view) for view in range(len(CAMERAS))]
        for pictures in zip(*views, strict=True):
            frame = dict(zip(map(image_feature, CAMERAS), pictures, strict=True))
            for name in (STATE, ACTION):
                frame[name] = generator.normal(0, 30, len(JOINT_NAMES)).astype(np.float32)
            dataset.add_frame({**frame, 'task': 'Pick up the cube and place it in the bowl'})
        dataset.save_episode()
    dataset.finalize()


def config_of(root: Path, workers: int, transforms: bool = True) -> TrainPipelineConfig:
    return TrainPipelineConfig(
        dataset=DatasetConfig(
            'so101/bench',
            root=str(root),
            video_backend='pyav',
            image_transforms=ImageTransformsConfig(enable=transforms),
        ),
        policy=SmolVLAConfig(device='cpu', push_to_hub=False),
        batch_size=BATCH,
        num_workers=workers,
    )


def dataset_of(kind: str, config: TrainPipelineConfig) -> Any:
    if kind == 'lerobot':
        return make_train_eval_datasets(config)[0]
    return make_datasets(config, cache=FOLDER if kind == 'cache' else NONE)[0]


def run_loader(kind: str, workers: int) -> None:
    """Measure one loader in this process, and print what was found as JSON."""
    config = config_of(FOLDER / 'dataset', workers)
    dataset = dataset_of(kind, config)
    sampler = EpisodeAwareSampler(
        dataset.meta.episodes['dataset_from_index'],
        dataset.meta.episodes['dataset_to_index'],
        episode_indices_to_use=dataset.episodes,
        shuffle=True,
        seed=config.seed or 0,
        absolute_to_relative_idx=dataset.absolute_to_relative_idx,
    )
    loader = torch.utils.data.DataLoader(
        dataset,
        num_workers=workers,
        batch_size=config.batch_size,
        # One epoch after the other, as one: the original's has 351 batches.
        sampler=itertools.chain.from_iterable(itertools.repeat(sampler)),  # type: ignore[arg-type]
        **_dataloader_worker_kwargs(config),
    )
    batches = iter(loader)
    for _ in range(workers):
        next(batches)
    processes = psutil.Process().children(recursive=True)
    begin, busy = time.perf_counter(), sum(map(_processor_time, processes))
    samples = sum(len(next(batches)['index']) for _ in range(BATCHES[kind]))
    took = time.perf_counter() - begin
    # Batches that are begun are counted in the processor's time, and as many were when it began.
    busy = sum(map(_processor_time, processes)) - busy
    waited = 0.0
    for step in range(STEPS + 1):
        begin = time.perf_counter()
        next(batches)
        # The first one was made while nothing else ran.
        waited += time.perf_counter() - begin if step else 0.0
        end = time.perf_counter() + UPDATE
        while time.perf_counter() < end:
            pass
    print(json.dumps([samples / took, 1e3 * busy / samples, waited / STEPS]), flush=True)
    for process in processes:
        process.kill()
    # At once: the loader would wait for workers to finish batches that nobody takes.
    os._exit(0)


def _processor_time(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure_loaders() -> dict[tuple[str, int], list[float]]:
    """Return samples/s, ms of processor a sample and s of waiting a step, by loader and workers.

    Medians of rounds; in a round the loaders take turns.
    """
    runs: dict[tuple[str, int], list[list[float]]] = {}
    for turn in range(ROUNDS):
        for workers in WORKERS:
            for kind in BATCHES:
                print(f'round {turn + 1}: {kind}, {workers} workers ...', flush=True)
                words = [sys.executable, __file__, '--loader', kind, '--workers', str(workers)]
                ran = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
                found = json.loads(ran.stdout.splitlines()[-1])
                runs.setdefault((kind, workers), []).append(found)
                print(
                    f'    {found[0]:.0f} samples/s, {found[1]:.1f} ms of processor a sample, '
                    f'{found[2]:.2f} s of waiting a step',
                    flush=True,
                )
    return {
        key: [statistics.median(column) for column in zip(*turns, strict=True)]
        for key, turns in runs.items()
    }


def measure_error() -> tuple[float, float]:
    """Return by how much, of 255, what SmolVLA sees differs from what it would make of the videos'
    frames itself, transforms off: mean and largest.
    """
    config = config_of(FOLDER / 'dataset', 0, transforms=False)
    ours, theirs = dataset_of('cache', config), dataset_of('lerobot', config)
    means, largest = [], 0.0
    for place in range(0, EPISODES * LENGTH, 97):
        for name in map(image_feature, CAMERAS):
            seen, wanted = (
                255 * resize_with_pad(made[place][name][None] / 255, 512, 512, pad_value=0)
                for made in (ours, theirs)
            )
            error = (seen - wanted).abs()[..., -SMALL[0] :, :]
            means.append(float(error.mean()))
            largest = max(largest, float(error.max()))
    return statistics.mean(means), largest


def measure_codecs() -> list[dict[str, Any]]:
    """Return for each codec what a frame takes: kB, dB, ms of processor to write and to read."""
    frames = list(scene(LENGTH, 1))
    places = random.Random(0).choices(range(LENGTH), k=60)
    path = FOLDER / 'codec.mp4'
    times = np.arange(LENGTH) / FPS
    found = []
    for name, (codec, options) in CODECS.items():
        encoding = _processor(lambda c=codec, o=options: encode(path, frames, c, o))  # type: ignore[misc]
        ours = VideoFrames([Clip('', 0, path, times, 1e-4, (HEIGHT, WIDTH), SMALL)])
        full = VideoFrames([Clip('', 0, path, times, 1e-4, (HEIGHT, WIDTH), (HEIGHT, WIDTH))])
        errors = [
            np.mean((full.read('', 0, place).astype(np.float32) - frames[place]) ** 2)
            for place in places[:20]
        ]
        theirs_ms = _processor(lambda: [_lerobots(path, place) for place in places])
        ours_ms = _processor(lambda o=ours: [o.read('', 0, place) for place in places])  # type: ignore[misc]
        found.append(
            {
                'codec': name,
                'kilobytes': path.stat().st_size / LENGTH / 1e3,
                'psnr_db': _decibels(float(np.mean(errors))),
                'encode_ms': encoding / LENGTH,
                'lerobot_read_ms': theirs_ms / len(places),
                'read_ms': ours_ms / len(places),
            }
        )
    return found


def measure_stores() -> list[dict[str, Any]]:
    """Return for each form of frames decoded before what one takes: kB, dB, ms to read."""
    small = [cv2.resize(frame, SMALL[::-1]) for frame in scene(20, 1)]
    found = []
    forms: dict[str, Callable[[Array], bytes]] = {
        'plain': lambda frame: frame.tobytes(),
        'JPEG 95': lambda frame: _jpeg(frame, 95),
        'JPEG 90': lambda frame: _jpeg(frame, 90),
    }
    for name, form in forms.items():
        stored = [form(frame) for frame in small]
        read: list[Array] = []

        def read_all(stored: list[bytes] = stored, read: list[Array] = read) -> None:
            read[:] = [_read(data) for data in stored]

        milliseconds = _processor(read_all) / len(small)
        error = float(
            np.mean([(a.astype(np.float32) - b) ** 2 for a, b in zip(read, small, strict=True)])
        )
        found.append(
            {
                'form': name,
                'kilobytes': len(stored[0]) / 1e3,
                'psnr_db': _decibels(error) if error else None,
                'read_ms': milliseconds,
            }
        )
    return found


def _jpeg(frame: Array, quality: int) -> bytes:
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    return cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _read(data: bytes) -> Array:
    if len(data) == SMALL[0] * SMALL[1] * 3:
        return np.frombuffer(data, np.uint8).reshape(*SMALL, 3).copy()
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert frame is not None
    return frame


def _lerobots(path: Path, place: int) -> torch.Tensor:
    return decode_video_frames_pyav(path, [place / FPS], 1e-4, return_uint8=True)


def _decibels(mean_square: float) -> float:
    return float(10 * np.log10(255**2 / mean_square))


def encode(path: Path, frames: list[Array], codec: str, options: dict[str, str]) -> None:
    with av.open(str(path), 'w') as file:
        stream: Any = file.add_stream(codec, FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, 'yuv420p'
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, 'rgb24')))
        file.mux(stream.encode())


def _processor(work: Callable[[], Any]) -> float:
    """Return the milliseconds of processor, of all threads, that work takes the second time."""
    work()
    begin = time.process_time()
    work()
    return 1e3 * (time.process_time() - begin)


def show_table(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify='left')
    for name in rows[0]:
        table.add_column(name.replace('_', ' '))
    for row in rows:
        table.add_row(*('-' if v is None else f'{v:.3g}' if isinstance(v, float) else v
                        for v in row.values()))  # fmt: skip
    Console(width=None if os.isatty(1) else 120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--codecs', action='store_true', help='only what codecs cost')
    parser.add_argument('--loader', choices=list(BATCHES), help=argparse.SUPPRESS)
    parser.add_argument('--workers', type=int, default=WORKERS[0], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.loader:
        run_loader(arguments.loader, arguments.workers)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    av.logging.set_libav_level(av.logging.ERROR)
    os.environ['SVT_LOG'] = '1'
    codecs, stores = measure_codecs(), measure_stores()
    show_table('A frame of 640x480 in a video; read: at a random place, made small', codecs)
    show_table('A frame of 512x384 decoded before', stores)
    if arguments.codecs:
        return
    print(f'drawing {EPISODES * LENGTH} frames of two cameras ...', flush=True)
    write_dataset(FOLDER / 'dataset')
    begin = time.perf_counter()
    made = dataset_of('cache', config_of(FOLDER / 'dataset', 0))
    making = time.perf_counter() - begin
    mean, largest = measure_error()
    found = summary(measure_loaders(), len(made), making)
    found += [
        at_most('image_error_mean', mean, 0.5, 'of 255'),
        at_most('image_error_largest', largest, 1.0, 'of 255'),
    ]
    figures.show('Waiting for data', found)
    figures.write(
        Path('build') / 'bench' / 'dataloader.json', 'dataloader', found,
        codecs=codecs, stores=stores,
    )  # fmt: skip
    shutil.rmtree(FOLDER)
    sys.exit(bool(figures.failed(found)))


def summary(
    loaders: dict[tuple[str, int], list[float]], frames: int, making: float
) -> list[Figure]:
    found = []
    for workers in WORKERS:
        rate, processor, waited = loaders['lerobot', workers]
        beside: dict[str, Any] = {'baseline_name': 'LeRobot'}
        for kind in ('cache', 'videos'):
            ours = loaders[kind, workers]
            name = f'{kind}_{workers}_workers'
            share = 100 * ours[2] / UPDATE
            found += [
                untargeted(f'samples_per_second_{name}', ours[0], '/s', baseline=rate, **beside),
                at_least(f'times_as_fast_{name}', ours[0] / rate, 5.0, ''),
                at_most(f'waiting_beside_update_{name}', share, 2.0, '%',
                        baseline=100 * waited / UPDATE, **beside),
                untargeted(f'processor_per_sample_{name}', ours[1], 'ms',
                           baseline=processor, **beside),
            ]  # fmt: skip
    size = 2 * 3 * SMALL[0] * SMALL[1] * ORIGINAL_FRAMES / 1e9
    return [
        *found,
        untargeted('cache_made_in', making * ORIGINAL_FRAMES / frames / 60, 'min, original'),
        untargeted('cache_size', size, 'GB, original'),
    ]


if __name__ == '__main__':
    main()
