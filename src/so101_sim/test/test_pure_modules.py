"""Everything but the nodes works where there is no ROS."""

import subprocess
import sys
from pathlib import Path

import so101_sim


def test_pure_modules_need_no_rclpy() -> None:
    folder = Path(next(iter(so101_sim.__path__)))
    stems = [path.stem for path in folder.glob('*.py')]
    modules = sorted(stem for stem in stems if not stem.endswith('_node'))
    assert 'simulation' in modules
    imports = ''.join(f'import so101_sim.{module}\n' for module in modules)
    code = f"import sys\nsys.modules['rclpy'] = None\n{imports}"
    subprocess.run([sys.executable, '-c', code], check=True)
