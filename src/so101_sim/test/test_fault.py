"""The orders as people type them, and the README's table of them."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_sim import fault
from so101_sim.fault import ALL, FAULTS, Order, Place, parse, parse_all

README = (Path(__file__).parents[1] / 'README.md').read_text().splitlines()


@pytest.mark.parametrize(
    ('text', 'order'),
    [
        ('overload elbow_flex', Order(fault.OVERLOAD, (2,))),
        ('overload elbow_flex off', Order(fault.OVERLOAD, (2,), on=False)),
        ('late 10', Order(fault.LATE, (), 10)),
        ('late', Order(fault.LATE, (), math.inf)),
        ('late off', Order(fault.LATE, (), math.inf, on=False)),
        ('  hot   gripper 80.5 ', Order(fault.HOT, (5,), 80.5)),
        ('hot all', Order(fault.HOT, (0, 1, 2, 3, 4, 5), 75.0)),
        ('encoder wrist_roll -500', Order(fault.ENCODER, (4,), -500)),
        ('voltage', Order(fault.VOLTAGE, (), 16.0)),
        ('unplug off', Order(fault.UNPLUG, on=False)),
        ('replug', Order(fault.REPLUG)),
        ('clear', Order(fault.CLEAR)),
    ],
)
def test_an_order_is_read(text: str, order: Order) -> None:
    read = parse(text)
    assert (read.fault, read.joints, read.on) == (order.fault, order.joints, order.on)
    assert read.value == order.value or not order.on


@pytest.mark.parametrize(
    ('text', 'problem'),
    [
        ('', "fault '' is not known; known: late, lost, truncated,"),
        ('explode elbow_flex', "fault 'explode elbow_flex' is not known; known: late,"),
        ('overload', "fault overload: '' is not a joint; give shoulder_pan,"),
        ('overload elbow', "fault overload: 'elbow' is not a joint; give shoulder_pan,"),
        ('overload off', "fault overload: 'off' is not a joint"),
        ('overload elbow_flex 7', "fault 'overload elbow_flex 7': give overload JOINT or off"),
        ('late ten', "fault late: 'ten' is not requests: give a whole number 1 to 100000, or off"),
        ('late 0', "fault late: '0' is not requests"),
        ('late 1.5', "fault late: '1.5' is not requests"),
        ('late 1 2', "fault 'late 1 2': give late [REQUESTS] or off"),
        ('hot gripper nan', "fault hot: 'nan' is not celsius: give a number 0 to 125"),
        ('hot gripper inf', "fault hot: 'inf' is not celsius"),
        ('voltage elbow_flex', "fault voltage: 'elbow_flex' is not volts"),
        ('clear off', "fault 'clear off': give clear"),
        ('brownout gripper off', "fault 'brownout gripper off': give brownout JOINT"),
    ],
)
def test_a_wrong_order_is_refused_with_what_to_give(text: str, problem: str) -> None:
    with pytest.raises(UserError) as error:
        parse(text)
    assert str(error.value).startswith(problem)


def test_every_known_fault_is_listed_to_who_asks_for_another() -> None:
    with pytest.raises(UserError) as error:
        parse('help')
    assert all(name in str(error.value) for name in FAULTS)


def test_several_orders_are_separated_by_commas() -> None:
    assert parse_all('') == []
    orders = parse_all('late 10, overload elbow_flex,')
    assert [str(order) for order in orders] == ['late 10', 'overload elbow_flex']


orders = st.sampled_from(list(FAULTS.values())).flatmap(
    lambda kind: st.tuples(
        st.just(kind.name),
        st.sampled_from([*JOINTS, ALL]) if kind.place is Place.SERVO else st.just(''),
        st.sampled_from(
            ['']
            + ['off'] * kind.lasts
            + ([f'{kind.argument.low:g}', f'{kind.argument.high:g}'] if kind.argument else [])
        ),
    )
)


@given(orders)
def test_an_orders_text_is_read_as_itself(words: tuple[str, str, str]) -> None:
    order = parse(' '.join(words))
    assert str(parse(str(order))) == str(order)
    assert parse(str(order)) == order or not order.on


@given(st.text(max_size=40))
def test_any_text_is_an_order_or_refused(text: str) -> None:
    try:
        parse(text)
    except UserError:
        pass


def test_the_readmes_table_is_this_one() -> None:
    start = README.index('| fault | what happens |') + 2
    end = README.index('', start)
    assert README[start:end] == [f'| {one.form} | {one.effect} |' for one in FAULTS.values()]
