"""Everything to be checked, read on all cores."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cv2

from so101_node.error import UserError
from so101_node.lifetime import signal_with_parent
from so101_policy.training import INFO
from so101_training.checks import bags, video
from so101_training.checks.bags import Bags
from so101_training.checks.dataset import Dataset
from so101_training.checks.take import Collection
from so101_training.conversion.source import find

Advance = Callable[[int, int], None]


def opened(paths: Sequence[Path], excluded: Sequence[str] = ()) -> Dataset | Bags:
    """Return what is at the paths: one dataset, or episodes.

    Raises UserError for neither, and for a dataset beside something else.
    """
    datasets = [path for path in paths if (path / INFO).is_file()]
    if datasets and len(paths) > 1:
        raise UserError(f'{datasets[0]} is a dataset: check it by itself, without other paths')
    if datasets:
        return Dataset(paths[0], excluded)
    return Bags(find(paths), excluded)  # numbered as `convert` numbers them


def surveyed(source: Dataset | Bags, title: str, advance: Advance, processes: int) -> Collection:
    """Read all of it; `advance` hears how many of how many pictures were looked at."""
    if isinstance(source, Dataset):
        found = each_of(video.measured, source.pieces(), advance, processes)
        return source.collection(
            {
                (number, piece.camera): pictures
                for piece, episodes in found
                for number, pictures in episodes.items()
            }
        )
    takes = [take for _, take in each_of(bags.read, source.pieces(), advance, processes)]
    return Collection(title, tuple(sorted(takes, key=lambda take: take.number)), False)


def each_of(
    work: Callable[[Any], Any], pieces: Sequence[Any], advance: Advance, processes: int
) -> list[tuple[Any, Any]]:
    """Return each piece with what `work` made of it, in the order of the pieces."""
    total = sum(piece.frames for piece in pieces)
    done = 0
    advance(done, total)
    found: dict[int, Any] = {}
    if processes == 1 or len(pieces) <= 1:
        for index, piece in enumerate(pieces):
            found[index] = work(piece)
            done += piece.frames
            advance(done, total)
        return [(piece, found[index]) for index, piece in enumerate(pieces)]
    # Processes of their own, not forks: the libraries of this one have threads.
    context = multiprocessing.get_context('spawn')
    pool = ProcessPoolExecutor(min(processes, len(pieces)), mp_context=context, initializer=_alone)
    try:
        futures = {pool.submit(work, piece): i for i, piece in enumerate(pieces)}
        for future in as_completed(futures):
            found[futures[future]] = future.result()
            done += pieces[futures[future]].frames
            advance(done, total)
    except BrokenProcessPool as error:
        raise UserError(
            'a process that looks at pictures was killed, likely for want of memory; '
            'try fewer of them, --processes 1'
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
    return [(piece, found[index]) for index, piece in enumerate(pieces)]


def _alone() -> None:
    """Make a process one of many: one thread, and Ctrl-C is its parent's."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal_with_parent(signal.SIGKILL)


def cores() -> int:
    return len(os.sched_getaffinity(0))
