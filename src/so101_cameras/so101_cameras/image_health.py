"""Whether the images of one camera are sound: when they come, and what they show; pure.

All times are nanoseconds of the steady clock. Each fault has a kind, a beginning, a text with the
value, and what to do; it ends by itself. What needs decoding is looked at four times a second.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from so101_cameras.exposure import Exposure, Shift
from so101_cameras.image_rate import ImageRate
from so101_cameras.picture import Picture
from so101_cameras.picture_health import Look
from so101_cameras.poses import Pose, Poses
from so101_description.cameras import IMAGE_SHAPE, on_arm

# Images a second: LeRobot's data sets of this arm are recorded at 30.
RATE = 30.0

# Fifteen images at 30 a second: noticed well within a second.
SILENCE = 500_000_000

# For how long a picture, or its stamp, is the same. A real camera's noise makes no two pictures
# alike; a simulated one sees a scene at rest alike for as long as it rests, so the arm has to have
# moved by TRAVEL, radians, at some joint. That is 3 degrees, some pixels of any view.
STILL = 500_000_000
TRAVEL = 0.0524

# From one look at a picture to the next, and for how long what may be a moment's accident has to
# last: two looks.
LOOK_PERIOD = 250_000_000
_TWO_LOOKS = 200_000_000

# From the capture of an image to its arrival. A USB camera takes up to 0.12 s, a simulated one
# 0.06; images later than that show an arm that has moved on. Stamps may lie so far in the future
# as clocks of two machines are apart that are kept together by NTP. Either for so long.
_LATE = 200_000_000
_AHEAD = 50_000_000
_FOR = 300_000_000

# Stamps that step back once are those of a clock that was set; twice within that time, they run
# backwards.
_BACK = 1_000_000_000

# The share of a picture without content for brightness. A window or a lamp in view takes up to a
# fifth of it. And how much more that must be than at the start: a white table is always white.
_BURNT, _MORE = 0.25, 0.15

# Since the first image: the exposure of a camera that was just opened settles.
_SETTLED = 1_000_000_000

# How many times as bright a picture may become, either way, before it drifts, and when it does no
# more; the same of red and blue against green. 1.25 is 25 of 255 of a picture of medium
# brightness, where the policy's check against its training warns as well.
_DRIFT, _NO_DRIFT = 1.25, 1.15
_TINT, _NO_TINT = 1.2, 1.12


class Kind(StrEnum):
    """What can be wrong; `blind`: nothing that the images show can be relied on."""

    SILENT = 'silent'
    FROZEN = 'frozen'
    BLACK = 'black'
    WHITE = 'white'
    UNREADABLE = 'unreadable'
    SIZE = 'size'
    SLOW = 'slow'
    LATE = 'late'
    STAMPS = 'stamps'
    OVEREXPOSED = 'overexposed'
    DRIFT = 'drift'
    COLOUR = 'colour'

    @property
    def blind(self) -> bool:
        return self in _BLIND


_BLIND = {Kind.SILENT, Kind.FROZEN, Kind.BLACK, Kind.WHITE, Kind.UNREADABLE, Kind.SIZE}

_OF_TIME = {Kind.SLOW, Kind.LATE, Kind.STAMPS}

_CURES = {
    Kind.SILENT: 'is the camera plugged in, and its node running?',
    Kind.FROZEN: 'restart the camera, and look at its cable',
    Kind.BLACK: 'is its lens covered? Check light and exposure',
    Kind.WHITE: 'is it dazzled? Check light and exposure',
    Kind.UNREADABLE: 'set the camera to JPEG or rgb8, and look at its cable',
    Kind.SIZE: 'set the camera to that size',
    Kind.SLOW: 'check its light, its exposure time and its USB port',
    Kind.LATE: 'is the machine too busy, or a queue too long?',
    Kind.STAMPS: 'check the clocks, and what stamps the images',
    Kind.OVEREXPOSED: 'shorten the exposure, or dim the light',
    Kind.DRIFT: "fix the camera's exposure and gain, or look at the light",
    Kind.COLOUR: "fix the camera's white balance, or look at the light",
}


class Fault(NamedTuple):
    """Something that is wrong with a camera since then."""

    kind: Kind
    since: int
    text: str

    def __str__(self) -> str:
        return f'{self.text}; {_CURES[self.kind]}'


class Change(NamedTuple):
    """A fault that begins, or has ended at that time."""

    fault: Fault
    ended: int | None = None


@dataclass
class _Lasting:
    """Says since when something is so, once it has been for `duration`."""

    duration: int
    since: int | None = field(default=None)

    def __call__(self, so: bool, now: int) -> int | None:
        if not so:
            self.since = None
        elif self.since is None:
            self.since = now
        if self.since is None or now - self.since < self.duration:
            return None
        return self.since


class ImageHealth:
    """Takes a camera's images as they arrive; between them, `look` finds that none comes.

    A camera that never begins is one that fell silent when it was to be watched. `faults` are
    those of this moment.
    """

    def __init__(
        self, name: str, poses: Poses, now: int, nominal: float = RATE, patience: int = SILENCE
    ) -> None:
        """`name`: the camera's; `poses`: of the arm; `nominal`: images a second.

        `patience`: until the first image.
        """
        self.faults: dict[Kind, Fault] = {}
        self.seen: Look | None = None  # the last one
        self.shift: Shift | None = None  # the last one that could be told
        self.rate = ImageRate(nominal)
        self.age = 0  # of the last image, when it arrived
        self._name = name
        self._nominal = nominal
        self._patience = patience
        self._poses = poses
        self._on_arm = on_arm(name)
        self._changes: list[Change] = []
        self._arrived = now
        self._first: int | None = None
        self._captured: int | None = None
        self._captured_since = 0
        self._steps_back: list[int] = []
        self._picture: Picture | None = None
        self._picture_since = 0
        self._pose: Pose | None = None  # when the picture came
        self._moved = False  # since then
        self._looked = now - LOOK_PERIOD
        self._exposure = Exposure()
        self._usually_burnt: float | None = None
        self._late, self._ahead = _Lasting(_FOR), _Lasting(_FOR)
        self._burnt, self._drifts, self._tinted = (_Lasting(_TWO_LOOKS) for _ in range(3))

    @property
    def begun(self) -> bool:
        """Whether there was an image yet."""
        return self._first is not None

    @property
    def arrived(self) -> int:
        """When the last image did, or when it was begun to be watched."""
        return self._arrived

    def image(self, arrived: int, captured: int, picture: Picture) -> list[Change]:
        """Take an image; return what began and ended with it."""
        self._silence(arrived)
        self._end(Kind.SILENT, arrived)
        if self._first is None:
            self._first = arrived
        self._arrived, self.age = arrived, arrived - captured
        self._judge_rate(arrived, captured)
        self._judge_stamp(arrived, captured)
        if arrived - self._looked >= LOOK_PERIOD:
            self._looked = arrived
            self.seen = picture.look()
            self._judge_picture(arrived, self.seen)
        self._judge_stillness(arrived, captured, picture)
        self._captured = captured
        return self._changed()

    def look(self, now: int) -> list[Change]:
        """Return what began because nothing came; a few times a second."""
        self._silence(now)
        return self._changed()

    def _silence(self, now: int) -> None:
        seconds = (now - self._arrived) * 1e-9
        text = f'no image of the {self._name} camera for {seconds:.1f} s'
        if now - self._arrived > (self._patience if self._first is None else SILENCE):
            self._begin(Kind.SILENT, self._arrived, text)

    def _judge_rate(self, arrived: int, captured: int) -> None:
        self.rate.add(arrived, captured)
        if self.rate.slow:
            text = (
                f'the {self._name} camera gives {self.rate.slow_hz:.0f} images a second, '
                f'expected {self._nominal:.0f}'
            )
            self._begin(Kind.SLOW, self.rate.since, text)
        else:
            self._end(Kind.SLOW, self.rate.until)

    def _judge_stamp(self, arrived: int, captured: int) -> None:
        age = arrived - captured
        # Of a stamp that stands still, it is said that it does.
        late = age > _LATE and captured != self._captured
        text = f'the {self._name} images arrive {age * 1e-9:.2f} s after they were captured'
        self._last(Kind.LATE, self._late, late, arrived, text)
        if self._captured is not None and captured < self._captured:
            self._steps_back.append(arrived)
        recent = [step for step in self._steps_back if step > arrived - _BACK]
        ahead = self._ahead(-age > _AHEAD, arrived)
        if len(recent) > 1:
            text = f'the stamps of the {self._name} images run backwards'
            self._begin(Kind.STAMPS, recent[0], text)
        elif ahead is not None:
            text = f'the stamps of the {self._name} images are {-age * 1e-9:.2f} s in the future'
            self._begin(Kind.STAMPS, ahead, text)
        elif -age <= _AHEAD:
            self._end(Kind.STAMPS, self._steps_back[-1] if self._steps_back else arrived)
        self._steps_back = recent

    def _judge_picture(self, now: int, seen: Look | None) -> None:
        name = self._name
        self._set(Kind.UNREADABLE, seen is None, now, f'the {name} image cannot be decoded')
        if seen is None:
            return
        height, width = IMAGE_SHAPE[:2]
        fits = (seen.width, seen.height) == (width, height)
        text = f'the {name} images are {seen.width}x{seen.height}, expected {width}x{height}'
        self._set(Kind.SIZE, not fits, now, text)
        text = f'the {name} picture is black: brightness {seen.brightness:.0f} of 255'
        self._set(Kind.BLACK, seen.is_black, now, text)
        text = f'the {name} picture is white: {100 * seen.clipped:.0f} % of it burnt out'
        self._set(Kind.WHITE, seen.is_white, now, text)
        if fits and not seen.is_black:
            self._judge_exposure(now, seen)

    def _judge_exposure(self, now: int, seen: Look) -> None:
        usually = self._usually_burnt
        burnt = (
            usually is not None
            and not seen.is_white
            and seen.clipped >= max(_BURNT, usually + _MORE)
        )
        text = f'{100 * seen.clipped:.0f} % of the {self._name} picture is burnt out'
        self._last(Kind.OVEREXPOSED, self._burnt, burnt, now, text)
        pose = self._poses.rest(now) if self._on_arm else None
        if self._on_arm and pose is None:
            return  # what it sees, it has not seen before
        if (shift := self._exposure.shift(seen, pose)) is not None:
            self.shift = shift
            self._judge_shift(now, shift)
        settled = self._first is not None and now - self._first >= _SETTLED
        if settled and self.faults.keys() <= _OF_TIME:
            self._exposure.remember(seen, pose)
            if usually is None:
                self._usually_burnt = seen.clipped

    def _judge_shift(self, now: int, shift: Shift) -> None:
        ratio = max(shift.brightness, 1 / shift.brightness)
        drifts = ratio > (_NO_DRIFT if Kind.DRIFT in self.faults else _DRIFT)
        text = (
            f'the {self._name} picture is {shift.brightness:.2f} times as bright as at the start'
        )
        self._last(Kind.DRIFT, self._drifts, drifts, now, text)
        name, ratio = max(
            (('red', shift.red), ('blue', shift.blue)), key=lambda one: max(one[1], 1 / one[1])
        )
        tinted = max(ratio, 1 / ratio) > (_NO_TINT if Kind.COLOUR in self.faults else _TINT)
        text = f'the {name} of the {self._name} picture is {ratio:.2f} times that of the start'
        self._last(Kind.COLOUR, self._tinted, tinted, now, text)

    def _judge_stillness(self, now: int, captured: int, picture: Picture) -> None:
        if captured != self._captured:
            self._captured_since = now
        # Black or white, every picture is the same, and that is said already.
        blank = Kind.BLACK in self.faults or Kind.WHITE in self.faults
        if blank or picture != self._picture:
            self._picture, self._picture_since = picture, now
            self._pose = self._poses.before(now)
            self._moved = False
        self._moved = self._moved or self._has_moved(now, captured)
        if now - self._captured_since >= STILL:
            text = f'the stamps of the {self._name} images stand still'
            self._begin(Kind.FROZEN, self._captured_since, text)
        elif now - self._picture_since >= STILL and self._moved:
            text = f'the {self._name} picture stands still while the arm moves'
            self._begin(Kind.FROZEN, self._picture_since, text)
        elif self._captured_since == self._picture_since == now:
            self._end(Kind.FROZEN, now)

    def _has_moved(self, now: int, captured: int) -> bool:
        """Return whether the picture, were it live, would show the arm elsewhere."""
        before = self._pose
        if before is None or self._picture_since == now:
            return False
        return any(
            pose.shape == before.shape and bool(abs(pose - before).max(initial=0.0) > TRAVEL)
            for pose in self._poses.shown(now, captured, self._picture_since)
        )

    def _last(self, kind: Kind, lasting: _Lasting, so: bool, now: int, text: str) -> None:
        since = lasting(so, now)
        if since is not None:
            self._begin(kind, since, text)
        elif not so:
            self._end(kind, now)

    def _set(self, kind: Kind, so: bool, now: int, text: str) -> None:
        if so:
            self._begin(kind, now, text)
        else:
            self._end(kind, now)

    def _begin(self, kind: Kind, since: int, text: str) -> None:
        """Begin a fault; of one that lasts, the text is renewed."""
        lasting = self.faults.get(kind)
        fault = Fault(kind, lasting.since if lasting else since, text)
        self.faults[kind] = fault
        if not lasting:
            self._changes.append(Change(fault))

    def _end(self, kind: Kind, at: int) -> None:
        if fault := self.faults.pop(kind, None):
            self._changes.append(Change(fault, at))

    def _changed(self) -> list[Change]:
        changes, self._changes = self._changes, []
        return changes
