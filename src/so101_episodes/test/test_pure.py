"""The pure modules import in an interpreter that has no rclpy."""

import subprocess
import sys

import pytest

PURE = ('bag', 'episode', 'recording', 'move', 'series')
PURE += ('bag_scan', 'claim', 'joint_reader', 'motion_figures', 'notes', 'stream_watch')
PURE += ('powered_arm', 'stream', 'replay')
PURE += ('session', 'trials', 'places', 'keyboard', 'demonstrations', 'voice')


@pytest.mark.parametrize('module', PURE)
def test_a_pure_module_needs_no_rclpy(module: str) -> None:
    code = f"import sys; sys.modules['rclpy'] = None; import so101_episodes.{module}"
    subprocess.run([sys.executable, '-c', code], check=True)
