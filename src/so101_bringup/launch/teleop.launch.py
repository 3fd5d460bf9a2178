"""Move the arm by a leader arm. Arguments and nodes: so101_bringup/wiring.py."""

from launch import LaunchDescription
from so101_bringup.launch_description import launch_description
from so101_bringup.wiring import TELEOP


def generate_launch_description() -> LaunchDescription:
    return launch_description(TELEOP)
