"""Everything but the nodes, and the command that reads bags of them, needs no ROS."""

import subprocess
import sys
from pathlib import Path

import so101_view

WITH_ROS = {'video'}


def test_pure_modules_need_no_rclpy() -> None:
    folder = Path(next(iter(so101_view.__path__)))
    stems = {path.stem for path in folder.glob('*.py')} - WITH_ROS
    modules = sorted(stem for stem in stems if not stem.endswith('_node'))
    assert 'page_server' in modules
    imports = ''.join(f'import so101_view.{module}\n' for module in modules)
    code = f"import sys\nsys.modules['rclpy'] = None\n{imports}"
    subprocess.run([sys.executable, '-c', code], check=True)
