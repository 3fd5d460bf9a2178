"""Conversion of recordings beside LeRobot's ways to make a dataset, and beside the encoder alone.

`make bench NAME=convert`; ten minutes. Demonstrations are recorded in simulation by the suite's
own recorder, two 640x480 cameras, and copied until there are as many as the original project
trained on: 75 of 10 s. All ways write with the same codec at the same quality, and begin with the
same bags, LeRobot's two with the first two of them:

- here: what `so101 convert` does, from the bags to the dataset in its place, without imports;
- LeRobot's default: add_frame and save_episode, by way of PNG files;
- LeRobot's streaming: the same with streaming_encoding;
- the encoder alone, the limit: RGB frames in memory, as LeRobot takes them, to files, on all
  cores.

`--noise 2` adds a sensor's noise to the recorded images: simulated ones are easier to encode.
"""

import argparse
import logging
import multiprocessing
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pyarrow.parquet as pq

from so101_bringup import figures
from so101_bringup.figures import Figure, at_least, at_most, exactly, untargeted
from so101_cameras.image import Array, from_jpeg, to_jpeg
from so101_episodes import bag_scan
from so101_episodes.bag import Bag, message_definitions
from so101_episodes.episode import Episode
from so101_episodes.recorded_bag import RecordedBag
from so101_episodes.recorded_episode import images_of
from so101_node.topics import CAMERAS, JOINT_STATES, REFERENCE
from so101_policy.features import ACTION, JOINT_NAMES, STATE, image_feature, pixels
from so101_training.conversion import piece, source, workshop
from so101_training.conversion.draft import Draft
from so101_training.conversion.piece import Piece, Settings
from so101_training.conversion.source import Source
from so101_training.conversion.video import Codec, Picture, VideoFile, quiet

CORES = os.cpu_count() or 1
CODEC = Codec()
SETTINGS = Settings(30, tuple(CAMERAS), 0.2, 0.05, CODEC)
_SECONDS = 10.0  # of an episode
_ROUNDS = 4  # of encoding alone
_PATIENCE = 120.0  # s for encoders to begin and to end
RECORDED = {JOINT_STATES.name, REFERENCE.name, *(c.compressed.name for c in CAMERAS.values())}


def record(folder: Path, episodes: int, noise: float) -> None:
    """Record demonstrations in simulation."""
    words = [f'num_episodes:={episodes}', f'episode_time:={_SECONDS}', 'hand:=waves']
    words += ['sim:=true', 'page:=false', f'recordings:={folder}']
    command = [sys.executable, '-m', 'so101_bringup', 'record', *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    if noise:
        for one in source.find([folder]):
            rewrite(one, one.with_name(f'{one.name}_noisy'), 1, noise)
            shutil.rmtree(one)


def rewrite(recording: Path, folder: Path, times: int, noise: float = 0.0) -> Path:
    """Write a recording of the same motion as often, one after the other, its images noisier."""
    numbers = np.random.default_rng(0)
    store: Any = message_definitions()
    kind = 'sensor_msgs/msg/CompressedImage'
    bag = Bag(folder)
    found = [
        (channel, received, data)
        for channel, received, data in bag_scan.messages(next(recording.glob('*.mcap')))
        if channel.topic.lstrip('/') in RECORDED
    ]
    span = found[-1][1] - found[0][1] + 5_000_000
    for number in range(times):
        for channel, received, data in found:
            if noise and channel.type == kind:
                message = store.deserialize_cdr(data, kind)
                image = from_jpeg(message.data.tobytes())
                image = cv2.add(image, numbers.normal(0, noise, image.shape).astype(np.int8),
                                dtype=cv2.CV_8U)  # type: ignore[assignment]  # fmt: skip
                message.data = np.frombuffer(to_jpeg(image), np.uint8)
                data = bytes(store.serialize_cdr(message, kind))
            seconds, rest = struct.unpack_from('<iI', data, 4)
            stamp = seconds * 1_000_000_000 + rest + number * span
            data = data[:4] + struct.pack('<iI', *divmod(stamp, 1_000_000_000)) + data[12:]
            if channel.topic not in bag.counts:
                bag.add(channel)
            bag.write(channel.topic, data, received + number * span)
    bag.close()
    Episode.load(recording).save(folder)
    return folder


def copies(recordings: Path, folder: Path, times: int) -> list[Source]:
    for number in range(times):
        for one in source.find([recordings]):
            shutil.copytree(one, folder / f'{number}_{one.name}')
    return [source.look(i, one) for i, one in enumerate(source.find([folder]))]


def ours(sources: Sequence[Source], out: Path) -> tuple[float, int]:
    """Convert; return the seconds and the frames."""
    from so101_training.conversion import dataset  # LeRobot; the encoders' processes need none

    started = time.perf_counter()
    draft = Draft(out)
    draft.begin(SETTINGS)
    made = []
    for one, result in workshop.convert(sources, SETTINGS, draft.pieces, CORES, lambda _: None):
        assert isinstance(result, Piece), result
        made.append((one, result))
    made.sort(key=lambda entry: entry[0].number)
    dataset.write(draft.dataset, None, made, SETTINGS, {})
    draft.publish()
    draft.close()
    return time.perf_counter() - started, sum(result.frames for _, result in made)


def lerobots(sources: Sequence[Source], out: Path, streaming: bool) -> tuple[float, int]:
    """Make the dataset as LeRobot does, of the same frames; return seconds and frames."""
    from lerobot.configs.video import RGBEncoderConfig
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    plans = [piece.plan(one.folder, SETTINGS) for one in sources]
    joints = {'dtype': 'float32', 'shape': (6,), 'names': list(JOINT_NAMES)}
    video = {'dtype': 'video', 'shape': (480, 640, 3), 'names': ['height', 'width', 'channels']}
    features = {ACTION: joints, STATE: joints, **{image_feature(c): video for c in CAMERAS}}
    started = time.perf_counter()
    data = LeRobotDataset.create(
        'local/bench',
        30,
        features,
        root=out,
        rgb_encoder=RGBEncoderConfig(
            vcodec=CODEC.vcodec,
            g=CODEC.g,
            crf=CODEC.crf,
            preset=CODEC.preset,
            fast_decode=int(CODEC.fast_decode),
            extra_options=CODEC.extra,
        ),
        streaming_encoding=streaming,
        # It drops what it cannot encode in time: room for all of it.
        encoder_queue_maxsize=1_000_000,
    )
    for one, frames in zip(sources, plans, strict=True):
        bag = RecordedBag(one.folder)
        films = {c: [m for _, _, m in bag.messages(images_of(bag, c))] for c in CAMERAS}
        for index in range(len(frames.times)):
            row: dict[str, Any] = {
                image_feature(c): pixels(films[c][frames.images[c][index]], c) for c in CAMERAS
            }
            row[STATE] = frames.states[index].astype(np.float32)
            row[ACTION] = frames.actions[index].astype(np.float32)
            data.add_frame({**row, 'task': one.task})
        data.save_episode()
    data.finalize()
    return time.perf_counter() - started, sum(len(frames.times) for frames in plans)


def encoder_alone(sources: Sequence[Source], folder: Path) -> float:
    """Return frames of both cameras a second, by two, that all cores together encode."""
    folder.mkdir(exist_ok=True)
    context = multiprocessing.get_context('spawn')
    start = context.Barrier(CORES + 1)
    end = context.Barrier(CORES + 1)
    workers = [
        context.Process(
            target=_encode, args=(sources[i % len(sources)].folder, folder / f'{i}', start, end)
        )
        for i in range(CORES)
    ]
    for worker in workers:
        worker.start()
    start.wait(_PATIENCE)
    began = time.perf_counter()
    end.wait(_PATIENCE)
    seconds = time.perf_counter() - began
    frames = sum(len(piece.plan(sources[i % len(sources)].folder, SETTINGS).times)
                 for i in range(CORES))  # fmt: skip
    for worker in workers:
        worker.join()
    return _ROUNDS * frames / seconds


def _encode(recording: Path, path: Path, start: Barrier, end: Barrier) -> None:
    quiet()
    frames = piece.plan(recording, SETTINGS)
    films = {camera: recorded(recording, camera) for camera in CAMERAS}
    start.wait(_PATIENCE)
    for camera, images in _ROUNDS * list(films.items()):
        with VideoFile(path.with_suffix(f'.{camera}.mp4'), 30, CODEC) as file:
            for number in frames.images[camera].tolist():
                file.write(Picture.of_pixels(images[number]))
    end.wait(_PATIENCE)


def recorded(recording: Path, camera: str) -> list[Array]:
    bag = RecordedBag(recording)
    return [pixels(message, camera) for _, _, message in bag.messages(images_of(bag, camera))]


def memory_of_a_command(recordings: Path, out: Path) -> float:
    """Return the most MB that a command and its processes have, what they share counted once."""
    words = [str(recordings), '--out', str(out), '--outcome', 'all']
    program = f'import sys; sys.argv = {["convert", *words]!r}; '
    program += 'from so101_training.convert import main; main()'
    process = psutil.Popen([sys.executable, '-c', program], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)  # fmt: skip
    peak = 0.0
    while process.poll() is None:
        total = 0.0
        try:
            for one in [process, *process.children(recursive=True)]:
                total += one.memory_full_info().pss
        except psutil.Error:
            pass
        peak = max(peak, total / 1e6)
        time.sleep(0.2)
    assert process.returncode == 0
    return peak


def quality(one: Source, data: Any) -> tuple[float, float, float]:
    """Return the PSNR of the worst frame and of all, dB, and the largest error of a time, s."""
    frames = piece.plan(one.folder, SETTINGS)
    errors = []
    for camera in CAMERAS:
        images = recorded(one.folder, camera)
        for index, number in enumerate(frames.images[camera].tolist()):
            shown = data[index][image_feature(camera)].permute(1, 2, 0).numpy() * 255
            errors.append(float(np.mean((shown - images[number]) ** 2)))
    stamps = np.array([float(data[i]['timestamp']) for i in range(len(frames.times))])
    shift = float(np.abs(stamps - np.arange(len(stamps)) / 30).max())
    psnr = [10 * np.log10(255**2 / error) for error in (max(errors), float(np.mean(errors)))]
    return psnr[0], psnr[1], shift


def difference(ours: Path, theirs: Path) -> float:
    """Return the largest difference of the first episode's statistics."""
    tables = [pq.read_table(folder / 'meta' / 'episodes').to_pylist()[0] for folder in
              (ours, theirs)]  # fmt: skip
    names = [name for name in tables[1] if name.startswith('stats/')]
    return max(
        float(np.abs(np.subtract(*(np.ravel(table[name]) for table in tables))).max())
        for name in names
    )


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def opened(folder: Path) -> tuple[Any, int]:
    """Open a dataset as anybody would; return it and the number of warnings."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    handler = _Heard()
    logging.getLogger().addHandler(handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        data = LeRobotDataset('local/bench', root=folder)
        _ = data[len(data) - 1]
    logging.getLogger().removeHandler(handler)
    return data, len(handler.records) + len(caught)


def measured(folder: Path, given: argparse.Namespace) -> list[Figure]:
    print(f'recording {given.episodes} demonstrations in simulation ...', flush=True)
    record(folder / 'recorded', given.episodes, given.noise)
    sources = copies(folder / 'recorded', folder / 'bags', given.copies)
    few = sources[:2]
    alone = []
    print('encoding alone ...', flush=True)
    alone.append(encoder_alone(few, folder / 'alone'))
    print(f'converting {len(sources)} episodes ...', flush=True)
    seconds, frames = ours(sources, folder / 'ours')
    rate = frames / seconds
    print('encoding alone, again ...', flush=True)
    alone.append(encoder_alone(few, folder / 'alone'))
    limit = float(np.mean(alone))
    print("LeRobot's streaming path ...", flush=True)
    stream_seconds, stream_frames = lerobots(few, folder / 'streaming', True)
    print("LeRobot's default path ...", flush=True)
    base_seconds, base_frames = lerobots(few, folder / 'default', False)
    default, streaming = base_frames / base_seconds, stream_frames / stream_seconds
    data, warned = opened(folder / 'ours')
    worst, mean, shift = quality(sources[0], data)
    print('memory of a short recording and of a long one ...', flush=True)
    short = memory_of_a_command(few[0].folder, folder / 'short')
    long = rewrite(few[0].folder, folder / 'long' / few[0].name, given.long)
    peak = memory_of_a_command(long, folder / 'of_long')
    video = folder / 'ours' / 'videos'
    size = sum(file.stat().st_size for file in video.rglob('*.mp4')) / (2 * frames) / 1e3
    return [
        at_least('frames_a_second_beside_the_default_path', rate, 5 * default, 'frames/s',
                 baseline_name='LeRobot default', baseline=default),
        at_least('frames_a_second_beside_the_streaming_path', rate, streaming, 'frames/s',
                 baseline_name='LeRobot streaming', baseline=streaming),
        at_most('time_beside_the_encoder_alone', limit / rate, 1.15, '',
                baseline_name='encoder alone, frames/s', baseline=limit),
        at_most('peak_memory_of_a_long_recording', peak, 1500, 'MB',
                baseline_name=f'one of {_SECONDS:g} s', baseline=short),
        untargeted('length_of_the_long_recording', _SECONDS * given.long, 's'),
        exactly('warnings_when_opened', warned, 0, '', required=True),
        at_most('statistics_beside_lerobots', difference(folder / 'ours', folder / 'default'),
                1e-6, '', required=True),
        untargeted('psnr_of_all_frames', mean, 'dB'),
        untargeted('psnr_of_the_worst_frame', worst, 'dB'),
        at_most('error_of_a_timestamp', shift, 1e-4, 's', required=True),
        untargeted('size_of_a_frame', size, 'kB'),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--episodes', type=int, default=4, help='that are recorded')
    parser.add_argument('--copies', type=int, default=19, help='of each')
    parser.add_argument('--long', type=int, default=48, help='episodes in the long recording')
    parser.add_argument('--noise', type=float, default=0.0, help='levels, of the images')
    given = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given)
    figures.show(
        f'Conversion, {CORES} cores, {CODEC.vcodec} {CODEC.preset} crf {CODEC.crf}', found
    )
    figures.write(Path('build') / 'bench' / 'convert.json', 'convert', found)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    main()
