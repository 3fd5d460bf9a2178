"""The workspace is what its manifests say, and the packages depend on each other as designed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ament_index_python.packages import get_packages_with_prefixes
from catkin_pkg.package import parse_package

ROOT = Path(__file__).parents[3]
PACKAGES = sorted(path.parent for path in ROOT.glob('src/*/package.xml'))


def test_colcon_takes_every_package_for_an_ament_python_package() -> None:
    listed = subprocess.run(
        [sys.executable, '-m', 'colcon', '--log-base', '/dev/null', 'list', '--base-paths', 'src'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    kinds = {line.split()[0]: line.split()[-1] for line in listed.splitlines()}
    assert kinds == {package.name: '(ros.ament_python)' for package in PACKAGES}


def test_colcon_builds_without_a_warning(tmp_path: Path) -> None:
    environment = {
        name: text for name, text in os.environ.items() if name != 'PYTHONDONTWRITEBYTECODE'
    }
    bases = ('--build-base', f'{tmp_path}/build', '--install-base', f'{tmp_path}/install')
    built = subprocess.run(
        [
            *(sys.executable, '-m', 'colcon', '--log-base', '/dev/null'),
            *('build', '--base-paths', 'src', *bases, '--event-handlers', 'console_direct+'),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (built.returncode, built.stderr) == (0, '')
    assert 'warning' not in built.stdout.lower()
    installed = {path.name for path in (tmp_path / 'install').glob('so101_*')}
    assert installed == {package.name for package in PACKAGES}


@pytest.mark.parametrize('package', PACKAGES, ids=lambda package: package.name)
def test_the_manifest_is_valid_and_names_what_the_code_imports(package: Path) -> None:
    warnings: list[str] = []
    manifest = parse_package(str(package), warnings=warnings)
    assert not warnings
    assert (package / 'README.md').is_file()
    declared = {depend.name for depend in manifest.exec_depends}
    ros = set(get_packages_with_prefixes()) - {package.name}
    imported = {name for file in (package / package.name).rglob('*.py') for name in _imports(file)}
    assert imported & ros <= declared
    assert declared & ros <= imported | _started_by(package)


def _imports(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split('.')[0])
    return names


def _started_by(package: Path) -> set[str]:
    """Return the packages whose nodes the wiring starts: named in it, not imported."""
    wiring = package / package.name / 'graphs.py'
    if not wiring.exists():
        return set()
    text = wiring.read_text()
    return {other.name for other in PACKAGES if f"'{other.name}'" in text}
