"""Which poses a picture may show, and where the arm rests."""

from so101_cameras.poses import Poses

MS = 1_000_000


def turning(speed: float, until: int) -> Poses:
    """Return the poses of an arm whose first joint turns, rad/s, each 10 ms."""
    poses = Poses()
    for ms in range(0, until, 10):
        poses.add(ms * MS, [speed * ms / 1000, 0.0])
    return poses


def test_a_picture_shows_what_is_old_enough_and_was_before_its_capture() -> None:
    poses = turning(1.0, 1000)

    def seen(now: int, captured: int, since: int) -> list[float]:
        return [
            round(float(pose[0]), 3) for pose in poses.shown(now * MS, captured * MS, since * MS)
        ]

    assert seen(1000, 1000, 770) == [0.78, 0.79, 0.8]
    assert seen(1000, 780, 760) == [0.77, 0.78]
    assert seen(1000, 1000, 900) == []
    assert seen(1000, 500, 0) == [], 'it is not known any more'


def test_the_pose_of_a_time_is_the_newest_by_then() -> None:
    poses = turning(1.0, 1000)
    pose = poses.before(905 * MS)
    assert pose is not None
    assert round(float(pose[0]), 3) == 0.9
    assert Poses().before(0) is None


def test_an_arm_rests_that_hardly_moved_and_is_still_heard() -> None:
    rest = turning(0.0, 1000).rest(1000 * MS)
    assert rest is not None
    assert rest.tolist() == [0.0, 0.0]
    assert turning(0.1, 1000).rest(1000 * MS) is None
    assert turning(0.0, 1000).rest(1600 * MS) is None
    assert turning(0.0, 100).rest(100 * MS) is None
