"""The gripper squeezes gently what it holds, and says that it holds it."""

import pytest

from so101_driver.gripper import Gripper

MS = 1_000_000


@pytest.fixture
def gripper() -> Gripper:
    return Gripper(full=500, trip=250)


def hold(gripper: Gripper, reference: float, position: float, milliseconds: int) -> None:
    for tick in range(0, milliseconds + 1, 5):
        gripper.sense((1000 + tick) * MS, reference, position, 0.0)


def test_a_jaw_that_closes_on_an_object_pulls_below_its_trip(gripper: Gripper) -> None:
    assert gripper.limit == 500
    hold(gripper, reference=-0.1, position=0.4, milliseconds=400)
    assert gripper.on_object
    assert gripper.limit == 200


def test_it_waits_until_the_jaw_stands_still(gripper: Gripper) -> None:
    for tick in range(100):
        gripper.sense((1000 + 5 * tick) * MS, -0.1, 1.0 - 0.005 * tick, -1.0)
    hold(gripper, -0.1, 0.4, 200)
    assert not gripper.stalled


def test_droop_is_no_object(gripper: Gripper) -> None:
    hold(gripper, reference=0.40, position=0.44, milliseconds=1000)
    assert not gripper.stalled


def test_an_opened_jaw_has_its_torque_back(gripper: Gripper) -> None:
    hold(gripper, -0.1, 0.4, 400)
    gripper.sense(2000 * MS, 0.5, 0.4, 0.0)
    assert not gripper.on_object
    assert gripper.limit == 500


def test_a_jaw_that_cannot_open_is_stalled_but_holds_nothing(gripper: Gripper) -> None:
    hold(gripper, reference=1.0, position=0.4, milliseconds=400)
    assert gripper.stalled
    assert not gripper.on_object
    assert gripper.limit == 200


def test_an_object_that_slipped_out_is_not_held(gripper: Gripper) -> None:
    hold(gripper, -0.1, 0.4, 400)
    gripper.sense(1500 * MS, -0.1, -0.09, 0.0)
    assert not gripper.on_object


def test_a_servo_without_a_trip_to_stay_below_is_not_driven_backwards() -> None:
    assert Gripper(full=500, trip=20)._gentle == 0
    assert Gripper(full=100, trip=800)._gentle == 100
