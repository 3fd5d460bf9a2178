"""The container's files, as far as they can be held to what they say without an engine."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from catkin_pkg.package import parse_package
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from so101_node.diagnostics import Level
from so101_node.topics import DIAGNOSTICS

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / 'docker'
COMPOSE = yaml.safe_load((DOCKER / 'compose.yaml').read_text())

# What Debian's packages are called in the lock file, where it is something else.
IN_THE_LOCK = {'opencv': 'opencv-python-headless', 'pil': 'pillow', 'yaml': 'pyyaml'}


def instructions() -> Iterator[tuple[str, list[str]]]:
    """Yield each instruction of the Dockerfile and its words, continued lines joined."""
    lines = (DOCKER / 'Dockerfile').read_text().splitlines()
    text = '\n'.join(line for line in lines if not line.startswith('#'))
    for line in text.replace('\\\n', ' ').splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            yield name, rest.split()


STAGES = [words[2] for name, words in instructions() if name == 'FROM']
ARGUMENTS = {words[0].split('=')[0] for name, words in instructions() if name == 'ARG'}


def sources() -> set[str]:
    """Return what the Dockerfile takes from the repository."""
    taken: set[str] = set()
    for name, words in instructions():
        if name == 'COPY' and not words[0].startswith('--from='):
            taken |= set(words[:-1])
        taken |= set(re.findall(r'type=bind,source=([^,]+)', ' '.join(words)))
    return taken


def test_the_image_is_made_of_what_the_repository_has_and_the_context_lets_through() -> None:
    ignored = (ROOT / '.dockerignore').read_text().splitlines()
    assert ignored[1] == '*'
    assert sources() == {line[1:] for line in ignored if line.startswith('!')}
    assert all((ROOT / source).exists() for source in sources())


def test_every_stage_that_is_named_is_there() -> None:
    assert STAGES == ['manifests', 'runtime', 'desktop']
    named = {word[7:] for _, words in instructions() for word in words if word[:7] == '--from='}
    assert named <= set(STAGES)


def test_the_runtime_has_no_desktop_and_no_node_needs_one() -> None:
    named = {
        depend.name
        for manifest in ROOT.glob('src/*/package.xml')
        for depend in parse_package(str(manifest)).exec_depends
    }
    # cv_bridge is compiled against NumPy 1 and does not load beside the lock file's NumPy 2.
    assert not named & {'rviz2', 'cv_bridge', 'desktop'}


def test_the_lock_file_has_the_python_packages_that_the_image_leaves_out() -> None:
    locked = set(re.findall(r'^([a-z0-9-]+)==', (ROOT / 'requirements.lock').read_text(), re.M))
    keys = {
        depend.name.removeprefix('python3-')
        for manifest in ROOT.glob('src/*/package.xml')
        for depends in (parse_package(str(manifest)),)
        for depend in (*depends.exec_depends, *depends.test_depends)
        if depend.name.startswith('python3-')
    }
    assert {IN_THE_LOCK.get(key, key).replace('.', '-') for key in keys} <= locked


@pytest.mark.parametrize('service', COMPOSE['services'].values(), ids=list(COMPOSE['services']))
def test_a_service_builds_a_stage_by_arguments_that_there_are(service: dict[str, Any]) -> None:
    build = service['build']
    assert build.get('target', 'runtime') in STAGES
    assert set(build.get('args', {})) <= ARGUMENTS
    assert service.get('extends', 'robot') in COMPOSE['services']
    for volume in service.get('volumes', []):
        source = volume if isinstance(volume, str) else volume['source']
        assert source[0] in '/$' or source.split(':')[0] in COMPOSE['volumes']


def test_what_is_mounted_into_is_made_for_the_user() -> None:
    made = next(
        ' '.join(words) for name, words in instructions() if name == 'RUN' and 'useradd' in words
    )
    for volume in COMPOSE['volumes']:
        assert f' /robot/{volume} ' in made
        assert f'{volume}:/robot/{volume}' in COMPOSE['services']['robot']['volumes']


@pytest.mark.skipif(
    shutil.which('docker') is None
    or subprocess.run(['docker', 'compose', 'version'], capture_output=True).returncode != 0,
    reason='docker compose is not installed',
)
def test_compose_reads_its_file() -> None:
    checked = subprocess.run(
        ['docker', 'compose', '--profile', '*', 'config', '--quiet'],
        cwd=DOCKER,
        capture_output=True,
        text=True,
    )
    assert (checked.returncode, checked.stderr) == (0, '')


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder as the image has it, in which nothing is real but our scripts."""
    for script in ('docker/entrypoint.sh', 'tools/environment.sh', 'tools/setup.sh'):
        (tmp_path / script).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / script, tmp_path / script)
    shutil.copy(ROOT / 'requirements.lock', tmp_path)
    (tmp_path / 'install').mkdir()
    (tmp_path / 'install' / 'local_setup.bash').write_text('export WORKSPACE=sourced\n')
    programs = tmp_path / 'venv' / 'bin'
    programs.mkdir(parents=True)
    (tmp_path / 'venv' / '.ros').write_text('jazzy\n')
    for name, script in {
        'python': 'exit 0',
        'dpkg': 'exit 0',
        'uv': f'echo "$@" >> {shlex.quote(str(tmp_path / "uv.log"))}',
    }.items():
        (programs / name).write_text(f'#!/bin/sh\n{script}\n')
        (programs / name).chmod(0o755)
    return tmp_path


def run(workspace: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ('HOME', 'LANG') if name in os.environ}
    venv = workspace / 'venv'
    return subprocess.run(
        [str(workspace / command[0]), *command[1:]],
        env={
            **kept,
            'PATH': f'{venv}/bin:{os.environ["PATH"]}',
            'SO101_VENV': str(venv),
            'ROS_DISTRO': 'jazzy',
            'AMENT_PREFIX_PATH': '/opt/ros/jazzy',
            **variables,
        },
        cwd='/',
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_entry_point_becomes_the_command_in_the_workspaces_environment(
    workspace: Path,
) -> None:
    script = 'echo "$WORKSPACE ${PATH%%:*} $HF_HUB_OFFLINE $PPID"; exit 7'
    ended = run(workspace, 'docker/entrypoint.sh', 'sh', '-c', script)
    assert ended.returncode == 7
    assert ended.stdout.split() == ['sourced', f'{workspace}/venv/bin', '1', str(os.getpid())]


def test_an_environment_with_a_ros_of_its_own_is_not_mixed_with_another(workspace: Path) -> None:
    (workspace / 'venv' / '.ros').unlink()
    for command in (['docker/entrypoint.sh', 'true'], ['tools/setup.sh']):
        ended = run(workspace, *command)
        assert ended.returncode == 1
        assert f'{workspace}/venv' in ended.stderr
        assert 'jazzy' in ended.stderr


@pytest.mark.parametrize('torch', ['cuda', 'cpu'])
def test_the_lock_file_is_installed_without_what_comes_from_elsewhere(
    workspace: Path, torch: str
) -> None:
    ended = run(workspace, 'tools/setup.sh', TORCH=torch)
    assert ended.returncode == 0, ended.stderr
    installed = (workspace / 'venv' / 'installed.lock').read_text()
    whole = (ROOT / 'requirements.lock').read_text()
    elsewhere = {name for name in _packages(whole) if name.startswith('ros-')}
    if torch == 'cpu':
        elsewhere |= {'torch', 'torchvision', 'triton'}
        elsewhere |= {name for name in _packages(whole) if name.startswith(('nvidia-', 'cuda-'))}
    assert _packages(whole).keys() - _packages(installed).keys() == elsewhere
    assert _packages(installed).items() <= _packages(whole).items()
    calls = (workspace / 'uv.log').read_text().splitlines()
    assert '--require-hashes' in calls[0]
    assert ['--torch-backend cpu' in call for call in calls] == [False, True][: len(calls)]
    assert len(calls) == (2 if torch == 'cpu' else 1)
    if torch == 'cpu':
        named = (workspace / 'venv' / 'torch.lock').read_text().splitlines()
        version = re.compile(r'(torch|torchvision)==[0-9.]+')
        assert [bool(version.fullmatch(line)) for line in named] == [True, True]


def _packages(lock: str) -> dict[str, str]:
    """Return name -> its version and hashes."""
    found = re.findall(r'^([a-z0-9-]+)(==.*(?:\n +.*)*)', lock, re.M)
    return dict(found)


def test_torch_is_for_one_or_the_other(workspace: Path) -> None:
    ended = run(workspace, 'tools/setup.sh', TORCH='rocm')
    assert (ended.returncode, ended.stderr) == (1, 'setup: TORCH=rocm: cuda or cpu\n')


def health() -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, str(DOCKER / 'healthcheck.py')],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    return ended.returncode, ended.stdout


def test_a_graph_is_well_when_it_speaks_and_has_no_error(graph: Any) -> None:
    assert health() == (1, f'nothing on {DIAGNOSTICS.name} for 10 s\n')
    publisher = graph.node.publisher(DIAGNOSTICS)
    levels = {'driver/arm': Level.OK, 'policy/inference': Level.WARN}

    def publish() -> None:
        publisher.publish(
            DiagnosticArray(
                status=[
                    DiagnosticStatus(name=name, level=bytes([level]), message='too hot')
                    for name, level in levels.items()
                ]
            )
        )

    graph.node.create_timer(0.5, publish)
    assert health() == (0, '2 statuses, none of them an error\n')
    levels['driver/arm'] = Level.ERROR
    assert health() == (1, 'driver/arm: too hot\n')
