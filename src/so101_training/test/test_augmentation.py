from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lerobot.transforms import ImageTransformConfig, ImageTransforms, ImageTransformsConfig
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from so101_training.training import augmentation
from so101_training.training.augmentation import Augmentation, own_random_numbers
from so101_training.training.videos import Array, DataError

SEED = 7


def scene(height: int = 96, width: int = 128) -> Array:
    """Return a picture of many colours, with edges, about as smooth as a video's."""
    random = np.random.default_rng(3)
    coarse = random.integers(0, 256, (8, 8, 3), np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.rectangle(picture, (20, 20), (60, 70), (220, 30, 20), -1)
    noise = random.normal(0, 3, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def tensor(frame: Array) -> torch.Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1).contiguous()


def difference(ours: Array, theirs: torch.Tensor) -> Any:
    return ours.astype(float) - theirs.permute(1, 2, 0).numpy()


@pytest.mark.parametrize(
    ('name', 'factors', 'mean', 'largest'),
    [
        ('brightness', (0.0, 0.8, 1.2, 3.0), 0.0, 0),
        ('contrast', (0.0, 0.8, 1.2, 3.0), 0.05, 1),
        ('saturation', (0.0, 0.5, 1.5), 0.6, 2),
        ('hue', (-0.5, -0.05, 0.013, 0.05, 0.5), 1.0, 12),
        ('sharpness', (0.0, 0.5, 1.5), 0.5, 2),
    ],
)
def test_a_colour_transform_is_torchvisions(
    name: str, factors: tuple[float, ...], mean: float, largest: int
) -> None:
    frame = scene()
    for factor in factors:
        ours = getattr(augmentation, name)(frame, factor)
        error = difference(ours, getattr(reference, f'adjust_{name}')(tensor(frame), factor))
        assert np.abs(error).mean() <= mean, factor
        assert np.abs(error).max() <= largest, factor


@given(
    angle=st.floats(-180, 180),
    translate=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    # Not a half or two: then every pixel is in the middle between others, and rounding chooses.
    scale=st.floats(0.5, 2).map(lambda scale: scale * 1.0137),
    shear=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    center=st.none() | st.tuples(st.integers(0, 128), st.integers(0, 96)),
    bilinear=st.booleans(),
)
@example(0.0, (5, -3), 1.0, (0.0, 0.0), None, False)
@settings(max_examples=25)
def test_affine_is_torchvisions(
    angle: float,
    translate: tuple[int, int],
    scale: float,
    shear: tuple[float, float],
    center: tuple[int, int] | None,
    bilinear: bool,
) -> None:
    frame = scene()
    ours = augmentation.affine(
        frame, angle, translate, scale, shear, bilinear=bilinear, center=center
    )
    mode = v2.InterpolationMode.BILINEAR if bilinear else v2.InterpolationMode.NEAREST
    theirs = reference.affine(
        tensor(frame), angle, list(translate), scale, list(shear), mode, 0, center
    )
    # OpenCV rounds a position to a 32nd of a pixel, over which the scene changes by 0.4 on
    # average, and both round to whole levels. Where the nearest pixel is a matter of rounding, it
    # is the next one.
    assert np.abs(difference(ours, theirs)).mean() <= 1.0


@given(draw=st.tuples(st.integers(0, 99), st.integers(0, 99999), st.integers(0, 2**32 - 1)))
@settings(max_examples=15)
def test_images_get_the_transforms_that_lerobot_draws(draw: tuple[int, int, int]) -> None:
    for random_order in (False, True):
        config = ImageTransformsConfig(enable=True, random_order=random_order)
        with own_random_numbers():
            (ours,) = Augmentation(config, SEED)([scene()], draw)
            seed = np.random.SeedSequence([SEED, *draw]).generate_state(1, np.uint64)[0]
            torch.manual_seed(int(seed))
            theirs = ImageTransforms(config)(tensor(scene()))
        assert np.abs(difference(ours, theirs)).mean() <= 1.5


def test_all_of_a_configuration_is_drawn() -> None:
    augment = Augmentation(ImageTransformsConfig(enable=True), SEED)
    assert augment.slow == []
    with own_random_numbers():
        drawn = [augment([scene()], (0, place, 1))[0] for place in range(50)]
    assert len({frame.tobytes() for frame in drawn}) == 50


def test_transforms_depend_on_the_draw_alone_and_leave_random_numbers_alone() -> None:
    augment = Augmentation(ImageTransformsConfig(enable=True), SEED)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with own_random_numbers():
        first = augment([scene()], (1, 2, 3))[0]
        others = [augment([scene()], draw)[0] for draw in ((0, 2, 3), (1, 1, 3), (1, 2, 4))]
        again = augment([scene()], (1, 2, 3))[0]
    np.testing.assert_array_equal(first, again)
    assert all((first != other).any() for other in others)
    assert torch.equal(torch.get_rng_state(), before)
    with own_random_numbers():
        other_seed = Augmentation(ImageTransformsConfig(enable=True), 8)([scene()], (1, 2, 3))[0]
    assert (first != other_seed).any()


def test_frames_of_one_sample_get_the_same() -> None:
    augment = Augmentation(ImageTransformsConfig(enable=True), SEED)
    with own_random_numbers():
        for place in range(10):
            one, two = augment([scene(), scene()], (0, place, 1))
            np.testing.assert_array_equal(one, two)


def only(kind: str, **values: Any) -> ImageTransformsConfig:
    return ImageTransformsConfig(enable=True, tfs={'it': ImageTransformConfig(1.0, kind, values)})


@pytest.mark.parametrize(
    'config',
    [
        only('GaussianNoise', std=(20.0, 20.0)),
        only('JPEGCompression', quality=(15, 20)),
        only('GaussianBlur', kernel_size=5),
        only('RandomPosterize', bits=2, p=1.0),
        only('RandomAffine', degrees=10.0, fill=[1, 2, 3]),
    ],
    ids=lambda config: config.tfs['it'].type,
)
def test_any_other_transform_computes_itself(config: ImageTransformsConfig) -> None:
    augment = Augmentation(config, SEED)
    assert augment.slow == ['it']
    with own_random_numbers():
        (changed,) = augment([scene()], (0, 1, 2))
    assert changed.shape == scene().shape
    assert changed.dtype == np.uint8
    assert np.abs(changed.astype(float) - scene()).mean() > 1


def test_a_transform_that_makes_no_8_bit_images_is_refused() -> None:
    augment = Augmentation(only('ToDtype', dtype=torch.float32), SEED)
    with own_random_numbers(), pytest.raises(DataError, match=r'ToDtype.*does not return 8-bit'):
        augment([scene()], (0, 1, 2))


def test_transforms_switched_off_change_nothing() -> None:
    augment = Augmentation(ImageTransformsConfig(enable=False), SEED)
    assert augment.slow == []
    np.testing.assert_array_equal(augment([scene()], (0, 1, 2))[0], scene())
