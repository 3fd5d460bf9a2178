"""The way of the gripper through a chunk, as poses with their times; and the node that says it."""

import threading

import numpy as np
import pytest
from nav_msgs.msg import Path
from scipy.spatial.transform import Rotation
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_description.joints import JOINTS
from so101_description.kinematics import gripper_frame
from so101_node.topics import ACTION_CHUNK, CHUNK_PATH
from so101_view.gripper_path import of_chunk

ANGLES = np.random.default_rng(0).uniform(-1, 1, (20, 6))


def chunk(angles: np.ndarray = ANGLES, names: tuple[str, ...] = JOINTS) -> JointTrajectory:
    """Return a chunk whose actions are 0.4 s apart, from second 100.5 on."""
    message = JointTrajectory(joint_names=list(names))
    message.header.stamp.sec, message.header.stamp.nanosec = 100, 500_000_000
    for index, row in enumerate(angles.tolist()):
        point = JointTrajectoryPoint(positions=row)
        seconds, nanoseconds = divmod(index * 400_000_000, 1_000_000_000)
        point.time_from_start.sec, point.time_from_start.nanosec = seconds, nanoseconds
        message.points.append(point)
    return message


def test_each_action_has_its_time_place_and_orientation() -> None:
    path = of_chunk(chunk())
    poses = gripper_frame(ANGLES)
    assert path.times == [100_500_000_000 + index * 400_000_000 for index in range(20)]
    assert path.positions == pytest.approx(poses[:, :3, 3])
    turned = Rotation.from_quat(path.orientations).as_matrix()
    assert turned == pytest.approx(poses[:, :3, :3])


def test_joints_may_come_in_any_order() -> None:
    shuffled = [3, 1, 5, 0, 2, 4]
    names = tuple(JOINTS[index] for index in shuffled)
    path = of_chunk(chunk(ANGLES[:, shuffled], names))
    assert path.positions == pytest.approx(of_chunk(chunk()).positions)


@pytest.mark.parametrize(
    ('message', 'text'),
    [
        (chunk(ANGLES[:0]), 'without actions'),
        (chunk(names=JOINTS[:5]), 'a chunk of shoulder_pan'),
        (chunk(names=()), 'of no joints'),
        (chunk(ANGLES[:, :5]), 'has not 6 positions'),
        (chunk(ANGLES * np.nan), 'not a finite number'),
    ],
)
def test_what_is_no_chunk_of_this_arm_is_refused(message: JointTrajectory, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        of_chunk(message)


def test_the_node_publishes_the_path_and_survives_nonsense(graph) -> None:  # type: ignore[no-untyped-def]
    paths: list[Path] = []
    came = threading.Event()
    graph.node.subscribe(CHUNK_PATH, lambda path: (paths.append(path), came.set()))
    chunks = graph.node.publisher(ACTION_CHUNK)
    graph.start('so101_view.gripper_path_node')

    def shown() -> bool:
        chunks.publish(chunk(ANGLES[:0]))
        chunks.publish(chunk())
        return came.wait(0.5)

    graph.wait_for(shown, 'path')
    path = paths[0]
    assert path.header.frame_id == 'base_link'
    assert len(path.poses) == 20
    second = path.poses[1]
    assert second.header.frame_id == 'base_link'
    assert (second.header.stamp.sec, second.header.stamp.nanosec) == (100, 900_000_000)
    position, turned = second.pose.position, second.pose.orientation
    expected = gripper_frame(ANGLES[1])
    assert [position.x, position.y, position.z] == pytest.approx(expected[:3, 3])
    matrix = Rotation.from_quat([turned.x, turned.y, turned.z, turned.w]).as_matrix()
    assert matrix == pytest.approx(expected[:3, :3])
