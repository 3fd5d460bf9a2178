"""The inference process: whole chunks from any chunking policy, and clean ends on every side."""

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_node.error import UserError
from so101_policy import checkpoint
from so101_policy.frames import Frames
from so101_policy.inference import Chunk, Inference, InferenceEnded, Warm
from so101_policy.observation import Observation
from so101_policy.schedule import Guidance

_START_AND_WAIT = """
import sys, time
from pathlib import Path
from so101_policy import checkpoint
from so101_policy.inference import Inference
inference = Inference(checkpoint.read(Path(sys.argv[1])), 'cpu', 1, lambda: None)
print(inference.pid, flush=True)
time.sleep(100)
"""


class Asked:
    """An inference process and the bell it rings."""

    def __init__(self, folder: Path, device: str = 'cpu') -> None:
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.inference = Inference(
            checkpoint.read(folder), device, 1, lambda: self._bell.put(None)
        )
        self.close = self.inference.close

    def answer(self) -> Warm | Chunk:
        while True:
            self._bell.get(timeout=100)
            if answer := self.inference.poll():
                return answer


def observation() -> Observation:
    pixels = np.random.default_rng(0).integers(0, 255, IMAGE_SHAPE, np.uint8)
    return Observation(dict.fromkeys(CAMERAS, pixels), np.zeros(6), captured=0)


def alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def nothing_left_in_shared_memory() -> Iterator[None]:
    before = {path.name for path in Path('/dev/shm').iterdir()}
    yield
    left = {path.name for path in Path('/dev/shm').iterdir()} - before
    others = ('fastrtps', 'fastdds', 'sem.mp')  # of nodes and data loaders, in other tests
    assert not [name for name in left if not name.startswith(others)]


def test_frames_are_shared_by_descriptor() -> None:
    frames = Frames()
    frames.pixels[1, 2, 3] = (4, 5, 6)
    assert Frames(os.dup(frames.descriptor)).pixels[1, 2, 3].tolist() == [4, 5, 6]


def test_a_smolvla_gives_a_whole_chunk_and_its_death_is_noticed(smolvla: Path) -> None:
    with nothing_left_in_shared_memory(), closing(Asked(smolvla)) as asked:
        assert isinstance(asked.answer(), Warm)
        asked.inference.ask(observation(), 'put the cube in the bowl')
        assert asked.inference.busy
        chunk = asked.answer()
        assert isinstance(chunk, Chunk)
        assert not asked.inference.busy
        assert chunk.actions.shape == (50, 6)
        assert np.isfinite(chunk.actions).all()
        # Unnormalised: around the pose that the statistics say, in dataset units.
        assert chunk.actions.mean(axis=0) == pytest.approx([0, -60, 60, 60, 90, 20], abs=3)
        asked.inference.reset()
        os.kill(asked.inference.pid, signal.SIGKILL)
        with pytest.raises(UserError, match=r'inference process ended \(exit code -9\)'):
            asked.answer()


def test_a_policy_of_one_camera_is_given_its_images_alone(one_eyed: Path) -> None:
    with closing(Asked(one_eyed)) as asked:
        assert isinstance(asked.answer(), Warm)
        seen = observation()
        asked.inference.ask(replace(seen, images={'wrist': seen.images['wrist']}), 'put it there')
        chunk = asked.answer()
        assert isinstance(chunk, Chunk)
        assert chunk.actions.shape == (50, 6)


def test_a_guided_chunk_goes_on_with_what_is_decided_and_a_killed_process_is_replaced(
    smolvla: Path,
) -> None:
    # 20 degrees from where the statistics have their mean: nothing that it would do by itself.
    decided = np.tile([20.0, -40, 80, 80, 110, 40], (30, 1))
    with closing(Asked(smolvla)) as asked:
        assert asked.answer().guided  # type: ignore[union-attr]
        asked.inference.ask(observation(), 'put it in the bowl', Guidance(decided, 10, 25))
        chunk = asked.answer()
        assert isinstance(chunk, Chunk)
        assert chunk.actions[:10] == pytest.approx(decided[:10], abs=1.5)
        assert np.abs(chunk.actions[35:] - decided[0]).min() > 5

        os.kill(asked.inference.pid, signal.SIGKILL)
        with pytest.raises(InferenceEnded):
            asked.answer()
        asked.inference.restart()
        assert isinstance(asked.answer(), Warm)
        asked.inference.ask(observation(), 'put it in the bowl')
        assert isinstance(asked.answer(), Chunk)


def test_a_restart_amid_an_inference_forgets_it(smolvla: Path) -> None:
    with closing(Asked(smolvla)) as asked:
        assert isinstance(asked.answer(), Warm)
        asked.inference.ask(observation(), 'put it in the bowl')
        asked.inference.restart()
        assert not asked.inference.busy
        assert isinstance(asked.answer(), Warm)


def test_an_act_gives_a_whole_chunk_too_but_takes_no_guidance(act: Path) -> None:
    with closing(Asked(act)) as asked:
        assert not asked.answer().guided  # type: ignore[union-attr]
        asked.inference.ask(observation(), 'put the cube in the bowl')
        chunk = asked.answer()
        assert isinstance(chunk, Chunk)
        assert chunk.actions.shape == (20, 6)


def test_weights_that_do_not_belong_to_the_configuration_are_refused(
    smolvla: Path, copy_of: Callable[[Path], Path]
) -> None:
    folder = copy_of(smolvla)
    config = json.loads((folder / 'config.json').read_text())
    config['max_state_dim'] = 16
    (folder / 'config.json').write_text(json.dumps(config))
    with closing(Asked(folder)) as asked, pytest.raises(UserError, match='LeRobot cannot load it'):
        asked.answer()


def test_the_process_dies_with_its_parent(smolvla: Path) -> None:
    with (
        nothing_left_in_shared_memory(),
        subprocess.Popen(
            [sys.executable, '-c', _START_AND_WAIT, str(smolvla)], stdout=subprocess.PIPE
        ) as parent,
    ):
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
        wait_until(lambda: not alive(child))
