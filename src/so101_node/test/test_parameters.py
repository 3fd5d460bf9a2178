"""Bad parameters stop a node at start with the name, the value and the allowed range."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from so101_node.error import UserError
from so101_node.parameters import declare, parameter


@dataclass(frozen=True)
class Parameters:
    rate: float = parameter(200.0, 'cycles per second', low=50, high=1000)
    count: int = parameter(1, 'how many', low=1)
    mode: str = parameter('soft', 'how', choices=('soft', 'hard'))
    home: list[float] = parameter([0.0, 1.0], 'radians')


@pytest.fixture(scope='module', autouse=True)
def ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.shutdown()


def declared(**overrides: object) -> Parameters:
    node = Node(
        'parameters_test',
        parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
    )
    try:
        return declare(node, Parameters)
    finally:
        node.destroy_node()


def test_defaults() -> None:
    assert declared() == Parameters(200.0, 1, 'soft', [0.0, 1.0])


def test_overrides_and_a_whole_number_for_a_real_one() -> None:
    assert declared(rate=100, mode='hard', home=[3.0]) == Parameters(100.0, 1, 'hard', [3.0])


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'rate': 10.0}, 'rate: 10.0 is too small; give at least 50'),
        ({'rate': 'fast'}, "rate: expected float, got 'fast'"),
        ({'rate': float('nan')}, 'rate: nan is not a finite number'),
        ({'count': 0}, 'count: 0 is too small; give at least 1'),
        ({'rate': 2000.0}, 'rate: 2000.0 is too large; give at most 1000'),
        ({'count': True}, 'count: expected int, got True'),
        ({'mode': 'odd'}, "mode: 'odd' is none of soft, hard"),
        ({'raet': 100.0}, 'unknown parameter raet; known: count, home, mode, rate'),
    ],
)
def test_a_bad_parameter_is_refused(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        declared(**overrides)
