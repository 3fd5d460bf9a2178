"""Plans and chunks as trajectory messages."""

from collections.abc import Sequence

from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_description.joints import JOINTS
from so101_node.stamp import from_nanoseconds
from so101_policy.plan import Array, Plan


def of_plan(plan: Plan) -> JointTrajectory:
    """Positions, velocities and accelerations: the driver then goes from one to the next by a
    quintic, and ends at rest.
    """
    sent = plan.sent
    points = [
        JointTrajectoryPoint(
            positions=position.tolist(),
            velocities=velocity.tolist(),
            accelerations=acceleration.tolist(),
        )
        for _, position, velocity, acceleration in sent
    ]
    return _timed(points, [due for due, *_ in sent])


def of_chunk(actions: Array, observed: int, fps: float) -> JointTrajectory:
    """Actions of shape (T, 6), radians, as predicted: the first belongs to `observed`, ns."""
    times = [observed + round(i * 1e9 / fps) for i in range(len(actions))]
    return _timed([JointTrajectoryPoint(positions=row) for row in actions.tolist()], times)


def _timed(points: list[JointTrajectoryPoint], times: Sequence[int]) -> JointTrajectory:
    message = JointTrajectory(joint_names=list(JOINTS), points=points)
    message.header.stamp = from_nanoseconds(times[0])
    for point, due in zip(points, times, strict=True):
        seconds, nanoseconds = divmod(due - times[0], 1_000_000_000)
        point.time_from_start.sec = seconds
        point.time_from_start.nanosec = nanoseconds
    return message
