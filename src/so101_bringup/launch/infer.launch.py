"""Roll out a policy. Arguments and nodes: so101_bringup/graphs.py."""

from launch import LaunchDescription
from so101_bringup.graphs import INFER
from so101_bringup.launch_description import launch_description


def generate_launch_description() -> LaunchDescription:
    return launch_description(INFER)
