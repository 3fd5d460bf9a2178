"""Whether a camera's picture shows anything; pure."""

import cv2
import numpy as np

# Brightness, of 0 to 255. A camera that delivers black sends 0, or 16 where the black of video
# range was taken for full range.
DARK = 16.0

# Standard deviation of the brightness. Averaged over blocks of 8x8 pixels, the noise of a covered
# lens is below one; a room by night has its lamps and windows, and an arm in the dark its outline.
FLAT = 2.0


def is_black(jpeg: bytes) -> bool:
    """Return whether the picture is dark all over; so is what is no JPEG image.

    Decoded at an eighth of its size, in grey: 0.9 ms for 640x480.
    """
    data = np.frombuffer(jpeg, np.uint8)
    grey = cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8) if jpeg else None
    return grey is None or bool(grey.mean() <= DARK and grey.std() <= FLAT)
