"""Where the middleware finds the DDS profile. What it holds and why is in the profile itself."""

from importlib.metadata import version
from pathlib import Path

from ament_index_python.packages import get_package_share_directory


def profile() -> dict[str, str]:
    """Return the environment variable that names the profile, and the file.

    ROS 2 Jazzy (rclpy 7) has Fast DDS 2, Kilted (rclpy 9) has Fast DDS 3. Each refuses the file of
    the other, and Kilted takes the file in Jazzy's variable, when there is one, for its own.
    """
    config = Path(get_package_share_directory('so101_node')) / 'config'
    if int(version('rclpy').split('.')[0]) < 8:
        return {'FASTRTPS_DEFAULT_PROFILES_FILE': str(config / 'fastdds_2.xml')}
    return {'FASTDDS_DEFAULT_PROFILES_FILE': str(config / 'fastdds_3.xml')}
