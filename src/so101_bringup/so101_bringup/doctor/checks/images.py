"""What the cameras deliver, looked at for two seconds each: rate, delay, size, picture."""

import sys
from collections.abc import Iterator

import numpy as np

from so101_bringup.doctor import camera_reading
from so101_bringup.doctor.camera_reading import CameraReading, Image, from_json, rate
from so101_bringup.doctor.finding import Finding, error, skipped, sound, warning
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.subject import Subject
from so101_cameras.image_rate import SLOW as SLOW_PART
from so101_description.cameras import IMAGE_SHAPE
from so101_node.error import UserError
from so101_node.robot_file import CameraSetting

AREA = 'images'

REFUSED = error(
    'images.refused',
    'The camera is there, but cannot be read; the message says why.',
    'do what the message says; then unplug the camera and plug it in again',
)
NONE = error(
    'images.none',
    'The camera was opened, and no image comes.',
    'unplug it and plug it in again, into another port; try another cable',
)
SLOW = error(
    'images.slow',
    'It gives far fewer than 30 images a second: too dark for its automatic exposure, a USB 2 '
    'link, or a shared bus.',
    'more light, or a fixed exposure of 20000 at most in the robot file; then see usb above',
)
UNEVEN = warning(
    'images.uneven',
    'It gives somewhat fewer than 30 images a second, or leaves gaps.',
    'more light, a fixed exposure, a USB port of its own; end programs that take the processor',
)
LATE = warning(
    'images.late',
    'The images come long after they were captured: the arm has moved on by then.',
    'end programs that take the processor; take a camera that gives JPEG',
)
SIZE = error(
    'images.size',
    'The images are not 640x480, the size that policies are trained on.',
    'set the camera, or its ROS node, to 640x480',
)
BLACK = error(
    'images.black',
    'The picture is black.',
    'take the cover off the lens, put the light on, or lengthen the exposure in the robot file',
)
WHITE = error(
    'images.white',
    'The picture is burnt out.',
    'shorten the exposure in the robot file, or take the lamp out of its view',
)
FROZEN = error(
    'images.frozen',
    'All images are the same, to the bit: what comes is no live picture.',
    'unplug the camera and plug it in again; restart its node',
)
DAMAGED = warning(
    'images.damaged',
    'Some images come damaged, or not at all: a bad cable, or a bus that is full.',
    'another cable, a port of the computer itself',
)
SETTINGS = warning(
    'images.settings',
    'The camera did not take a setting of the robot file, or says that it cannot do its best.',
    'correct the setting in the robot file, as the message says',
)

RATE = 30.0

# Part of the rate that a sound camera has at least, and the longest pause, in periods.
_EVEN = 0.95
_GAP = 3.5

# Seconds from capture to arrival of 95 of 100 images: a USB camera takes up to 0.12.
_LATE = 0.15

# Part of the images that may be damaged or lost.
_DAMAGED = 0.01

# Who else's topics are listened to.
_OF_OTHERS = ('none', 'usb_cam', 'realsense2_camera')
_LISTENING = 20.0  # seconds that it may take


def find(subject: Subject) -> Iterator[Finding]:
    for name, setting in subject.robot.cameras.items():
        reading = None
        if setting.source in _OF_OTHERS or _is_held(subject.machine, setting):
            reading = _listened(subject.machine, name)
            if reading is None or not reading.images:
                yield skipped(
                    AREA, f'{name}: nobody publishes it; ./so101 cameras starts the cameras',
                    camera=name,
                )  # fmt: skip
                continue
        elif '/' in setting.device and not subject.machine.exists(setting.device):
            yield skipped(AREA, f'{name}: there is no {setting.device}', camera=name)
            continue
        else:
            reading = _opened(subject.machine, name, setting)
        yield from judged(reading)


def _is_held(machine: Machine, setting: CameraSetting) -> bool:
    return '/' in setting.device and bool(machine.holders(setting.device))


def _opened(machine: Machine, name: str, setting: CameraSetting) -> CameraReading:
    try:
        source = machine.open_source(name, setting)
    except UserError as problem:
        return CameraReading(name, refused=str(problem))
    return camera_reading.read(name, source, lambda: machine.now().system)


def _listened(machine: Machine, name: str) -> CameraReading | None:
    """Return what comes on a camera's topics; None when listening itself failed."""
    asked = machine.run(
        sys.executable, '-m', 'so101_bringup.doctor.image_listener', name, seconds=_LISTENING
    )
    return from_json(asked.text.splitlines()[-1]) if asked and asked.code == 0 else None


def judged(reading: CameraReading) -> Iterator[Finding]:
    name, images = reading.name, reading.images
    if reading.refused:
        yield REFUSED.finding(f'{name}: {reading.refused}', camera=name)
        return
    if len(images) < 2:
        yield NONE.finding(f'{name}: {len(images)} images in 2 s', camera=name)
        return
    found = [*_times(reading), *_pictures(reading)]
    bad = reading.damaged + reading.lost
    if bad > _DAMAGED * len(images):
        found.append(
            DAMAGED.finding(
                f'{name}: {reading.damaged} damaged and {reading.lost} lost of '
                f'{len(images) + bad}',
                camera=name,
                damaged=reading.damaged,
                lost=reading.lost,
            )
        )
    found += [SETTINGS.finding(f'{name}: {text}', camera=name) for text in reading.warnings]
    yield from found
    if not found:
        values = figures(images)
        yield sound(
            AREA,
            f'{name}: {values["rate_hz"]:.1f} Hz, {values["latency_p50_ms"]:.0f} and '
            f'{values["latency_p95_ms"]:.0f} ms from capture (p50, p95)'
            f'{f", {reading.link}" if reading.link else ""}',
            camera=name,
            **values,
        )


def figures(images: tuple[Image, ...]) -> dict[str, float]:
    """Return what was measured: hertz and milliseconds."""
    ages = np.array([image.arrived - image.captured for image in images]) / 1e6
    gaps = np.diff([image.captured for image in images]) / 1e6
    return {
        'images': len(images),
        'rate_hz': round(rate(images), 2),
        'longest_gap_ms': round(float(gaps.max()), 1),
        'latency_p50_ms': round(float(np.percentile(ages, 50)), 1),
        'latency_p95_ms': round(float(np.percentile(ages, 95)), 1),
    }


def _times(reading: CameraReading) -> Iterator[Finding]:
    name, values = reading.name, figures(reading.images)
    said = (
        f'{name}: {values["rate_hz"]:.1f} images a second, the longest pause '
        f'{values["longest_gap_ms"]:.0f} ms'
    )
    hertz = values['rate_hz']
    if hertz < SLOW_PART * RATE:
        yield SLOW.finding(said, camera=name, **values)
    elif hertz < _EVEN * RATE or values['longest_gap_ms'] > _GAP * 1000 / RATE:
        yield UNEVEN.finding(said, camera=name, **values)
    if values['latency_p95_ms'] > 1000 * _LATE:
        yield LATE.finding(
            f'{name}: {values["latency_p95_ms"]:.0f} ms from capture to arrival (p95)',
            camera=name,
            **values,
        )


def _pictures(reading: CameraReading) -> Iterator[Finding]:
    name, shown = reading.name, reading.shown
    if shown is None:
        yield DAMAGED.finding(f'{name}: no image can be decoded', camera=name)
        return
    height, width = IMAGE_SHAPE[:2]
    if (shown.width, shown.height) != (width, height):
        yield SIZE.finding(f'{name}: {shown.width}x{shown.height}', camera=name)
    if shown.black or shown.white:
        yield (BLACK if shown.black else WHITE).finding(
            f'{name}: brightness {shown.brightness:.0f} of 255',
            camera=name,
            brightness=round(shown.brightness, 1),
        )
    elif all(image.same for image in reading.images[1:]):
        yield FROZEN.finding(f'{name}: {len(reading.images)} equal images', camera=name)
