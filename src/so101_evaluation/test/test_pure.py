"""The pure modules, and rollouts in lockstep, import in an interpreter that has no rclpy."""

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
    'latency',
    'lockstep',
    'lockstep_summary',
    'lockstep_trials',
    'page',
    'report',
    'report_page',
    'simulated_rollout',
    'smoothness',
    'statistics',
)


def test_the_pure_modules_need_no_rclpy() -> None:
    imports = ', '.join(f'so101_evaluation.{module}' for module in PURE)
    code = f"import sys; sys.modules['rclpy'] = None; import {imports}"
    subprocess.run([sys.executable, '-c', code], check=True)
