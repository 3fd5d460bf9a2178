"""Policies of random weights that a training may start from, by their size."""

from pathlib import Path

from so101_bringup.wiring import NodeSpec, executable
from so101_node.error import UserError
from so101_node.typed_path import typed

# Those of so101_policy's untrained_smolvla, whose import takes seconds.
SIZES = ('tiny', 'small')


def check(policy: str) -> None:
    """Raise UserError for what no training can start from, before hours of demonstrations."""
    if policy in SIZES or Path(policy).expanduser().is_dir():
        return
    # LeRobot's types are only known once it is imported, which takes seconds.
    from so101_training.training import starting_policy

    try:
        starting_policy.words(policy)
    except UserError as error:
        raise UserError(f'{error}; sizes of a new SmolVLA: {", ".join(SIZES)}') from error


def making(size: str, folder: Path) -> list[str]:
    """Return what is typed to make the policy of one of SIZES.

    Raises UserError when its program is not installed.
    """
    program = executable(NodeSpec('so101_policy', 'make_smolvla', 'make'))
    return [str(typed(program)), '--size', size, '--out', str(folder)]
