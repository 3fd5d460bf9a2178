"""A node's parameters as one frozen dataclass: typed, described, bounded, validated at start.

@dataclass(frozen=True)
class Parameters:
    rate: float = parameter(200.0, 'Control cycles per second', low=50, high=1000)
"""

import dataclasses

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from so101_node.error import UserError
from so101_node.field import checked
from so101_node.field import parameter as parameter

# Parameters that rclpy declares by itself.
_OF_RCLPY = {'use_sim_time', 'start_type_description_service'}


def declare[T](node: Node, kind: type[T]) -> T:
    """Declare the fields of `kind` on `node` as read-only parameters and return their values.

    Raises UserError for a wrong type, a value out of range, or a name that `kind` does not have.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = set(node._parameter_overrides) - set(fields) - _OF_RCLPY
    unknown = {name for name in unknown if not name.startswith('qos_overrides.')}
    if unknown:
        raise UserError(
            f'unknown parameter {", ".join(sorted(unknown))}; known: {", ".join(sorted(fields))}'
        )
    values = {}
    for field in fields.values():
        default = (
            field.default_factory()
            if field.default_factory is not dataclasses.MISSING
            else field.default
        )
        descriptor = ParameterDescriptor(
            description=field.metadata['description'], read_only=True, dynamic_typing=True
        )
        given = node.declare_parameter(field.name, default, descriptor).value
        values[field.name] = checked(field, given)
    return kind(**values)
