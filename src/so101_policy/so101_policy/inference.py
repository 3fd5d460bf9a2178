"""The inference process as its parent sees it: ask with an observation, poll the answer."""

import json
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO

import numpy as np
from numpy.typing import NDArray

from so101_description.cameras import CAMERAS
from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy.checkpoint import Checkpoint
from so101_policy.frames import Frames
from so101_policy.inference_process import MESSAGE_BYTES
from so101_policy.observation import Observation
from so101_policy.schedule import Guidance


@dataclass(frozen=True)
class Warm:
    """Ready to be asked, `seconds` after it started to load; `guided`: it takes guidance."""

    seconds: float
    guided: bool


@dataclass(frozen=True)
class Chunk:
    """Actions of shape (T, 6) in dataset units, finite or not, computed in `seconds`."""

    actions: NDArray[np.float64]
    seconds: float


class InferenceEnded(UserError):
    """The process is gone; restart() starts another one."""


class Inference:
    """Owns the process. One observation at a time: `busy` from `ask` until its chunk is polled."""

    def __init__(
        self, checkpoint: Checkpoint, device: str, threads: int, heard: Callable[[], None]
    ) -> None:
        """Start the process; `heard` is called from a thread whenever there is something to poll.

        The process dies with the thread that calls this: call it from the main thread.
        """
        self._wanted = {'checkpoint': str(checkpoint.path), 'device': device, 'threads': threads}
        self._heard = heard
        self._frames = Frames()
        self.busy = False
        self._start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, observation: Observation, task: str, guidance: Guidance | None = None) -> None:
        """Start the inference of one observation; the images are copied.

        The prefix of `guidance` is in dataset units.
        """
        assert not self.busy
        self.busy = True
        for pixels, camera in zip(self._frames.pixels, CAMERAS, strict=True):
            if camera in observation.images:
                pixels[:] = observation.images[camera]
        request: dict[str, object] = {'state': observation.state.tolist(), 'task': task}
        if guidance is not None:
            request['guidance'] = guidance.values()
        self._tell(request)

    def reset(self) -> None:
        """Have the policy forget its past, after the inference under way."""
        self._tell({'reset': True})

    def poll(self) -> Warm | Chunk | None:
        """Return the next answer or None.

        Raises InferenceEnded when the process has ended by itself, and UserError for what another
        one would not mend.
        """
        if not self._answers:
            return None
        text = self._answers.popleft()
        if not text:
            code = self._process.wait()
            self._threads[1].join(timeout=1.0)
            raise InferenceEnded(
                f'the inference process ended (exit code {code})'
                + (f', saying: {self._said}' if self._said else '; was it killed, out of memory?')
            )
        answer = json.loads(text)
        if 'error' in answer:
            raise UserError(answer['error'])
        if 'warm' in answer:
            return Warm(answer['warm'], answer['guided'])
        self.busy = False
        actions = np.array(answer['actions'])
        if actions.ndim != 2 or actions.shape[1] != len(JOINTS):
            raise UserError(
                f'the policy gave a chunk of shape {actions.shape}, expected (T, {len(JOINTS)})'
            )
        return Chunk(actions, answer['seconds'])

    def restart(self) -> None:
        """End the process and start another; what was asked is forgotten. From the main thread."""
        self.close()
        self.busy = False
        self._start()

    def close(self) -> None:
        """End the process, now."""
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        self._channel.close()

    def _start(self) -> None:
        self._answers: deque[bytes] = deque()
        self._said = ''
        # Messages keep their bounds, and the end of either process ends the other's reading.
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            handed = (theirs.fileno(), self._frames.descriptor)
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'so101_policy.inference_process', *map(str, handed)],
                pass_fds=handed,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # LeRobot's chatter; warnings go to stderr
                stderr=subprocess.PIPE,
                text=True,
                errors='replace',
                start_new_session=True,  # the terminal's Ctrl-C is for the parent alone
            )
        self._tell(self._wanted)
        assert self._process.stderr is not None
        self._threads = [
            threading.Thread(target=self._listen, name='inference', daemon=True),
            threading.Thread(
                target=self._pass_on, args=(self._process.stderr,), name='stderr', daemon=True
            ),
        ]
        for thread in self._threads:
            thread.start()

    def _tell(self, message: Mapping[str, object]) -> None:
        try:
            self._channel.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended: poll() says so

    def _listen(self) -> None:
        text = b'?'
        while text:
            try:
                text = self._channel.recv(MESSAGE_BYTES)
            except ConnectionResetError:
                text = b''
            self._answers.append(text)
            self._heard()

    def _pass_on(self, stderr: IO[str]) -> None:
        for line in stderr:
            sys.stderr.write(line)
            self._said = line.strip() or self._said
