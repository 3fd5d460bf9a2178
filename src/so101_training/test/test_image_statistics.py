"""Image statistics are LeRobot's own: to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.datasets.compute_stats import (
    auto_downsample_height_width,
    get_feature_stats,
    sample_indices,
)

from so101_training.conversion.image_statistics import ImageStatistics, sampled


@settings(max_examples=15)
@given(
    st.integers(1, 5),
    st.sampled_from([(480, 640), (240, 320), (64, 48), (640, 480)]),
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
def test_they_equal_lerobots(
    count: int, size: tuple[int, int], low: int, high: int, seed: int
) -> None:
    numbers = np.random.default_rng(seed)
    images = [
        numbers.integers(min(low, high), max(low, high) + 1, (*size, 3)).astype(np.uint8)
        for _ in range(count)
    ]
    small = np.stack([auto_downsample_height_width(image.transpose(2, 0, 1)) for image in images])
    wanted = get_feature_stats(small, axis=(0, 2, 3), keepdims=True)
    statistics = ImageStatistics()
    for image in images:
        statistics.add(image)
    found = statistics.result()
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        scaled = value if name == 'count' else np.squeeze(value / 255.0, axis=0)
        assert found[name].shape == scaled.shape
        np.testing.assert_array_equal(found[name], scaled, err_msg=name)


@pytest.mark.parametrize('length', [1, 2, 50, 100, 101, 300, 1000, 20_000])
def test_the_same_frames_are_looked_at(length: int) -> None:
    assert sampled(length).tolist() == sample_indices(length)
