"""LeRobot's image transforms, drawn as LeRobot draws them, with quicker arithmetic.

Which transforms an image gets and with which numbers is decided by LeRobot's and torchvision's own
objects. Brightness, contrast, saturation, hue, sharpness and affine are then computed by OpenCV on
8 bits; any other transform computes itself.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from lerobot.transforms import ImageTransforms, ImageTransformsConfig, SharpnessJitter
from lerobot.transforms import transforms as lerobot_transforms
from numpy.typing import NDArray
from torchvision.transforms import v2

from so101_training.training.videos import Array, DataError

# Added before a rounding, it makes it a cutting off: torchvision's way from float to 8 bits.
CUT = -0.4999


@contextlib.contextmanager
def own_random_numbers() -> Iterator[None]:
    """Give torch's random numbers to the augmentation, and afterwards back as they were."""
    before = torch.default_generator.get_state()
    try:
        yield
    finally:
        torch.default_generator.set_state(before)


class Augmentation:
    """The transforms of a configuration, for one image after another."""

    def __init__(self, config: ImageTransformsConfig, seed: int) -> None:
        chosen = ImageTransforms(config).tf
        self._seed = seed
        self._subset = chosen if isinstance(chosen, lerobot_transforms.RandomSubsetApply) else None
        self._names = [name for name, entry in config.tfs.items() if entry.weight > 0.0]

    @property
    def slow(self) -> list[str]:
        """The names, in the configuration, of transforms that compute themselves."""
        if self._subset is None:
            return []
        pairs = zip(self._names, self._subset.transforms, strict=True)
        return [name for name, transform in pairs if _kernel(transform) is None]

    def __call__(self, frames: Sequence[Array], draw: Sequence[int]) -> Sequence[Array]:
        """Return rgb8 `frames` (height, width, 3) with transforms that are the same for them all.

        They are a function of the seed and of `draw`, not negative, alone. Call it within
        own_random_numbers. Raises DataError when a transform changes the images' number or type.
        """
        if self._subset is None:
            return frames
        entropy = np.random.SeedSequence([self._seed, *draw]).generate_state(1, np.uint64)
        torch.default_generator.manual_seed(int(entropy[0]))
        subset = self._subset
        selected = torch.multinomial(torch.tensor(subset.p), subset.n_subset)
        for index in selected if subset.random_order else selected.sort().values:
            transform = subset.transforms[int(index)]
            kernel = _kernel(transform)
            if kernel is None:
                frames = _by_itself(transform, frames)
            else:
                drawn = transform.make_params([_tensor(frames[0])])
                frames = [kernel(frame, transform, drawn) for frame in frames]
        return frames


Kernel = Callable[[Array, Any, dict[str, Any]], Array]


def _kernel(transform: Any) -> Kernel | None:
    """Return the quick arithmetic of a transform, None when there is none."""
    if type(transform) is v2.ColorJitter:
        return _color_jitter
    if type(transform) is SharpnessJitter:
        return lambda frame, _, drawn: sharpness(frame, drawn['sharpness_factor'])
    if type(transform) is v2.RandomAffine and _plain_affine(transform):
        return lambda frame, transform, drawn: affine(
            frame,
            **drawn,
            bilinear=transform.interpolation == v2.InterpolationMode.BILINEAR,
            fill=transform.fill or 0,
            center=transform.center,
        )
    return None


def _plain_affine(transform: v2.RandomAffine) -> bool:
    fill = transform.fill
    return transform.interpolation in (
        v2.InterpolationMode.NEAREST,
        v2.InterpolationMode.BILINEAR,
    ) and (fill is None or isinstance(fill, int | float))


def _by_itself(transform: Any, frames: Sequence[Array]) -> Sequence[Array]:
    """Return what the transform makes of frames.

    LeRobot's own ones but sharpness do nothing to 8 bits, so these see 0 to 1.
    """
    images = torch.stack([_tensor(frame) for frame in frames])
    if type(transform).__module__ == lerobot_transforms.__name__:
        images = transform(images.float() / 255.0).mul(255.0).round().clamp(0, 255).byte()
    else:
        images = transform(images)
    if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(frames):
        raise DataError(
            f'the image transform {transform} does not return 8-bit images; '
            'take it out of dataset.image_transforms'
        )
    return [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in images]


def _tensor(frame: Array) -> torch.Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1)


def _color_jitter(frame: Array, _: Any, drawn: dict[str, Any]) -> Array:
    steps = (
        (brightness, drawn['brightness_factor']),
        (contrast, drawn['contrast_factor']),
        (saturation, drawn['saturation_factor']),
        (hue, drawn['hue_factor']),
    )
    for index in drawn['fn_idx']:
        step, factor = steps[int(index)]
        if factor is not None:
            frame = step(frame, factor)
    return frame


def brightness(frame: Array, factor: float) -> Array:
    """Return a frame with its values times `factor`, not negative: torchvision's, exactly."""
    return _by_table(frame, np.arange(256) * factor)


def contrast(frame: Array, factor: float) -> Array:
    """Return a frame with its differences from its mean grey times `factor`, not negative."""
    # OpenCV rounds the grey, torchvision cuts it off: half a level of the mean.
    mean = cv2.mean(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))[0] - 0.5
    return _by_table(frame, np.arange(256) * factor + mean * (1.0 - factor))


def saturation(frame: Array, factor: float) -> Array:
    """Return a frame with its differences from grey times `factor`, not negative."""
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return cv2.addWeighted(frame, factor, cv2.merge([gray, gray, gray]), 1.0 - factor, CUT)


def hue(frame: Array, factor: float) -> Array:
    """Return a frame with its hue turned by `factor` turns, -0.5 to 0.5.

    Hue has 256 steps here: a turn is wrong by at most 0.7 degrees.
    """
    hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV_FULL)
    hues = cv2.extractChannel(hsv, 0)
    # 8-bit numbers wrap around as angles do.
    turned = hues + np.uint8(round(factor * 256) % 256)
    cv2.insertChannel(turned, hsv, 0)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)


def sharpness(frame: Array, factor: float) -> Array:
    """Return a frame with its differences from a smoothed one times `factor`, not negative.

    The smoothing has weight 5 in the middle of 3x3 and 1 around; the outermost pixels stay.
    """
    if min(frame.shape[:2]) <= 2:
        return frame
    # Of 13 parts of the smoothed frame, 9 are the mean of 3x3 and 4 the pixel itself.
    smooth = 1.0 - factor
    sharp = cv2.addWeighted(
        frame, factor + smooth * 4 / 13, cv2.blur(frame, (3, 3)), smooth * 9 / 13, CUT
    )
    for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        sharp[edge] = frame[edge]
    return sharp


def affine(
    frame: Array,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
    *,
    bilinear: bool = False,
    fill: float = 0,
    center: Sequence[float] | None = None,
) -> Array:
    """Return a frame turned by `angle` degrees, sheared by `shear` degrees, scaled and moved.

    `translate` is in pixels; `center`, pixels from the upper left corner, stays where it is but
    for it: the middle when None. What comes from outside is `fill`.
    """
    height, width = frame.shape[:2]
    middle = np.array([width, height]) * 0.5
    # Counted as torchvision does, from corners; pixels have their centres half a pixel further.
    fixed = (middle if center is None else np.array(center)) - 0.5
    turn, shear_x, shear_y = (math.radians(value) for value in (angle, *shear))
    across, down = math.cos(turn - shear_y), math.sin(turn - shear_y)
    forward = scale * np.array(
        [
            [
                across / math.cos(shear_y),
                -across * math.tan(shear_x) / math.cos(shear_y) - math.sin(turn),
            ],
            [
                down / math.cos(shear_y),
                -down * math.tan(shear_x) / math.cos(shear_y) + math.cos(turn),
            ],
        ]
    )
    backward = np.linalg.inv(forward)
    offset: NDArray[np.float64] = fixed - backward @ (fixed + np.array(translate))
    return cv2.warpAffine(
        frame,
        np.column_stack([backward, offset]),
        (width, height),
        flags=(cv2.INTER_LINEAR if bilinear else cv2.INTER_NEAREST) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill, fill, fill),
    )


def _by_table(frame: Array, table: NDArray[Any]) -> Array:
    """Return a frame with each value looked up in `table` (256,), cut off to 8 bits."""
    return cv2.LUT(frame, np.clip(table, 0, 255).astype(np.uint8))
