"""Both cameras alone. Arguments and nodes: so101_bringup/graphs.py."""

from launch import LaunchDescription
from so101_bringup.graphs import CAMERAS
from so101_bringup.launch_description import launch_description


def generate_launch_description() -> LaunchDescription:
    return launch_description(CAMERAS)
