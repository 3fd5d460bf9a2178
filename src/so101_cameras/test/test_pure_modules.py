"""The sources and the images work where there is no ROS."""

import subprocess
import sys
from pathlib import Path

import so101_cameras

ROS = {'publisher', 'camera_node', 'controls_node', 'image_health_node', 'stream_status'}


def test_pure_modules_need_no_rclpy() -> None:
    folder = Path(next(iter(so101_cameras.__path__)))
    modules = sorted(
        '.'.join(path.relative_to(folder).with_suffix('').parts) for path in folder.rglob('*.py')
    )
    pure = [name for name in modules if name not in ROS and not name.endswith('__init__')]
    assert 'sources.v4l2' in pure
    imports = ''.join(f'import so101_cameras.{name}\n' for name in pure)
    code = f"import sys\nsys.modules['rclpy'] = None\n{imports}"
    subprocess.run([sys.executable, '-c', code], check=True)
