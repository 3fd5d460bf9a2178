"""The node that shows where the policy's chunks lead the gripper."""

from dataclasses import dataclass

from geometry_msgs.msg import Point, PoseStamped, Quaternion
from nav_msgs.msg import Path
from trajectory_msgs.msg import JointTrajectory

from so101_description.kinematics import BASE
from so101_node.node import Node, run
from so101_node.parameters import declare
from so101_node.stamp import from_nanoseconds
from so101_node.topics import ACTION_CHUNK, CHUNK_PATH
from so101_view.gripper_path import Array, of_chunk


@dataclass(frozen=True)
class Parameters:
    """None: a parameter that is given is an error."""


class GripperPathNode(Node):
    """Publishes each chunk of actions as the path of gripper_frame_link, in base_link."""

    def __init__(self) -> None:
        super().__init__('gripper_path')
        declare(self, Parameters)
        self._path = self.publisher(CHUNK_PATH)
        self.subscribe(ACTION_CHUNK, self._show)

    def _show(self, chunk: JointTrajectory) -> None:
        try:
            path = of_chunk(chunk)
        except ValueError as error:
            self.get_logger().warning(
                f'{ACTION_CHUNK.name}: {error}; not shown', throttle_duration_sec=1.0
            )
            return
        message = Path()
        message.header.frame_id = BASE
        message.header.stamp = from_nanoseconds(path.times[0])
        message.poses = [_pose(*row) for row in zip(*path, strict=True)]
        self._path.publish(message)


def _pose(time: int, position: Array, orientation: Array) -> PoseStamped:
    pose = PoseStamped()
    pose.header.frame_id = BASE
    pose.header.stamp = from_nanoseconds(time)
    pose.pose.position = Point(**dict(zip('xyz', position.tolist(), strict=True)))
    pose.pose.orientation = Quaternion(**dict(zip('xyzw', orientation.tolist(), strict=True)))
    return pose


def main() -> None:
    run(GripperPathNode)


if __name__ == '__main__':
    main()
