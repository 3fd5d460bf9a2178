"""A calibration of camera_calibration is read as it is, or refused with a reason."""

from pathlib import Path

import pytest
import yaml

from so101_cameras import intrinsics
from so101_node.error import UserError

CONTENT = {
    'image_width': 640,
    'image_height': 480,
    'camera_name': 'overhead',
    'camera_matrix': {'rows': 3, 'cols': 3, 'data': [600, 0, 320, 0, 601.5, 240, 0, 0, 1]},
    'distortion_model': 'plumb_bob',
    'distortion_coefficients': {'rows': 1, 'cols': 5, 'data': [0.1, -0.2, 0, 0, 0.5]},
    'rectification_matrix': {'rows': 3, 'cols': 3, 'data': [1, 0, 0, 0, 1, 0, 0, 0, 1]},
    'projection_matrix': {'rows': 3, 'cols': 4, 'data': [61, 0, 32, 0, 0, 61, 24, 0, 0, 0, 1, 0]},
}  # fmt: skip


def written(tmp_path: Path, **changes: object) -> Path:
    file = tmp_path / 'camera.yaml'
    content = {k: v for k, v in (CONTENT | changes).items() if v is not None}
    file.write_text(yaml.safe_dump(content))
    return file


def test_a_calibration_is_read(tmp_path: Path) -> None:
    found = intrinsics.load(written(tmp_path), 640, 480)
    assert found.model == 'plumb_bob'
    assert found.k == (600, 0, 320, 0, 601.5, 240, 0, 0, 1)
    assert found.d == (0.1, -0.2, 0, 0, 0.5)
    assert found.p[:3] == (61, 0, 32)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'image_width': 1280}, r'for images of 1280x480, not 640x480'),
        ({'camera_matrix': None}, "no 'camera_matrix'"),
        ({'camera_matrix': {'data': [1, 2]}}, 'camera_matrix has not 9 finite numbers'),
        ({'projection_matrix': {'data': [float('nan')] * 12}}, 'projection_matrix has not 12'),
        ({'distortion_coefficients': {'data': [0] * 3}}, 'has not 4 or 5 finite numbers'),
        ({'distortion_model': 'fisheye'}, "distortion_model 'fisheye', none of plumb_bob"),
        ({'distortion_coefficients': 3}, 'give the file that camera_calibration wrote'),
    ],
)
def test_what_is_no_calibration_of_this_size_is_refused(
    tmp_path: Path, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        intrinsics.load(written(tmp_path, **changes), 640, 480)


@pytest.mark.parametrize('text', ['', '- 1', 'k: [', '\0'])
def test_any_other_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / 'camera.yaml'
    file.write_text(text)
    with pytest.raises(UserError, match=r'camera_info .*camera\.yaml'):
        intrinsics.load(file, 640, 480)
    with pytest.raises(UserError, match='No such file'):
        intrinsics.load(tmp_path / 'nothing.yaml', 640, 480)


def test_uncalibrated_is_all_zero() -> None:
    nothing = intrinsics.uncalibrated(640, 480)
    assert not any(nothing.k + nothing.d + nothing.r + nothing.p)
