"""The pure modules import in an interpreter that has no rclpy."""

import subprocess
import sys

PURE = (
    'charts',
    'comparison',
    'contrast',
    'entry',
    'figure_name',
    'group',
    'labels',
    'page',
    'report',
    'report_page',
    'statistics',
)


def test_the_pure_modules_need_no_rclpy() -> None:
    imports = ', '.join(f'so101_evaluation.{module}' for module in PURE)
    code = f"import sys; sys.modules['rclpy'] = None; import {imports}"
    subprocess.run([sys.executable, '-c', code], check=True)
