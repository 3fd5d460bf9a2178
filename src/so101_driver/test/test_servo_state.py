"""The blocks of six servos become numbers with a sign and a unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_driver.registers import (
    FULL_ADDRESS,
    FULL_SIZE,
    GOAL_POSITION,
    PRESENT_CURRENT,
    PRESENT_LOAD,
    PRESENT_POSITION,
    PRESENT_SPEED,
    PRESENT_TEMPERATURE,
    PRESENT_VOLTAGE,
    STATE_ADDRESS,
    STATE_SIZE,
    STATUS,
    TORQUE_ENABLE,
    TORQUE_LIMIT,
    Register,
)
from so101_driver.servo_state import Command, ServoStates

full_blocks = st.lists(st.binary(min_size=FULL_SIZE, max_size=FULL_SIZE), min_size=1, max_size=6)


def table(**values: int) -> bytes:
    registers = {
        'position': PRESENT_POSITION,
        'speed': PRESENT_SPEED,
        'load': PRESENT_LOAD,
        'voltage': PRESENT_VOLTAGE,
        'temperature': PRESENT_TEMPERATURE,
        'status': STATUS,
        'current': PRESENT_CURRENT,
        'torque': TORQUE_ENABLE,
        'goal': GOAL_POSITION,
        'limit': TORQUE_LIMIT,
    }
    table = bytearray(FULL_ADDRESS + FULL_SIZE)
    for name, value in values.items():
        register = registers[name]
        table[register.address : register.address + register.size] = register.encode(value)
    return bytes(table)


def test_values_have_their_signs_and_units() -> None:
    first = table(position=-5, speed=-700, load=-250, voltage=121, temperature=40, current=-100)
    second = table(position=4095, speed=3, load=1000, voltage=74, status=36, current=200)
    states = ServoStates([first[STATE_ADDRESS:], second[STATE_ADDRESS:]])
    assert states.position == [-5, 4095]
    assert states.speed == [-700, 3]
    assert states.load == pytest.approx([-25.0, 100.0])
    assert states.voltage == pytest.approx([12.1, 7.4])
    assert states.temperature == [40, 0]
    assert states.status == [0, 36]
    assert states.current == pytest.approx([-0.65, 1.3])
    assert states.commands is None


def test_long_blocks_hold_the_commands_too() -> None:
    block = table(torque=1, goal=-7, limit=500, position=99)[FULL_ADDRESS:]
    states = ServoStates([block])
    assert states.commands == [Command(torque=1, goal=-7, torque_limit=500)]
    assert states.position == [99]


@given(full_blocks)
def test_any_bytes_are_what_the_register_table_says(blocks: list[bytes]) -> None:
    def decode(register: Register) -> list[int]:
        return [register.decode(block[register.address - FULL_ADDRESS :]) for block in blocks]

    states = ServoStates(blocks)
    assert states.position == decode(PRESENT_POSITION)
    assert states.speed == decode(PRESENT_SPEED)
    assert states.load == pytest.approx([0.1 * value for value in decode(PRESENT_LOAD)])
    assert states.voltage == pytest.approx([0.1 * value for value in decode(PRESENT_VOLTAGE)])
    assert states.temperature == decode(PRESENT_TEMPERATURE)
    assert states.status == decode(STATUS)
    assert states.current == pytest.approx([0.0065 * v for v in decode(PRESENT_CURRENT)])
    commands = zip(decode(TORQUE_ENABLE), decode(GOAL_POSITION), decode(TORQUE_LIMIT), strict=True)
    assert states.commands == [Command(*command) for command in commands]
    short = ServoStates([block[-STATE_SIZE:] for block in blocks])
    assert (short.position, short.status) == (states.position, states.status)


@pytest.mark.parametrize('sizes', [(14,), (15, 31), (16, 16)])
def test_blocks_of_another_size_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='state blocks of'):
        ServoStates([bytes(size) for size in sizes])
