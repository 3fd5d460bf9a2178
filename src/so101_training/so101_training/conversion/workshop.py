"""Many episodes converted at the same time: a pool of processes, an episode each."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import cv2

from so101_node.error import UserError
from so101_node.lifetime import signal_with_parent
from so101_training.conversion import piece
from so101_training.conversion.piece import Piece, Settings, Stopped
from so101_training.conversion.source import Source
from so101_training.conversion.video import quiet

_LOOK = 0.2  # s between two looks at the progress


@dataclass
class _Shared:
    """What the processes of a pool have in common."""

    frames: Any = None
    stop: Event | None = None


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
        running = {
            _submitted(pool, source, settings, pieces / source.key): source for source in sources
        }
        while running:
            wait(running, _LOOK, FIRST_COMPLETED)
            progress(frames.value)
            for future in [future for future in running if future.done()]:
                source = running.pop(future)
                try:
                    yield source, future.result()
                except UserError as error:
                    yield source, str(error).removeprefix(f'{source.folder}: ')
    except BrokenProcessPool as error:
        raise UserError(
            'a process that converts was killed, perhaps for want of memory; call it again, it '
            'goes on from here, with --jobs 1 if it comes back'
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _submitted(
    pool: ProcessPoolExecutor, source: Source, settings: Settings, folder: Path
) -> Future[Piece]:
    """Submit an episode, which may start a process, with Ctrl-C held back.

    A process that imports could not say why it ends; from `_begin` on it does not hear of it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_make, source.folder, settings, folder)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(frames: Any, stop: Event) -> None:
    """Set a process of the pool up: it ends with its parent, which alone hears of Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal_with_parent(signal.SIGKILL)
    cv2.setNumThreads(1)
    quiet()
    _shared.frames, _shared.stop = frames, stop


def _make(source: Path, settings: Settings, folder: Path) -> Piece:
    return piece.make(source, settings, folder, _count)


def _count(frames: int) -> None:
    assert _shared.stop is not None
    if _shared.stop.is_set():
        raise Stopped
    with _shared.frames.get_lock():
        _shared.frames.value += frames
