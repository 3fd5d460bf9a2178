"""Everything but the nodes and the diagnostics works where there is no ROS."""

import subprocess
import sys
from pathlib import Path

import so101_driver

ROS = {'driver_node', 'teleop_node', 'health'}


def test_pure_modules_need_no_rclpy() -> None:
    folder = Path(next(iter(so101_driver.__path__)))
    modules = sorted(path.stem for path in folder.glob('*.py') if path.stem not in ROS)
    assert 'control_loop' in modules
    imports = ''.join(f'import so101_driver.{module}\n' for module in modules)
    code = f"import sys\nsys.modules['rclpy'] = None\n{imports}"
    subprocess.run([sys.executable, '-c', code], check=True)
