"""What the arm is sent: plans while all is well, a hold and its reason while it is not; pure."""

from dataclasses import dataclass

import numpy as np

from so101_description.joints import GRIPPER, JOINTS
from so101_policy.plan import Array, Plan
from so101_policy.schedule import Guidance, Schedule
from so101_policy.smoothness import Smoothness
from so101_policy.soundness import complaint

# Radians between where a joint was sent and where it is, and for how long (s): far above the lag
# of a servo at full speed, and above what a chunk may ask beyond the joint's own range. A gripper
# that holds an object is not where it was sent.
_ASTRAY = np.deg2rad(35)
_ASTRAY_SECONDS = 0.5

# Seconds from a plan to the measured arm: an STS3215 lags by 80 ms, and there is the bus.
_LAG = 0.1

# Nanoseconds that a clock may go back between two looks without being called set back.
_SET_BACK = 50_000_000


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

    def __init__(self, schedule: Schedule, fps: float) -> None:
        self.schedule = schedule
        self.enabled = False
        self.held = ''
        self.counts = Counts()
        self.smoothness = Smoothness()
        self.starved = 0.0  # seconds enabled without actions, since the first chunk
        self._fps = fps
        self._followed = 0  # chunks since it was enabled
        self._watched: int | None = None
        self._astray_since: int | None = None

    @property
    def starving(self) -> bool:
        """Whether there were no actions to execute when it was last watched."""
        return self._watched is not None and self.schedule.starving(self._watched)

    def enable(self, now: int, pose: Array) -> None:
        """Begin from an arm that stands at `pose`, shape (6,), radians, or still brakes."""
        if self.enabled:
            return
        self.schedule.start(now, pose)
        self.enabled = True
        self.held = ''
        self._watched = self._astray_since = None
        self._followed = 0

    def disable(self, now: int) -> Plan | None:
        if not self.enabled:
            return None
        plan = self._brake(now)
        self.schedule.stop()
        self.enabled = False
        self.held = ''
        return plan

    def reset(self, now: int) -> Plan | None:
        """Forget the past: what is being inferred is not followed."""
        if not self.enabled:
            return None
        plan = self._brake(now)
        self.schedule.forget(now)
        return plan

    def hold(self, reason: str, now: int) -> Plan | None:
        """Bring the arm to rest, and ask the policy again when it can be asked."""
        if not self.enabled:
            return None
        plan = None if self.held else self._brake(now)
        self.held = reason
        self.schedule.forget(now)
        return plan

    def is_due(self, captured: int) -> bool:
        return self.enabled and self.schedule.is_due(captured)

    def ask(self, captured: int) -> Guidance | None:
        """Note that the inference of an observation starts; return what is to guide it."""
        return self.schedule.ask(captured)

    def answer(self, actions: Array, now: int) -> Plan | None:
        """Take the chunk that was asked for, shape (T, 6), radians."""
        observed = self.schedule.asked
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

    def watch(self, now: int, inputs: str, fault: str, pose: Array | None) -> Plan | None:
        """Look whether all is well; to be called some ten times a second.

        `inputs` says what is wrong with images or joint states, `fault` what is wrong with the
        arm, '' for nothing; `pose` is the measured one, shape (6,), radians, None when there is
        none.
        """
        if not self.enabled:
            return None
        before, self._watched = self._watched, now
        if before is not None and now < before - _SET_BACK:
            self._stand(now, pose)
            self.held = 'the clock was set back'
            return None
        if before is not None and self._followed and self.schedule.starving(now):
            self.starved += (now - before) * 1e-9
        if inputs:
            return self.hold(inputs, now)
        if fault:
            # The driver holds it, where it stands: that is where it will go on from.
            self._stand(now, pose)
            self.held = f'the driver is in a fault: {fault}'
            return None
        return None if pose is None else self._check_pose(now, pose)

    def _stand(self, now: int, pose: Array | None) -> None:
        """Take it that the arm stands, and plan from there."""
        assert self.schedule.plan is not None
        self.schedule.stand(now, self.schedule.plan.positions[-1] if pose is None else pose)

    def _check_pose(self, now: int, pose: Array) -> Plan | None:
        """Lead the arm to where it is, when it is not where it was sent: something blocks it."""
        assert self.schedule.plan is not None
        apart = np.abs(pose - self.schedule.plan.at(now - round(_LAG * 1e9))[0])
        apart[GRIPPER] = 0.0
        joint = int(apart.argmax())
        if apart[joint] < _ASTRAY:
            self._astray_since = None
            return None
        if self._astray_since is None:
            self._astray_since = now
        if now - self._astray_since < _ASTRAY_SECONDS * 1e9:
            return None
        self._astray_since = None
        self.schedule.forget(now)
        self.held = (
            f'{JOINTS[joint]} is {np.rad2deg(apart[joint]):.0f} degrees from where it was sent; '
            'is it blocked?'
        )
        return self.schedule.lead(now, pose)

    def _brake(self, now: int) -> Plan | None:
        plan = self.schedule.plan
        return None if plan is None or now >= plan.end else self.schedule.brake(now)
