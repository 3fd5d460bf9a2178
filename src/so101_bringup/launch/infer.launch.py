"""Roll out a policy. Arguments and nodes: so101_bringup/wiring.py."""

from launch import LaunchDescription
from so101_bringup.launch_description import launch_description
from so101_bringup.wiring import INFER


def generate_launch_description() -> LaunchDescription:
    return launch_description(INFER)
