"""The emulated servo keeps its registers as an STS3215 does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_driver import registers as reg
from so101_sim import fault
from so101_sim.servo import SET_MIDDLE, Servo

SECONDS = 0.002
OVERLOAD = 32


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


def powered(angle: float = 2100.0, goal: int = 2100, **settings: int) -> Servo:
    one = servo(angle, **settings)
    put(one, reg.GOAL_POSITION, goal)
    put(one, reg.TORQUE_ENABLE, 1)
    return one


def test_the_torque_limit_limits_and_torque_off_frees() -> None:
    one = powered()
    put(one, reg.TORQUE_LIMIT, 300)
    assert one.step(SECONDS).strength == 0.3
    put(one, reg.TORQUE_LIMIT, 65_535)
    assert one.step(SECONDS).strength == 1.0
    put(one, reg.TORQUE_ENABLE, 0)
    assert one.step(SECONDS).strength == 0.0


def strain(a_servo: Servo, load: float, seconds: float) -> float:
    """Load a servo for a while; return the strength that it has then."""
    for _ in range(round(seconds / SECONDS)):
        a_servo.sense(2100.0, 0.0, load)
        strength = a_servo.step(SECONDS).strength
    return strength


@pytest.mark.parametrize('load', [0.5, -0.6])
def test_a_load_trips_it_after_its_time_and_torque_off_ends_that(load: float) -> None:
    one = powered(OVERLOAD_TORQUE=50, PROTECTION_TIME=30, PROTECTION_TORQUE=15)
    assert strain(one, load, 0.28) == 1.0
    assert one.status == 0
    assert strain(one, load, 0.04) == 0.15
    assert strain(one, 0.0, 1.0) == 0.15
    assert one.status == get(one, reg.STATUS) == OVERLOAD
    put(one, reg.TORQUE_ENABLE, 0)
    assert one.status == 0
    put(one, reg.TORQUE_ENABLE, 1)
    assert strain(one, 0.0, SECONDS) == 1.0


def test_a_load_that_pauses_or_is_below_the_limit_does_not_trip() -> None:
    one = powered(OVERLOAD_TORQUE=50, PROTECTION_TIME=30)
    for _ in range(5):
        strain(one, 1.0, 0.2)
        strain(one, 0.49, 0.2)
    assert one.status == 0


def test_an_injected_overload_is_the_same_and_off_ends_it_too() -> None:
    one = powered()
    one.inject(fault.OVERLOAD)
    assert (one.status, one.step(SECONDS).strength) == (OVERLOAD, 0.2)
    one.clear(fault.OVERLOAD)
    assert (one.status, one.step(SECONDS).strength) == (0, 1.0)


@pytest.mark.parametrize('forgiving', [True, False])
def test_only_a_forgiving_servo_recovers_when_its_goal_is_near(forgiving: bool) -> None:
    one = powered(goal=2000)
    if forgiving:
        one.inject(fault.FORGIVING)
    one.inject(fault.OVERLOAD)
    one.step(SECONDS)
    assert one.status == OVERLOAD
    put(one, reg.GOAL_POSITION, 2100 + fault.FORGIVEN_STEPS)
    one.step(SECONDS)
    assert one.status == (0 if forgiving else OVERLOAD)


def test_a_brownout_loses_the_ram_and_answers_at_once() -> None:
    one = powered(goal=2500, MAX_TORQUE=500)
    registers = (reg.TORQUE_LIMIT, reg.ACCELERATION, reg.GOAL_SPEED, reg.LOCK)
    for register in registers:
        put(one, register, 0 if register == reg.LOCK else 77)
    one.inject(fault.BROWNOUT)
    assert not one.silent
    assert get(one, reg.TORQUE_ENABLE) == 0
    assert get(one, reg.GOAL_POSITION) == 2100
    assert [get(one, register) for register in registers] == [500, 0, 0, 1]
    assert one.step(SECONDS).strength == 0.0


def test_a_reboot_is_silent_for_a_while() -> None:
    one = powered()
    one.inject(fault.REBOOT)
    assert one.step(0.5).strength == 0.0
    assert one.silent
    one.step(0.31)
    assert not one.silent


def test_a_silent_servo_holds_its_goal() -> None:
    one = powered(goal=2500)
    one.inject(fault.SILENT)
    assert one.silent
    assert one.step(SECONDS) == pytest.approx((2500.0, 1.0))


@pytest.mark.parametrize(('volts', 'status'), [(16.0, 1), (12.0, 0), (5.0, 0), (3.9, 1)])
def test_a_supplys_voltage_is_judged_by_registers_14_and_15(volts: float, status: int) -> None:
    one = servo()
    one.inject(fault.VOLTAGE, volts)
    assert get(one, reg.PRESENT_VOLTAGE) == pytest.approx(volts * 10, abs=1)
    assert one.status == status


def test_a_hot_servo_stays_hot_and_cools_when_that_is_over() -> None:
    one = servo()
    one.inject(fault.HOT, 75.0)
    one.step(600.0)
    assert (get(one, reg.PRESENT_TEMPERATURE), one.status) == (75, 4)
    one.clear(fault.HOT)
    one.step(SECONDS)
    assert one.status == 4
    one.step(60.0)
    assert one.status == 0


def test_a_current_is_judged_by_register_28() -> None:
    one = servo(PROTECTION_CURRENT=250)
    one.inject(fault.CURRENT, 1.6)
    assert one.status == 0
    one.inject(fault.CURRENT, 1.7)
    assert (get(one, reg.PRESENT_CURRENT), one.status) == (round(1.7 / 0.0065), 8)


def test_a_stuck_encoder_controls_by_what_it_reports() -> None:
    one = powered()
    one.inject(fault.ENCODER, 0)
    one.sense(2150.0, 400.0, 0.0)
    assert (get(one, reg.PRESENT_POSITION), get(one, reg.PRESENT_SPEED)) == (2100, 0)
    assert one.status == 2
    put(one, reg.GOAL_POSITION, 2110)
    assert one.step(SECONDS).target == pytest.approx(2160.0)  # for ever 10 steps ahead
    one.clear(fault.ENCODER)
    assert (get(one, reg.PRESENT_POSITION), one.status) == (2150, 0)


def test_an_encoder_that_jumps_moves_the_motor_the_other_way() -> None:
    one = powered()
    one.inject(fault.ENCODER, 500)
    assert (get(one, reg.PRESENT_POSITION), one.status) == (2600, 2)
    assert one.step(SECONDS).target == pytest.approx(1600.0)


def test_old_firmware_says_so_and_survives_a_power_cycle() -> None:
    one = servo()
    one.inject(fault.OLD_FIRMWARE)
    one.power_cycle()
    assert one.read(0, 2) == b'\3\x09'
    one.clear(fault.OLD_FIRMWARE)
    one.power_cycle()
    assert one.read(0, 2) == b'\3\x0a'


@pytest.mark.parametrize(('angle', 'far'), [(2100.0, 2100 - 557), (1900.0, 1900 + 557)])
def test_a_deaf_servo_reads_back_another_goal_and_goes_there(angle: float, far: int) -> None:
    one = servo(angle)
    one.inject(fault.DEAF_GOAL)
    put(one, reg.GOAL_POSITION, round(angle))
    assert get(one, reg.GOAL_POSITION) == far
    put(one, reg.TORQUE_ENABLE, 1)
    assert one.step(SECONDS).target == pytest.approx(far)
    put(one, reg.GOAL_POSITION, 2222)
    assert get(one, reg.GOAL_POSITION) == 2222


def test_a_stale_goal_reads_back_right_and_lunges_until_the_next_goal() -> None:
    one = servo()
    one.inject(fault.STALE_GOAL)
    put(one, reg.GOAL_POSITION, 2100)
    assert one.step(SECONDS).strength == 0.0
    put(one, reg.TORQUE_ENABLE, 1)
    assert get(one, reg.GOAL_POSITION) == 2100
    assert one.step(SECONDS) == pytest.approx((2100 - 557, 1.0))
    put(one, reg.GOAL_POSITION, 2100)
    assert one.step(SECONDS).target == pytest.approx(2100.0)


def test_a_goal_written_to_a_limp_servo_may_switch_its_torque_on() -> None:
    one = servo()
    one.inject(fault.GOAL_TORQUE)
    put(one, reg.GOAL_POSITION, 2500)
    assert get(one, reg.TORQUE_ENABLE) == 1
    assert one.step(SECONDS) == pytest.approx((2500.0, 1.0))
    one.write(40, b'\0\0' + (2300).to_bytes(2, 'little'))
    assert get(one, reg.TORQUE_ENABLE) == 0, 'this write says itself that torque is off'


@given(
    st.lists(st.tuples(st.integers(0, 127), st.binary(min_size=1, max_size=30)), max_size=8),
    st.lists(st.sampled_from(list(fault.FAULTS.values())), max_size=4),
)
def test_no_write_and_no_fault_makes_it_fail(
    writes: list[tuple[int, bytes]], faults: list[fault.Fault]
) -> None:
    one = servo()
    for kind in faults:
        one.inject(kind, kind.argument.default if kind.argument else 0.0)
    for address, data in writes:
        one.write(address, data)
        drive = one.step(SECONDS)
        assert 0.0 <= drive.strength <= 1.0
        assert abs(drive.target) < 100_000
        assert len(one.read(0, 128)) == 128
    one.power_cycle()
