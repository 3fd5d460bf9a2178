"""How the simulated arm's servos are mounted: the file that says so."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory


def calibration_path() -> Path:
    """Return the calibration that fits the simulated arm, a file as LeRobot writes them."""
    return Path(get_package_share_directory('so101_sim')) / 'config' / 'calibration.json'
