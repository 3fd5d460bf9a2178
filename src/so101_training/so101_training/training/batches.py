"""A dataset's samples as a loader takes them: a batch at a time, its images in shared memory."""

import ctypes
import math
import signal
import zlib
from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import datasets
import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray
from torch.utils.data._utils.collate import default_collate_fn_map

from so101_node.lifetime import signal_with_parent
from so101_training.training.augmentation import Augmentation, own_random_numbers
from so101_training.training.rows import Rows
from so101_training.training.videos import Array

# glibc's mallopt: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, and the greatest value of the second.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_THRESHOLD_MAX = -1, -3, 32 << 20


# A sample has its row in the dataset as name in the first epoch, and EPOCH more in each next one.
EPOCH = 1 << 40


class FrameSource(Protocol):
    """Where decoded frames come from: VideoFrames or FrameCache, of the same pixels."""

    def read(self, camera: str, episode: int, offset: int) -> Array: ...


class Batch(dict[str, Any]):
    """Samples that are stacked already; a loader's default collate takes the only one as it is."""


def _take(batches: Sequence[Batch], *, collate_fn_map: Any = None) -> dict[str, Any]:
    (batch,) = batches
    return dict(batch)


default_collate_fn_map[Batch] = _take


class TrainingDataset(torch.utils.data.Dataset):
    """The chosen episodes of a dataset, as LeRobot's trainer wants them.

    `meta`, `episodes` (None: all) and `hf_dataset`, the table behind `rows`, are LeRobotDataset's,
    and so are the samples: images are uint8 (3, height, width), with more than one observation (n,
    3, height, width).
    """

    def __init__(
        self,
        meta: LeRobotDatasetMetadata,
        episodes: list[int] | None,
        hf_dataset: datasets.Dataset,
        rows: Rows,
        frames: FrameSource,
        augmentation: Augmentation | None,
    ) -> None:
        self.meta = meta
        self.episodes = episodes
        self.hf_dataset = hf_dataset
        self._rows = rows
        self._frames = frames
        self._augmentation = augmentation
        self._tasks = meta.tasks.index.to_list()

    @property
    def absolute_to_relative_idx(self) -> dict[int, int] | None:
        """The row of each frame by its number in the whole dataset; None: that is its row."""
        if self.episodes is None:
            return None
        return {int(index): row for row, index in enumerate(self._rows.index)}

    @property
    def num_frames(self) -> int:
        return len(self._rows)

    @property
    def num_episodes(self) -> int:
        return self.meta.total_episodes if self.episodes is None else len(self.episodes)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: int) -> dict[str, Any]:
        """Return one sample. Raises DataError when its frames cannot be read."""
        return {key: values[0] for key, values in self._batch([name]).items()}

    def __getitems__(self, names: Sequence[int]) -> list[Batch]:
        """Return samples as one batch, as a loader asks for them; raises as for one."""
        if torch.utils.data.get_worker_info() is not None:
            _settle()
        return [Batch(self._batch(names))]

    def _batch(self, names: Sequence[int]) -> dict[str, Any]:
        epochs, rows = np.divmod(np.array(names, np.int64), EPOCH)
        batch = self._rows.batch(rows)
        batch['task'] = [self._tasks[number] for number in batch['task_index'].tolist()]
        with own_random_numbers():
            for camera in self.meta.video_keys:
                batch[camera] = self._images(camera, rows, epochs)
        return batch

    def _images(
        self, camera: str, rows: NDArray[np.int64], epochs: NDArray[np.int64]
    ) -> torch.Tensor:
        around = self._rows.around(camera, rows)
        offsets = self._rows.offsets(around)
        number = zlib.crc32(camera.encode())
        images: torch.Tensor | None = None
        planes: Any = None
        for place, row in enumerate(rows):
            episode = int(self._rows.episode[row])
            frames: Sequence[Array] = [
                self._frames.read(camera, episode, int(offset)) for offset in offsets[place]
            ]
            if self._augmentation is not None:
                draw = (int(epochs[place]), int(self._rows.index[row]), number)
                frames = self._augmentation(frames, draw)
            if images is None:
                images = _shared((*around.shape, 3, *frames[0].shape[:2]))
                planes = images.numpy()
            for moment, frame in enumerate(frames):
                cv2.split(frame, list(planes[place, moment]))
        assert images is not None
        return images.squeeze(1)


def _settle() -> None:
    """Make this worker compute by itself, keep the memory that it frees, and end with its trainer.

    Frames come and go all the time; else the system would clear the memory of each anew, which
    takes half as long as transforming it. A worker whose trainer was killed may else wait for ever
    for somebody to take its batches.
    """
    cv2.setNumThreads(1)
    signal_with_parent(signal.SIGKILL)
    libc = ctypes.CDLL(None)
    libc.mallopt(MMAP_THRESHOLD, MMAP_THRESHOLD_MAX)
    libc.mallopt(TRIM_THRESHOLD, 8 * MMAP_THRESHOLD_MAX)


def _shared(shape: tuple[int, ...]) -> torch.Tensor:
    """Return an uint8 tensor to fill: in a worker of shared memory, so that it is not copied."""
    if torch.utils.data.get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    storage = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)
