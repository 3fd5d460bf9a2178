"""Where the middleware finds the DDS profile. What it holds and why is in the profile itself."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory


def profiles() -> dict[str, str]:
    """Return the environment variables that name the profile: one for each Fast DDS.

    Fast DDS 2 (ROS 2 Jazzy) reads the first, Fast DDS 3 (Kilted) the second, and each one refuses
    the file of the other.
    """
    config = Path(get_package_share_directory('so101_node')) / 'config'
    return {
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(config / 'fastdds_2.xml'),
        'FASTDDS_DEFAULT_PROFILES_FILE': str(config / 'fastdds_3.xml'),
    }
