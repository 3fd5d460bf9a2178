"""What goes wrong with an episode's streams while it is recorded; pure.

Cameras whose images are unsound (so101_cameras' image_health says how), a bus that drops out, a
clock that jumps: each is marked, and the episode goes on. Two times are given: nanoseconds of a
monotonic clock, by which everything is judged, and of system time, which the marks are in.
"""

from collections.abc import Iterable
from dataclasses import replace

from numpy.typing import ArrayLike

from so101_cameras.image_health import Change, ImageHealth
from so101_cameras.picture import Compressed
from so101_cameras.poses import Poses
from so101_episodes.episode import Mark

# Nanoseconds without a joint state: twenty periods at the usual 200 a second, and five at the 50
# that the driver does at least. A single bad cycle is none, a bus that dropped out is.
GAP = 100_000_000

# Nanoseconds by which system time may part from the monotonic clock between two looks. A clock
# that is slewed parts by half a microsecond a millisecond; half an image period does harm.
JUMP = 20_000_000


class StreamWatch:
    """Takes what arrives, in any order of the sources; then `look` says what came up.

    A stream that never begins is one that fell silent when the episode began.
    """

    def __init__(self, cameras: Iterable[str], joints: str, now: int, system: int) -> None:
        """`joints`: the topic of the joint states; `now` is monotonic."""
        self._poses = Poses()
        self._cameras = {name: ImageHealth(name, self._poses, now) for name in cameras}
        self._joints = joints
        self._state_arrived = now
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
        self._poses.add(arrived, positions)

    def image(self, name: str, arrived: int, stamp: int, jpeg: bytes) -> None:
        """Take a camera's image, captured at `stamp` nanoseconds of system time."""
        self._mark(name, self._cameras[name].image(arrived, stamp - self._shift, Compressed(jpeg)))

    def look(self, now: int, system: int) -> list[Mark]:
        """Return the marks that began since the last look; their ends are not known yet."""
        self._look_at_the_clock(now, system)
        for name, camera in self._cameras.items():
            self._mark(name, camera.look(now))
        if now - self._state_arrived > GAP:
            self._begin_gap()
        begun = self._marks[self._told :]
        self._told = len(self._marks)
        return begun

    def _mark(self, name: str, changes: Iterable[Change]) -> None:
        for fault, ended in changes:
            if ended is None:
                self._begin(name, fault.kind.value, fault.since, fault.text)
            else:
                self._end(name, fault.kind.value, ended)

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
