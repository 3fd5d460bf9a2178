"""Forward kinematics against positions that are known, and against the shape of its input."""

import numpy as np
import pytest

from so101_description.kinematics import BASE, LINKS, gripper_frame, link_poses

# Joint angles and where the gripper frame is then: of the URDF, by other software.
KNOWN = [
    ((0, 0, 0, 0, 0, 0), (0.39136, -0.00001, 0.22647)),
    ((0.5, 0, 0, 0, 0, 0), (0.34820, -0.16902, 0.22647)),
    ((0, 0.5, 0, 0, 0, 0), (0.40460, 0, 0.05858)),
    ((0, 0, 0.5, 0, 0, 0), (0.35406, 0, 0.08579)),
    ((0, 0, 0, 0.5, 0, 0), (0.36808, 0, 0.15110)),
    ((0.3, -0.4, 0.5, 0.2, -0.6, 0), (0.32418, -0.08364, 0.16970)),
]


@pytest.mark.parametrize(('angles', 'position'), KNOWN)
def test_the_gripper_is_where_it_is_known_to_be(
    angles: tuple[float, ...], position: tuple[float, ...]
) -> None:
    assert gripper_frame(angles)[:3, 3] == pytest.approx(position, abs=2e-5)


def test_many_poses_at_once_are_each_of_them() -> None:
    angles = np.random.default_rng(0).uniform(-1, 1, (2, 5, 6))
    poses = link_poses(angles)
    assert set(poses) == {BASE, *LINKS}
    for index in np.ndindex(2, 5):
        for link, pose in link_poses(angles[index]).items():
            assert poses[link][index] == pytest.approx(pose)


def test_poses_are_rigid() -> None:
    for pose in link_poses(np.random.default_rng(1).uniform(-2, 2, (20, 6))).values():
        rotation = pose[:, :3, :3]
        assert rotation @ rotation.swapaxes(1, 2) == pytest.approx(np.tile(np.eye(3), (20, 1, 1)))
        assert np.linalg.det(rotation) == pytest.approx(np.ones(20))


def test_the_gripper_moves_only_its_jaw() -> None:
    closed, opened = (link_poses([0, 0, 0, 0, 0, angle]) for angle in (0.0, 1.0))
    moved = {link for link in closed if not np.allclose(closed[link], opened[link])}
    assert moved == {'moving_jaw_so101_v1_link'}


@pytest.mark.parametrize('angles', [0.0, [0.0] * 5, np.zeros((6, 2))])
def test_a_wrong_joint_count_is_refused(angles: object) -> None:
    with pytest.raises(ValueError, match='6 joints'):
        link_poses(angles)  # type: ignore[arg-type]
