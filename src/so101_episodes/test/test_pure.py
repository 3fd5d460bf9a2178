"""The pure modules import in an interpreter that has no rclpy."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    'module', ['bag', 'episode', 'recording', 'move', 'rollouts', 'prediction_error']
)
def test_a_pure_module_needs_no_rclpy(module: str) -> None:
    code = f"import sys; sys.modules['rclpy'] = None; import so101_episodes.{module}"
    subprocess.run([sys.executable, '-c', code], check=True)
