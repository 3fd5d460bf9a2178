"""A figure's name ends in its unit."""

import pytest

from so101_evaluation.figure_name import split


@pytest.mark.parametrize(
    ('name', 'words', 'unit'),
    [
        ('tracking_rms_degrees', 'tracking rms', 'degrees'),
        ('inference_p95_ms', 'inference p95', 'ms'),
        ('starved_seconds', 'starved', 's'),
        ('joint_states_rate_hz', 'joint states rate', 'Hz'),
        ('jerk_rms_degrees_per_s3', 'jerk rms', 'degrees/s³'),
        ('late_chunks', 'late chunks', ''),
        ('ms', 'ms', ''),
    ],
)
def test_a_name_is_words_and_a_unit(name: str, words: str, unit: str) -> None:
    assert split(name) == (words, unit)
