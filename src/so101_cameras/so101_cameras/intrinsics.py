"""A camera's intrinsics: its own, or those that ROS's camera_calibration measured; pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from so101_node.error import UserError

# Matrices of sensor_msgs/CameraInfo and how the file names them: rows and columns.
_MATRICES = {
    'k': ('camera_matrix', 3, 3),
    'r': ('rectification_matrix', 3, 3),
    'p': ('projection_matrix', 3, 4),
}

# Distortion models of sensor_msgs/distortion_models.hpp, and how many coefficients each has.
_MODELS = {'plumb_bob': (4, 5), 'rational_polynomial': (8,), 'equidistant': (4,)}


@dataclass(frozen=True)
class Intrinsics:
    """As sensor_msgs/CameraInfo has them, for images of `width` x `height`.

    `k` is 3x3, `r` 3x3, `p` 3x4, all by rows, in pixels; `d` has the model's coefficients.
    """

    width: int
    height: int
    model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]


def uncalibrated(width: int, height: int) -> Intrinsics:
    """Return what CameraInfo.msg asks for where nothing is known: zeros."""
    return Intrinsics(width, height, '', (), (0.0,) * 9, (0.0,) * 9, (0.0,) * 12)


def load(path: Path, width: int, height: int) -> Intrinsics:
    """Return those of a YAML file of camera_calibration.

    Raises UserError when it cannot be read, is something else, or is for another image size.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f'camera_info {path}: {" ".join(str(error).split())}') from error
    try:
        found = _parse(content)
    except (KeyError, TypeError, ValueError) as error:
        reason = f'no {error}' if isinstance(error, KeyError) else str(error)
        raise UserError(
            f'camera_info {path}: {reason}; give the file that camera_calibration wrote'
        ) from error
    if (found.width, found.height) != (width, height):
        raise UserError(
            f'camera_info {path}: for images of {found.width}x{found.height}, not '
            f'{width}x{height}; calibrate at this size'
        )
    return found


def _parse(content: Any) -> Intrinsics:
    if not isinstance(content, Mapping):
        raise TypeError('not a mapping')
    matrices = {
        field: _numbers(content, name, rows * columns)
        for field, (name, rows, columns) in _MATRICES.items()
    }
    model = content['distortion_model']
    if model not in _MODELS:
        raise ValueError(f'distortion_model {model!r}, none of {", ".join(_MODELS)}')
    return Intrinsics(
        int(content['image_width']),
        int(content['image_height']),
        model,
        _numbers(content, 'distortion_coefficients', *_MODELS[model]),
        **matrices,
    )


def _numbers(content: Mapping[str, Any], name: str, *counts: int) -> tuple[float, ...]:
    data = tuple(map(float, content[name]['data']))
    if len(data) not in counts or not all(map(math.isfinite, data)):
        raise ValueError(f'{name} has not {" or ".join(map(str, counts))} finite numbers')
    return data
