"""Training in several processes: accelerate starts this command again in each of them.

What they show goes to the terminal; what accelerate and torch say of their ends does not, but for
the error of a process.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from so101_node.error import UserError
from so101_training.training.interruption import Interrupted

# Where a process puts the error that a user is to see.
_ERROR = 'SO101_TRAIN_ERROR'
_MODULE = 'so101_training.train'

_kept: list[Any] = []


def inside() -> bool:
    """Return whether this process is one of several, started by `run`."""
    return _ERROR in os.environ


def is_main() -> bool:
    return int(os.environ.get('RANK', '0')) == 0


def command(count: int, words: Sequence[str]) -> list[str]:
    """Return what starts `count` processes of this command with `words`, on one machine.

    --multi_gpu is accelerate's name for processes that torch connects, on whatever device: with
    --cpu it would ask for MPI.
    """
    return [
        *(sys.executable, '-m', 'accelerate.commands.launch', '--multi_gpu'),
        *(f'--num_processes={count}', '--num_machines=1', '--mixed_precision=no'),
        *('--dynamo_backend=no', '--main_process_port=0', '--module', _MODULE, *words),
    ]


def check(count: int, device: str) -> None:
    """Raise UserError when so many processes cannot train on the device."""
    if device == 'mps':
        raise UserError(f'num_processes is {count}: mps is one device; use 1')
    import torch  # here: an error of the command's words is handed on without it

    if device == 'cuda' and count > torch.cuda.device_count():
        raise UserError(
            f'num_processes is {count}, but torch finds {torch.cuda.device_count()} GPUs here'
        )


def run(count: int, words: Sequence[str]) -> None:
    """Run them to the end. Raises UserError with that of a process, and Interrupted."""
    heard: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        error, said = Path(folder) / 'error', Path(folder) / 'said'
        with said.open('wb') as stderr:
            # In a session of its own, a Ctrl-C comes to it once, from here.
            launcher = subprocess.Popen(
                command(count, words),
                env={**os.environ, _ERROR: str(error)},
                stderr=stderr,
                start_new_session=True,
            )

            def pass_on(number: int, _: object) -> None:
                heard.append(number)
                launcher.terminate()

            before = {n: signal.signal(n, pass_on) for n in (signal.SIGINT, signal.SIGTERM)}
            try:
                code = launcher.wait()
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
        if error.exists():
            raise UserError(error.read_text())
        if heard:
            raise Interrupted(heard[0])
        if code:
            sys.stderr.write(said.read_text(errors='replace'))
            sys.exit(code)


def keep(policy: Any) -> None:
    """Keep what connects this process to the others until it ends by `leave`."""
    if not _kept:
        _kept.append(policy)


def leave(code: int) -> NoReturn:
    """End this process without freeing what connects it to the others.

    torch (2.11) may wait for ever when it frees a policy that several processes trained: for a
    thread (ProcessGroupGloo's) that waits for Python, which is freeing.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def report(text: str) -> None:
    """Hand an error of this process to the one that started it all."""
    if inside():
        Path(os.environ[_ERROR]).write_text(text)
