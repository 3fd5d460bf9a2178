"""Many episodes converted at the same time: a pool of processes, a camera of an episode each.

Decoding and encoding one camera's images needs a core and knows nothing of the others. What an
episode's frames are is decided first, once, in the pool as well.
"""

import multiprocessing
import shutil
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from so101_node.error import UserError
from so101_node.lifetime import signal_with_parent
from so101_training.conversion import piece
from so101_training.conversion.piece import Piece, Settings, Stopped
from so101_training.conversion.source import Source
from so101_training.conversion.ticks import Ticks
from so101_training.conversion.video import quiet

_LOOK = 0.2  # s between two looks at the progress


@dataclass
class _Shared:
    """What the processes of a pool have in common."""

    frames: Any = None
    stop: Event | None = None


@dataclass
class _Order:
    """An episode being converted."""

    source: Source
    scratch: Path
    frames: Ticks
    missing: set[str]
    statistics: dict[str, Mapping[str, NDArray[np.float64]]] = field(default_factory=dict)
    failure: str = ''


_shared = _Shared()


def convert(
    sources: Sequence[Source],
    settings: Settings,
    pieces: Path,
    jobs: int,
    progress: Callable[[int], None],
) -> Iterator[tuple[Source, Piece | str]]:
    """Yield each source with its piece, or why there is none, as they are done.

    The pieces are folders in `pieces`. `progress` hears, from time to time, how many frames of all
    cameras were written. Raises UserError when a process of the pool dies, and OSError.
    """
    context = multiprocessing.get_context('spawn')
    frames, stop = context.Value('q', 0), context.Event()
    pool = ProcessPoolExecutor(jobs, context, _begin, (frames, stop))
    try:
        yield from _Queue(pool, sources, settings, pieces, jobs, lambda: progress(frames.value))
    except BrokenProcessPool as error:
        raise UserError(
            'a process that converts was killed, perhaps for want of memory; call it again, it '
            'goes on from here, with --jobs 1 if it comes back'
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


class _Queue:
    """Hands the episodes to the pool, not many more of them at a time than it has processes."""

    def __init__(
        self,
        pool: ProcessPoolExecutor,
        sources: Sequence[Source],
        settings: Settings,
        pieces: Path,
        jobs: int,
        look: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._waiting = deque(sources)
        self._settings = settings
        self._pieces = pieces
        self._jobs = jobs
        self._look = look
        self._plans: dict[Future[Any], Source] = {}
        self._films: dict[Future[Any], tuple[_Order, str]] = {}

    def __iter__(self) -> Iterator[tuple[Source, Piece | str]]:
        while self._waiting or self._plans or self._films:
            while self._waiting and len(self._plans) + len(self._films) <= self._jobs:
                source = self._waiting.popleft()
                future = _submitted(self._pool, piece.plan, source.folder, self._settings)
                self._plans[future] = source
            running: list[Future[Any]] = [*self._plans, *self._films]
            wait(running, _LOOK, FIRST_COMPLETED)
            self._look()
            for future in (future for future in running if future.done()):
                if future in self._plans:
                    yield from self._planned(future, self._plans.pop(future))
                else:
                    yield from self._filmed(future, *self._films.pop(future))

    def _planned(self, future: Future[Any], source: Source) -> Iterator[tuple[Source, str]]:
        try:
            frames: Ticks = future.result()
        except UserError as error:
            yield source, str(error).removeprefix(f'{source.folder}: ')
            return
        scratch = self._pieces / f'{source.key}.scratch'
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        order = _Order(source, scratch, frames, set(self._settings.cameras))
        for camera in self._settings.cameras:
            film = _submitted(
                self._pool,
                _film,
                source.folder,
                camera,
                frames.images[camera],
                self._settings,
                scratch / f'{camera}.mp4',
            )
            self._films[film] = (order, camera)

    def _filmed(
        self, future: Future[Any], order: _Order, camera: str
    ) -> Iterator[tuple[Source, Piece | str]]:
        order.missing.remove(camera)
        try:
            order.statistics[camera] = future.result()
        except UserError as error:
            order.failure = order.failure or str(error)
        if order.missing:
            return
        if order.failure:
            shutil.rmtree(order.scratch)
            yield order.source, order.failure.removeprefix(f'{order.source.folder}: ')
            return
        folder = self._pieces / order.source.key
        yield order.source, piece.save(order.scratch, folder, order.frames, order.statistics)


def _submitted(pool: ProcessPoolExecutor, work: Callable[..., Any], *given: Any) -> Future[Any]:
    """Submit work, which may start a process, with Ctrl-C held back.

    A process that imports could not say why it ends; from `_begin` on it does not hear of it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(work, *given)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(frames: Any, stop: Event) -> None:
    """Set a process of the pool up: it ends with its parent, which alone hears of Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal_with_parent(signal.SIGKILL)
    cv2.setNumThreads(1)
    quiet()
    _shared.frames, _shared.stop = frames, stop


def _film(
    folder: Path, camera: str, numbers: NDArray[np.int64], settings: Settings, path: Path
) -> Mapping[str, NDArray[np.float64]]:
    return piece.film(folder, camera, numbers, settings, path, _count)


def _count(frames: int) -> None:
    assert _shared.stop is not None
    if _shared.stop.is_set():
        raise Stopped
    with _shared.frames.get_lock():
        _shared.frames.value += frames
