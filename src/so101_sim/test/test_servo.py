"""The emulated servo keeps its registers as an STS3215 does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_driver import registers as reg
from so101_sim.servo import SET_MIDDLE, Servo

SECONDS = 0.002


def servo(angle: float = 2100.0, **settings: int) -> Servo:
    return Servo(3, angle, {getattr(reg, name): value for name, value in settings.items()})


def get(a_servo: Servo, register: reg.Register) -> int:
    return register.decode(a_servo.read(register.address, register.size))


def put(a_servo: Servo, register: reg.Register, value: int) -> None:
    a_servo.write(register.address, register.encode(value))


def test_it_introduces_itself_as_an_sts3215_with_lerobots_gains() -> None:
    one = servo()
    assert get(one, reg.MODEL) == 777
    assert (get(one, reg.FIRMWARE_MAJOR), get(one, reg.FIRMWARE_MINOR)) == (3, 10)
    assert [get(one, r) for r in (reg.P_GAIN, reg.I_GAIN, reg.D_GAIN)] == [16, 0, 32]
    assert (get(one, reg.ID), get(one, reg.LOCK), get(one, reg.TORQUE_ENABLE)) == (3, 1, 0)


@given(st.integers(-2047, 2047), st.floats(-10_000, 10_000))
def test_present_is_actual_minus_offset_within_one_turn(offset: int, angle: float) -> None:
    present = get(servo(angle, HOMING_OFFSET=offset), reg.PRESENT_POSITION)
    assert 0 <= present <= 4095
    distance = (angle - offset - present) % 4096
    assert min(distance, 4096 - distance) <= 0.5 + 1e-6


def test_eprom_writes_persist_only_while_unlocked() -> None:
    one = servo()
    put(one, reg.HOMING_OFFSET, 100)
    one.power_cycle()
    assert get(one, reg.HOMING_OFFSET) == 0
    put(one, reg.LOCK, 0)
    put(one, reg.HOMING_OFFSET, -100)
    one.power_cycle()
    assert get(one, reg.HOMING_OFFSET) == -100
    assert get(one, reg.LOCK) == 1


def test_a_power_cycle_switches_torque_off_and_takes_the_torque_limit_from_the_eprom() -> None:
    one = servo(MAX_TORQUE=500)
    put(one, reg.TORQUE_ENABLE, 1)
    put(one, reg.TORQUE_LIMIT, 900)
    one.power_cycle()
    assert get(one, reg.TORQUE_ENABLE) == 0
    assert get(one, reg.TORQUE_LIMIT) == 500


def test_sensors_cannot_be_written() -> None:
    one = servo()
    put(one, reg.PRESENT_POSITION, 1)
    put(one, reg.MODEL, 1)
    assert get(one, reg.PRESENT_POSITION) == 2100
    assert get(one, reg.MODEL) == 777


def test_without_torque_it_is_limp() -> None:
    one = servo()
    put(one, reg.GOAL_POSITION, 3000)
    assert one.step(SECONDS).strength == 0.0


def test_with_torque_it_pulls_to_the_goal_at_once() -> None:
    one = servo(angle=2100.0, HOMING_OFFSET=100, MAX_TORQUE=500)
    put(one, reg.GOAL_POSITION, 2500)
    put(one, reg.TORQUE_ENABLE, 1)
    assert one.step(SECONDS) == pytest.approx((2600.0, 0.5))


def test_goals_are_clamped_to_the_range() -> None:
    one = servo(MIN_POSITION=1000, MAX_POSITION=3000)
    put(one, reg.TORQUE_ENABLE, 1)
    for goal, target in ((3500, 3000), (-200, 1000)):
        put(one, reg.GOAL_POSITION, goal)
        assert one.step(SECONDS).target == pytest.approx(target)


def test_set_middle_makes_the_present_position_2048() -> None:
    one = servo(angle=2500.0)
    put(one, reg.TORQUE_ENABLE, SET_MIDDLE)
    assert get(one, reg.PRESENT_POSITION) == 2048
    assert get(one, reg.HOMING_OFFSET) == 452
    assert get(one, reg.TORQUE_ENABLE) == 0


def test_goal_speed_limits_the_target() -> None:
    one = servo(angle=2000.0)
    put(one, reg.TORQUE_ENABLE, 1)
    put(one, reg.GOAL_SPEED, 500)
    put(one, reg.GOAL_POSITION, 3000)
    targets = [one.step(SECONDS).target for _ in range(500)]
    assert targets[-1] == pytest.approx(2500.0)


def test_an_acceleration_restarts_its_ramp_at_every_rewrite_so_that_streamed_goals_crawl() -> None:
    def reached(rewrite: bool) -> float:
        one = servo(angle=2000.0)
        put(one, reg.TORQUE_ENABLE, 1)
        put(one, reg.ACCELERATION, 20)
        put(one, reg.GOAL_POSITION, 3000)
        for _ in range(250):
            target = one.step(SECONDS).target
            if rewrite:
                put(one, reg.GOAL_POSITION, 3000)
        return target - 2000.0

    assert reached(rewrite=False) == pytest.approx(0.5 * 2000 * 0.5**2, rel=0.02)
    assert reached(rewrite=True) < 5.0


def test_signs_of_speed_and_load_are_their_own_bits() -> None:
    one = servo()
    one.sense(2100.0, -300.0, -0.25)
    assert one.read(reg.PRESENT_SPEED.address, 2) == (300 | 1 << 15).to_bytes(2, 'little')
    assert one.read(reg.PRESENT_LOAD.address, 2) == (250 | 1 << 10).to_bytes(2, 'little')
    assert get(one, reg.MOVING) == 1


def test_load_draws_current_lowers_the_voltage_and_heats() -> None:
    one = servo()
    idle = [get(one, r) for r in (reg.PRESENT_CURRENT, reg.PRESENT_TEMPERATURE)]
    volts = get(one, reg.PRESENT_VOLTAGE)
    one.sense(2100.0, 0.0, 1.0)
    for _ in range(600):
        one.step(1.0)
    assert get(one, reg.PRESENT_CURRENT) > idle[0] + 300
    assert get(one, reg.PRESENT_TEMPERATURE) > idle[1] + 40
    assert get(one, reg.PRESENT_VOLTAGE) < volts
    assert one.status == get(one, reg.STATUS) == 4


def test_a_wrong_supply_shows_in_the_status() -> None:
    assert servo(MAX_VOLTAGE=80).status == 1
    assert servo().status == 0
