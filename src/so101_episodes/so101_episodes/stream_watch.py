"""What goes wrong with an episode's streams while it is recorded; pure.

Cameras that fall silent, freeze or go black, a bus that drops out, a clock that jumps: each is
marked, and the episode goes on. Two times are given: nanoseconds of a monotonic clock, by which
everything is judged, and of system time, which the marks are in.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from so101_cameras.picture_health import is_black
from so101_episodes.episode import Mark

# Nanoseconds. Fifteen images at 30 a second: noticed well within a second.
SILENCE = 500_000_000

# Nanoseconds without a joint state: twenty periods at the usual 200 a second, and five at the 50
# that the driver does at least. A single bad cycle is none, a bus that dropped out is.
GAP = 100_000_000

# Nanoseconds for which a picture, or its stamp, is the same. A real camera's noise makes no two
# pictures alike; a simulated one sees a scene at rest alike for as long as it rests, so the arm
# has to have moved by TRAVEL, radians, at some joint. That is 3 degrees, some pixels of any view.
STILL = 500_000_000
TRAVEL = float(np.deg2rad(3.0))

# Nanoseconds from a pose to a picture that shows it. Measured in simulation: 0.06 s.
LAG = 200_000_000

# Nanoseconds from one look at a picture's brightness to the next.
BRIGHTNESS_PERIOD = 250_000_000

# Nanoseconds by which system time may part from the monotonic clock between two looks. A clock
# that is slewed parts by half a microsecond a millisecond; half an image period does harm.
JUMP = 20_000_000


@dataclass
class _Camera:
    arrived: int  # the last image
    stamp: int | None = None
    stamp_since: int = 0
    picture: bytes = b''
    picture_since: int = 0
    pose: NDArray[np.float64] | None = None  # when the picture came
    moved: bool = False  # since then
    looked: int = field(default=-BRIGHTNESS_PERIOD)  # at the brightness


class StreamWatch:
    """Takes what arrives, in any order of the sources; then `look` says what came up.

    A stream that never begins is one that fell silent when the episode began.
    """

    def __init__(self, cameras: Iterable[str], joints: str, now: int, system: int) -> None:
        """`joints`: the topic of the joint states; `now` is monotonic."""
        self._cameras = {name: _Camera(now) for name in cameras}
        self._joints = joints
        self._state_arrived = now
        self._poses: deque[tuple[int, NDArray[np.float64]]] = deque()
        self._shift = system - now
        self._marks: list[Mark] = []  # in the order in which they begin
        self._open: dict[tuple[str, str], int] = {}  # (source, kind) -> index of its mark
        self._told = 0  # marks that `look` has returned

    @property
    def number(self) -> int:
        """How many marks there are so far."""
        return len(self._marks)

    @property
    def lasting(self) -> bool:
        """Whether something is wrong now."""
        return bool(self._open)

    @property
    def latest(self) -> str:
        """The text of the latest mark, or nothing."""
        return self._marks[-1].text if self._marks else ''

    def marks(self, now: int) -> list[Mark]:
        """Return all marks in the order of their beginning; what lasts, lasts until now."""
        marks = self._marks.copy()
        for index in self._open.values():
            marks[index] = replace(marks[index], end=now + self._shift)
        return marks

    def joint_state(self, arrived: int) -> None:
        """Take that a joint state arrived."""
        if arrived - self._state_arrived > GAP:
            self._begin_gap()
        self._end(self._joints, 'gap', arrived)
        self._state_arrived = arrived

    def pose(self, arrived: int, positions: ArrayLike) -> None:
        """Take the arm's measured pose, radians; a few times a second will do."""
        pose = np.asarray(positions, dtype=np.float64)
        if self._poses and self._poses[-1][1].shape != pose.shape:
            self._poses.clear()
        self._poses.append((arrived, pose))
        while len(self._poses) > 1 and self._poses[1][0] <= arrived - LAG:
            self._poses.popleft()

    def image(self, name: str, arrived: int, stamp: int, jpeg: bytes) -> None:
        """Take a camera's image, captured at `stamp` nanoseconds of its own clock."""
        camera = self._cameras[name]
        if arrived - camera.arrived > SILENCE:
            self._begin_silence(name)
        self._end(name, 'silent', arrived)
        camera.arrived = arrived
        if arrived - camera.looked >= BRIGHTNESS_PERIOD:
            camera.looked = arrived
            if is_black(jpeg):
                self._begin(name, 'black', arrived, f'the {name} picture is black')
            else:
                self._end(name, 'black', arrived)
        self._look_for_stillness(name, arrived, stamp, jpeg)

    def look(self, now: int, system: int) -> list[Mark]:
        """Return the marks that began since the last look; their ends are not known yet."""
        self._look_at_the_clock(now, system)
        for name, camera in self._cameras.items():
            if now - camera.arrived > SILENCE:
                self._begin_silence(name)
        if now - self._state_arrived > GAP:
            self._begin_gap()
        begun = self._marks[self._told :]
        self._told = len(self._marks)
        return begun

    def _look_for_stillness(self, name: str, arrived: int, stamp: int, jpeg: bytes) -> None:
        camera = self._cameras[name]
        if stamp != camera.stamp:
            camera.stamp, camera.stamp_since = stamp, arrived
        if jpeg != camera.picture or (name, 'black') in self._open:  # black says it already
            camera.picture, camera.picture_since = jpeg, arrived
            camera.pose = self._poses[-1][1] if self._poses else None
            camera.moved = False
        camera.moved = camera.moved or self._moved(camera, arrived)
        if arrived - camera.stamp_since >= STILL:
            text = f'the stamps of the {name} images stand still'
            self._begin(name, 'frozen', camera.stamp_since, text)
        elif arrived - camera.picture_since >= STILL and camera.moved:
            text = f'the {name} picture stands still while the arm moves'
            self._begin(name, 'frozen', camera.picture_since, text)
        elif camera.stamp_since == camera.picture_since == arrived:
            self._end(name, 'frozen', arrived)

    def _moved(self, camera: _Camera, now: int) -> bool:
        """Return whether the picture, were it live, would show the arm elsewhere."""
        arrived, pose = self._poses[0] if self._poses else (now, None)
        if pose is None or camera.pose is None or pose.shape != camera.pose.shape:
            return False
        if not camera.picture_since < arrived <= now - LAG:
            return False
        return bool(np.abs(pose - camera.pose).max(initial=0.0) > TRAVEL)

    def _look_at_the_clock(self, now: int, system: int) -> None:
        jump = system - now - self._shift
        lasting = dict(self._open) if abs(jump) > JUMP else {}
        for source, kind in lasting:  # what lasts is in two parts, each in its own time
            self._end(source, kind, now)
        self._shift = system - now
        if abs(jump) > JUMP:
            self._begin('clock', 'clock', now, f'the system clock jumped by {jump * 1e-9:+.3f} s')
            self._end('clock', 'clock', now)
        for (source, kind), index in lasting.items():
            self._begin(source, kind, now, self._marks[index].text)

    def _begin_silence(self, name: str) -> None:
        self._begin(name, 'silent', self._cameras[name].arrived, f'no image of the {name} camera')

    def _begin_gap(self) -> None:
        self._begin(self._joints, 'gap', self._state_arrived, f'no message on {self._joints}')

    def _begin(self, source: str, kind: str, since: int, text: str) -> None:
        if (source, kind) not in self._open:
            self._open[source, kind] = len(self._marks)
            start = since + self._shift
            self._marks.append(Mark(source, kind, start, start, text))

    def _end(self, source: str, kind: str, at: int) -> None:
        index = self._open.pop((source, kind), None)
        if index is not None:
            self._marks[index] = replace(self._marks[index], end=at + self._shift)
