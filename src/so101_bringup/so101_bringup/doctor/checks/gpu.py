"""The NVIDIA GPU: its driver, whether torch uses it, its free memory."""

import json
import sys
from collections.abc import Iterator

from so101_bringup.doctor.finding import Finding, Value, error, skipped, sound, warning
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.subject import Subject

AREA = 'gpu'

NO_DRIVER = error(
    'gpu.no_driver',
    'There is an NVIDIA GPU, and no driver of NVIDIA for it.',
    'sudo ubuntu-drivers install, then restart; in a container: start it with the profile gpu',
)
BROKEN = error(
    'gpu.driver_broken',
    'nvidia-smi fails: mostly the driver was updated and the computer not restarted since.',
    'restart the computer; if it stays: sudo ubuntu-drivers install',
)
UNUSED = error(
    'gpu.torch_without_cuda',
    'There is a GPU and a driver, and torch cannot use it: policies would run on the CPU.',
    'bring the driver up to date (torch says which it needs), or install torch with CUDA',
)
FULL = warning(
    'gpu.memory',
    'Little of its memory is free: SmolVLA takes about 2 GB to infer.',
    'end what uses it: nvidia-smi lists it',
)

_NVIDIA = '0x10de'
_DISPLAY_CLASS = '0x03'  # the first byte of a PCI device's class

# MiB that SmolVLA (450 million parameters, half of them in bfloat16) and CUDA itself take.
_NEEDED = 2048

_QUERY = (
    'nvidia-smi',
    '--query-gpu=name,driver_version,memory.total,memory.free',
    '--format=csv,noheader,nounits',
)

# In a process of its own: torch takes seconds, memory, and CUDA, for good.
_TORCH = (
    'import json, torch; a = torch.cuda.is_available(); '
    'print(json.dumps([torch.__version__, torch.version.cuda, a]))'
)
_TORCH_SECONDS = 60.0


def find(subject: Subject) -> Iterator[Finding]:
    machine = subject.machine
    present = has_gpu(machine)
    asked = machine.run(*_QUERY)
    if asked is None:
        if present:
            yield NO_DRIVER.finding('an NVIDIA GPU on PCI, and no nvidia-smi')
        else:
            yield sound(
                AREA, 'no NVIDIA GPU: policies run on the CPU, or elsewhere (docs/remote.md)'
            )
        return
    if asked.code:
        first = (asked.text.splitlines() or ['it says nothing'])[0]
        if present:
            yield BROKEN.finding(f'nvidia-smi: {first}', code=asked.code)
        else:
            yield skipped(AREA, f'nvidia-smi is there, but no GPU: {first}')
        return
    try:
        gpus = [_gpu(line) for line in asked.text.splitlines()]
    except ValueError:
        yield BROKEN.finding(f'nvidia-smi answers {asked.text[:80]!r}', code=0)
        return
    yield from _judged(machine, gpus)


def _gpu(line: str) -> tuple[str, str, int, int]:
    name, driver, total, free = line.split(', ')
    return name, driver, int(total), int(free)


def _judged(machine: Machine, gpus: list[tuple[str, str, int, int]]) -> Iterator[Finding]:
    name, driver, total, free = max(gpus, key=lambda gpu: gpu[3])
    values: dict[str, Value] = {
        'name': name,
        'driver': driver,
        'total_mib': total,
        'free_mib': free,
    }
    found = []
    torch, cuda, available = _torch(machine)
    if torch and not available:
        found.append(
            UNUSED.finding(
                f'{name}, driver {driver}; torch {torch}, '
                f'{f"CUDA {cuda}" if cuda else "without CUDA"}, does not see it',
                torch=torch,
                cuda=cuda,
                **values,
            )
        )
    if free < _NEEDED:
        found.append(FULL.finding(f'{name}: {free} of {total} MiB free', **values))
    yield from found
    if not found:
        seen = f'torch {torch} sees it' if torch else 'torch was not asked'
        yield sound(AREA, f'{name}, driver {driver}, {free} MiB free; {seen}', **values)


def _torch(machine: Machine) -> tuple[str, str, bool]:
    """Return torch's version, its CUDA's, and whether it sees the GPU; '' of no torch."""
    asked = machine.run(sys.executable, '-c', _TORCH, seconds=_TORCH_SECONDS)
    if asked is None or asked.code:
        return '', '', False
    torch, cuda, available = json.loads(asked.text.splitlines()[-1])
    return torch, cuda or '', available


def has_gpu(machine: Machine) -> bool:
    """Return whether an NVIDIA GPU is on PCI."""
    root = '/sys/bus/pci/devices'
    return any(
        machine.text(f'{root}/{one}/vendor') == _NVIDIA
        and (machine.text(f'{root}/{one}/class') or '').startswith(_DISPLAY_CLASS)
        for one in machine.names(root)
    )
