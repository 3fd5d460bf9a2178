"""Calibration files: where LeRobot keeps them, and how one is found, read and written."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from so101_description.joints import JOINTS
from so101_driver.calibration import MAX_OFFSET, MAX_TICK, Calibration, JointCalibration, Role
from so101_driver.packet import MAX_ID
from so101_node.error import UserError

# LeRobot 0.6.1 knows the first of each; the others hold what earlier releases wrote.
_FOLDERS: dict[Role, tuple[str, ...]] = {
    'follower': ('robots/so_follower', 'robots/so101_follower', 'robots/so100_follower'),
    'leader': (
        'teleoperators/so_leader',
        'teleoperators/so101_leader',
        'teleoperators/so100_leader',
    ),
}


def folders(role: Role) -> list[Path]:
    """Return where LeRobot keeps an arm's file, the place for new ones first.

    The variables HF_LEROBOT_CALIBRATION, HF_LEROBOT_HOME, HF_HOME and XDG_CACHE_HOME mean what
    they mean to LeRobot. Raises UserError for an unknown role.
    """
    if role not in get_args(Role):
        raise UserError(f'role is {role!r}: give follower or leader')
    cache = Path(os.environ.get('XDG_CACHE_HOME', '~/.cache'))
    hub = Path(os.environ.get('HF_HOME', cache / 'huggingface')).expanduser()
    home = Path(os.path.expandvars(hub)) / 'lerobot'
    lerobot = Path(os.environ.get('HF_LEROBOT_HOME', home)).expanduser()
    root = Path(os.environ.get('HF_LEROBOT_CALIBRATION', lerobot / 'calibration')).expanduser()
    return [root / folder for folder in _FOLDERS[role]]


def find(text: str, role: Role) -> Path:
    """Return the file that a person means.

    `text` is a path (with a / or ending in .json), an arm's id, or empty for the only file there
    is. A path need not exist. Raises UserError that lists the ids there are.
    """
    if _is_path(text):
        return Path(text).expanduser()
    files = known(role)
    if text in files:
        return files[text]
    if not text and len(files) == 1:
        return next(iter(files.values()))
    looked = 'in ' + ', '.join(str(folder) for folder in folders(role))
    if text and files:
        raise UserError(
            f'no {role} arm is called {text!r}: known are {", ".join(files)} ({looked})'
        )
    if files:
        raise UserError(
            f'{len(files)} {role} arms are known: say which, {", ".join(files)} ({looked})'
        )
    raise UserError(
        f'no {role} arm is calibrated: there is no file {looked}. '
        f'Run calibrate --role {role} --id {text or "NAME"} (so101 calibrate, or ros2 run '
        'so101_driver calibrate)'
    )


def known(role: Role) -> dict[str, Path]:
    """Return the calibration files there are, by the arm's id."""
    files: dict[str, Path] = {}
    for folder in folders(role):
        for path in sorted(folder.glob('*.json')):
            files.setdefault(path.stem, path)
    return files


def place(text: str, role: Role) -> Path:
    """Return where LeRobot 0.6.1 expects the file of the arm `text`, a path or an id."""
    return Path(text).expanduser() if _is_path(text) else folders(role)[0] / f'{text}.json'


def _is_path(text: str) -> bool:
    return os.sep in text or text.endswith('.json')


def load(path: str | Path) -> Calibration:
    """Load LeRobot's calibration file; raises UserError with the file and the key at fault."""
    path = Path(path).expanduser()
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f'calibration {path}: {error.strerror}') from error
    except ValueError as error:  # not UTF-8, or not JSON
        raise UserError(f'calibration {path}: not a JSON file: {error}') from error
    _check_keys(path, 'the file', content, JOINTS)
    joints = [_joint(path, name, content[name]) for name in JOINTS]
    ids = [joint.id for joint in joints]
    if len(set(ids)) < len(ids):
        raise UserError(f'calibration {path}: the ids {ids} are not distinct')
    return Calibration(joints)


def save(path: Path, joints: Sequence[JointCalibration], now: datetime) -> Path | None:
    """Write a file as LeRobot writes it, whole or not at all.

    An earlier file is kept under its name, the date and .bak; returns that path, or None. Raises
    UserError when it cannot be written.
    """
    content = {name: asdict(joint) for name, joint in zip(JOINTS, joints, strict=True)}
    partial = path.with_name(f'.{path.name}.partial')
    kept = path.with_name(f'{path.name}.{now:%Y-%m-%d_%H-%M-%S}.bak') if path.exists() else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open('w') as file:
            json.dump(content, file, indent=4)
            file.flush()
            os.fsync(file.fileno())
        if kept:
            kept.write_bytes(path.read_bytes())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UserError(f'cannot write the calibration {path}: {error.strerror}') from error
    return kept


def _joint(path: Path, name: str, content: Any) -> JointCalibration:
    _check_keys(path, name, content, [field.name for field in fields(JointCalibration)])
    ranges = {
        'id': (0, MAX_ID),
        'drive_mode': (0, 1),
        'homing_offset': (-MAX_OFFSET, MAX_OFFSET),
        'range_min': (0, MAX_TICK),
        'range_max': (0, MAX_TICK),
    }
    for key, (low, high) in ranges.items():
        value = content[key]
        if type(value) is not int or not low <= value <= high:
            raise UserError(
                f'calibration {path}: {name}.{key} is {value!r}, not an integer {low} to {high}'
            )
    if content['range_min'] >= content['range_max']:
        raise UserError(
            f'calibration {path}: {name}.range_min is {content["range_min"]}, '
            f'not below range_max {content["range_max"]}'
        )
    return JointCalibration(**content)


def _check_keys(path: Path, where: str, content: Any, expected: Sequence[str]) -> None:
    if not isinstance(content, dict):
        raise UserError(f'calibration {path}: {where} is not a table of {", ".join(expected)}')
    for problem, keys in (
        ('lacks', set(expected) - set(content)),
        ('has unknown', set(content) - set(expected)),
    ):
        if keys:
            raise UserError(f'calibration {path}: {where} {problem} {", ".join(sorted(keys))}')
