"""A field of a frozen dataclass that a user sets: described, typed, bounded; pure."""

import dataclasses
import math
from typing import Any

from so101_node.error import UserError


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Describe one parameter; its type is the annotation. `low` and `high` are inclusive.

    Each entry of a list has to be one of `choices`.
    """
    metadata = {'description': description, 'low': low, 'high': high, 'choices': choices}
    if isinstance(default, list):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def checked(field: dataclasses.Field, value: Any, name: str = '') -> Any:
    """Return `value` as the field's type, or raise UserError with its name, value and range.

    `name` is what the user calls it; empty: parameter <field>.
    """
    name = name or f'parameter {field.name}'
    if field.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(field.type, type):  # list[str], list[float]: rclpy gives list or array
        value = list(value) if value is not None else value
    expected = field.type if isinstance(field.type, type) else list
    if type(value) is not expected:
        raise UserError(f'{name}: expected {expected.__name__}, got {value!r}')
    low, high, choices = (field.metadata[key] for key in ('low', 'high', 'choices'))
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f'{name}: {value} is not a finite number')
    if low is not None and value < low:
        raise UserError(f'{name}: {value} is too small; give at least {low}')
    if high is not None and value > high:
        raise UserError(f'{name}: {value} is too large; give at most {high}')
    for one in value if isinstance(value, list) else [value]:
        if choices and one not in choices:
            raise UserError(f'{name}: {one!r} is none of {", ".join(choices)}')
    return value
