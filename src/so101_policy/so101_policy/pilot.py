"""What the arm is sent: plans while all is well, a hold and its reason while it is not; pure."""

from dataclasses import dataclass

import numpy as np

from so101_description.joints import GRIPPER, JOINTS
from so101_policy.plan import Array, Plan
from so101_policy.schedule import Guidance, Schedule
from so101_policy.smoothness import Smoothness
from so101_policy.soundness import complaint

# Radians between where a joint was sent and where it is, and for how long (s): far above the lag
# of a servo at full speed. A gripper that holds an object is not where it was sent.
_AWAY = np.deg2rad(25)
_AWAY_SECONDS = 0.5

# Seconds from a plan to the measured arm: an STS3215 lags by 80 ms, and there is the bus.
_LAG = 0.1


@dataclass
class Counts:
    """Chunks that were followed, that came when all their actions were past, that were unsound."""

    followed: int = 0
    late: int = 0
    unsound: int = 0


class Pilot:
    """Follows chunks while enabled, and holds for `held`, a reason, until a sound chunk comes.

    Every method that returns a plan returns the one to be published now, or None for no change.
    """

    def __init__(self, schedule: Schedule, fps: float, inference_timeout: float) -> None:
        """`inference_timeout` in seconds: an inference that takes longer will not come."""
        self.schedule = schedule
        self.enabled = False
        self.held = ''
        self.counts = Counts()
        self.smoothness = Smoothness()
        self.starved = 0.0  # seconds enabled without actions, since the first chunk
        self._fps = fps
        self._timeout = inference_timeout * 1e9
        self._asked: int | None = None  # when the inference under way started
        self._observed: int | None = None  # and of when its observation is
        self._followed = 0  # chunks since it was enabled
        self._watched: int | None = None
        self._away_since: int | None = None

    def enable(self, now: int, pose: Array) -> None:
        """Begin from an arm that stands at `pose`, shape (6,), radians."""
        self.schedule.start(now, pose)
        self.enabled = True
        self.held = ''
        self._asked = self._observed = self._watched = self._away_since = None
        self._followed = 0

    def disable(self, now: int) -> Plan | None:
        if not self.enabled:
            return None
        plan = self._brake(now)
        self.schedule.stop()
        self.enabled = False
        self._asked = self._observed = None
        return plan

    def reset(self, now: int) -> Plan | None:
        """Forget the past: what is being inferred is not followed."""
        if not self.enabled:
            return None
        plan = self._brake(now)
        self.schedule.forget(now)
        self._asked = self._observed = None
        return plan

    def hold(self, reason: str, now: int) -> Plan | None:
        """Bring the arm to rest, and ask the policy again when it can be asked."""
        if not self.enabled:
            return None
        plan = None if self.held else self._brake(now)
        self.held = reason
        self.schedule.forget(now)
        self._asked = self._observed = None
        return plan

    def is_due(self, captured: int) -> bool:
        return self.enabled and self.schedule.is_due(captured)

    def ask(self, captured: int, now: int) -> Guidance | None:
        """Note that the inference of an observation starts; return what is to guide it."""
        self._asked, self._observed = now, captured
        return self.schedule.ask(captured)

    def answer(self, actions: Array, now: int) -> Plan | None:
        """Take the chunk that was asked for, shape (T, 6), radians."""
        observed, self._asked, self._observed = self._observed, None, None
        if observed is None or self.schedule.plan is None:
            return None
        sent = self.schedule.plan.at(max(observed, self.schedule.plan.start))[0]
        if reason := complaint(actions, sent, self._fps):
            self.counts.unsound += 1
            return self.hold(reason, now)
        plan = self.schedule.answer(actions, now)
        if plan is None:
            self.counts.late += 1
            return None
        self.held = ''
        self.counts.followed += 1
        self._followed += 1
        self.smoothness.add(plan)
        return plan

    def watch(self, now: int, inputs: str, pose: Array | None) -> Plan | None:
        """Look whether all is well; to be called some ten times a second.

        `inputs` says what is wrong with images or joint states, '' for nothing; `pose` is the
        measured one, shape (6,), radians, None when there is none.
        """
        if not self.enabled:
            return None
        if self._watched is not None and self._followed and self.schedule.starving(now):
            self.starved += (now - self._watched) * 1e-9
        self._watched = now
        if inputs:
            return self.hold(inputs, now)
        if self.silent(now):
            return self.hold(
                f'no chunk for {self._timeout * 1e-9:g} s; the inference is begun anew', now
            )
        return None if pose is None else self._check_pose(now, pose)

    def silent(self, now: int) -> bool:
        """Whether the inference under way takes too long."""
        return self._asked is not None and now - self._asked > self._timeout

    def _check_pose(self, now: int, pose: Array) -> Plan | None:
        """Hold where the arm is when it is not where it was sent: it is blocked, or limp."""
        assert self.schedule.plan is not None
        apart = np.abs(pose - self.schedule.plan.at(now - round(_LAG * 1e9))[0])
        apart[GRIPPER] = 0.0
        joint = int(apart.argmax())
        if apart[joint] < _AWAY:
            self._away_since = None
            return None
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since < _AWAY_SECONDS * 1e9:
            return None
        self._away_since = None
        # Where it is is where it goes on from, at rest.
        self.schedule.start(now, pose)
        self._asked = self._observed = None
        self.held = (
            f'{JOINTS[joint]} is {np.rad2deg(apart[joint]):.0f} degrees from where it was sent; '
            'is it blocked, or is the driver in a fault?'
        )
        return self.schedule.plan

    def _brake(self, now: int) -> Plan | None:
        plan = self.schedule.plan
        return None if plan is None or now >= plan.end else self.schedule.brake(now)
