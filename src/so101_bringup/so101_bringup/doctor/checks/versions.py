"""Python and its packages, against those that the suite is tested with."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from so101_bringup.doctor.finding import Finding, error, skipped, sound, warning
from so101_bringup.doctor.subject import Subject
from so101_bringup.wiring import share

AREA = 'versions'

PYTHON = error(
    'versions.python',
    'This is another Python than that of ROS 2 Jazzy and of the lock file.',
    'make the environment anew with Python 3.12: rm -rf .venv && make setup',
)
MISSING = error(
    'versions.missing',
    'A package that the suite needs is not installed in this Python.',
    'make setup; with ROS from apt, source .venv/bin/activate before install/setup.bash',
)
DIFFERENT = warning(
    'versions.different',
    'Packages have other versions than those that the suite is tested with.',
    'make setup brings them back',
)
DISTRIBUTION = warning(
    'versions.ros',
    'The ROS that is sourced is neither Jazzy nor Kilted.',
    'source /opt/ros/jazzy/setup.bash in a new terminal',
)

PACKAGES = ('numpy', 'lerobot', 'torch', 'opencv-python-headless', 'pyarrow', 'av', 'rosbags')

_PYTHON = '3.12'
_DISTRIBUTIONS = ('', 'jazzy', 'kilted')
_LOCK = 'requirements.lock'
_PIN = re.compile(r'^([A-Za-z0-9._-]+)==([^\s\\;]+)', re.MULTILINE)


def find(subject: Subject) -> Iterator[Finding]:
    machine = subject.machine
    python, installed = machine.versions(PACKAGES)
    found = []
    if not python.startswith(f'{_PYTHON}.'):
        found.append(PYTHON.finding(f'Python {python}, not {_PYTHON}', python=python))
    distribution = machine.environment.get('ROS_DISTRO', '')
    if distribution not in _DISTRIBUTIONS:
        found.append(DISTRIBUTION.finding(f'ROS_DISTRO is {distribution}', ros=distribution))
    lock = lock_file()
    found += judged(installed, pins(lock.read_text()) if lock else {})
    yield from found
    if not found:
        said = ', '.join(f'{name} {installed[name]}' for name in PACKAGES[:3])
        if lock:
            yield sound(AREA, f'Python {python}, {said}, as locked', python=python)
        else:
            yield skipped(AREA, f'Python {python}, {said}; no {_LOCK} to compare with')


def judged(installed: Mapping[str, str], locked: Mapping[str, str]) -> Iterator[Finding]:
    if gone := [name for name in PACKAGES if name not in installed]:
        yield MISSING.finding(f'not installed: {", ".join(gone)}', packages=gone)
    other = [
        f'{name} {installed[name]}, not {locked[name]}'
        for name in PACKAGES
        if name in installed and name in locked and _plain(installed[name]) != locked[name]
    ]
    if other:
        yield DIFFERENT.finding('; '.join(other), packages=other)


def pins(lock: str) -> dict[str, str]:
    """Return the versions in a lock file of pip."""
    return dict(_PIN.findall(lock))


def lock_file() -> Path | None:
    """Return the lock file of the workspace that this is installed in; None of none."""
    return next(
        (
            parent / _LOCK
            for parent in (*share('so101_bringup').parents, Path.cwd())
            if (parent / _LOCK).is_file()
        ),
        None,
    )


def _plain(version: str) -> str:
    """Return a version without its build: 2.11.0 of 2.11.0+cpu."""
    return version.partition('+')[0]
