"""Teleoperation: which pose an arm is sent to when its leader has moved; pure.

off -> waiting (for what `reason` says) -> leading (the leader goes to the follower) or ramping
(the follower goes to the leader) -> following. Whatever interrupts it leads back to waiting, and
from there by a ramp: never a jump.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from so101_description.joints import JOINTS
from so101_driver.arm import State as DriverState
from so101_node.error import UserError

Pose = NDArray[np.float64]  # radians, shape (6,)

# Nanoseconds without a leader's state (or a follower's reference) after which nothing is sent. The
# wiring gives the driver the same as its command_timeout.
SILENCE = 250_000_000

# Radians between two states of the leader beyond which it is no hand's motion. A fast hand makes
# 0.05 in 5 ms (10 rad/s), and three states in a row may be lost. Also how far from the follower a
# leader may be let go of; gravity bends an arm by 0.05. And how far from where it was sent the
# reference of a follower may be: a driver that keeps up is 20 ms behind, 0.06 at 3 rad/s.
JUMP = 0.2

# Seconds ahead of a state for which a pose is sent: two periods at 200 Hz. A pose for now is a
# stop to the driver, which keeps to an acceleration: it would move from stop to stop, and late.
HORIZON = 0.01

# Poses over which the speed is taken: over fewer, a tick is too much of the way.
_WINDOW = 5

# rad/s^2, as the moves of a rollout: they may be watched.
ACCELERATION = 4.0

# Seconds. A ramp goes on at its pace after a pause.
_MAX_INTERVAL = 0.05

_JOINTS = list(JOINTS)


class State(StrEnum):
    OFF = 'off'
    WAITING = 'waiting'
    LEADING = 'leading'
    RAMPING = 'ramping'
    FOLLOWING = 'following'


class Start(StrEnum):
    FOLLOWER_TO_LEADER = 'follower_to_leader'
    LEADER_TO_FOLLOWER = 'leader_to_follower'


class Arm(StrEnum):
    LEADER = 'leader'
    FOLLOWER = 'follower'


class Command(NamedTuple):
    """Where to send which arm, to be there HORIZON seconds from now."""

    arm: Arm
    pose: Pose


class Switch(NamedTuple):
    """A torque to be switched."""

    arm: Arm
    on: bool


class Ramp:
    """The way of one pose to another that may move meanwhile, as an offset that shrinks to zero.

    On a goal that stands still that is a straight line, on which all joints start and arrive
    together. `velocity` is the limit of the joint with the longest way, rad/s, beside the goal's
    own.
    """

    def __init__(self, start: Pose, goal: Pose, velocity: float) -> None:
        self._offset = start - goal
        self._limit = velocity
        self._speed = 0.0

    def step(self, goal: Pose, seconds: float) -> Pose:
        """Return the pose `seconds` later."""
        seconds = min(max(seconds, 0.0), _MAX_INTERVAL)
        distance = float(np.abs(self._offset).max())
        braking = math.sqrt(2 * ACCELERATION * distance)
        self._speed = min(self._speed + ACCELERATION * seconds, self._limit, braking)
        reach = self._speed * seconds
        self._offset = self._offset * (1 - reach / distance if reach < distance else 0.0)
        return goal + self._offset

    @property
    def over(self) -> bool:
        return not self._offset.any()


class Path:
    """The last poses on a way, and where it leads."""

    def __init__(self) -> None:
        self._poses: deque[tuple[int, Pose]] = deque(maxlen=_WINDOW)

    def ahead(self, stamp: int, pose: Pose) -> Pose:
        """Take a pose and its time in ns; return the pose HORIZON seconds later."""
        self._poses.append((stamp, pose))
        first, start = self._poses[0]
        seconds = (stamp - first) * 1e-9
        return pose + (pose - start) * (HORIZON / seconds) if seconds > 0 else pose


class Teleop:
    """Times are int nanoseconds of system time. Not thread-safe.

    `reason` is why it waits, or why it was switched off; '' otherwise. `interruptions` counts how
    often it left off by itself, and `last_interruption` says why.
    """

    def __init__(self, start: Start, ramp_velocity: float) -> None:
        """Take the way to bring the arms together, and the speed of that in rad/s."""
        self.state = State.OFF
        self.reason = ''
        self.interruptions = 0
        self.last_interruption = ''
        self._start = start
        self._velocity = ramp_velocity
        self._leader: Pose | None = None
        self._led = 0  # the stamp of the leader's last state
        self._reference: Pose | None = None  # where the follower is held
        self._referenced = 0
        # Why an arm cannot be used. A leader may be a device that says nothing of its health.
        self._troubles = {
            Arm.LEADER: '',
            Arm.FOLLOWER: 'nothing is heard from the driver of the follower on /diagnostics',
        }
        self._limp = False  # the leader, as it says
        self._leader_first = False  # until it is let go of
        self._switches: deque[Switch] = deque()
        self._unanswered = ''  # why the first of them is not done
        self._ramp: Ramp | None = None
        self._path = Path()
        nowhere = np.full(len(JOINTS), np.inf)
        self._bounds: tuple[Pose, Pose] = (-nowhere, nowhere)
        self._sent: Pose | None = None  # where the follower was sent last, since the interruption

    def enable(self, on: bool) -> None:
        """Start, with the torques that needs, or leave the follower held and the leader limp."""
        if not on:
            self._end('')
        elif self.state is State.OFF:
            self._leader_first = self._start is Start.LEADER_TO_FOLLOWER
            self._switches.append(Switch(Arm.FOLLOWER, True))
            self._switches.append(Switch(Arm.LEADER, self._leader_first))
            self.state, self.reason = State.WAITING, 'starting'

    def age(self, now: int) -> float:
        """Return the seconds since the leader's last state; infinity before the first."""
        return math.inf if self._leader is None else (now - self._led) * 1e-9

    def next_switch(self, now: int) -> Switch | None:
        """Return the torque to be switched now, if there is one.

        None comes on before both arms are there; to let go, nothing else is needed.
        """
        if not self._switches or (self._switches[0].on and self._absence(now)):
            return None
        return self._switches[0]

    def switched(self, switch: Switch, refusal: str = '') -> None:
        """A torque was switched; a refusal ends teleoperation with this text."""
        if not self._switches or self._switches[0] != switch:
            return
        self._switches.popleft()
        if self.state is State.OFF and self.reason == self._unanswered:
            self.reason = ''
        self._unanswered = ''
        if refusal:
            self._end(f"the {switch.arm}'s torque: {refusal}; then teleop/enable")
        elif switch.arm is Arm.LEADER:
            self._limp = not switch.on

    def unanswered(self, why: str) -> None:
        """The torque that is to be switched is not, for this reason; it is asked for again."""
        if self.state is State.OFF and self.reason == self._unanswered:
            self.reason = why
        self._unanswered = why

    def hold(self, now: int, reference: Pose) -> None:
        """The follower's torque is on, and this is where it is held.

        Far from where it was sent, it would go there at its full speed: it was held up.
        """
        self._reference, self._referenced = reference, now
        if self._sent is None:
            return
        apart = np.abs(reference - self._sent)
        if apart.max() > JUMP:
            worst = int(apart.argmax())
            self._interrupt(
                f'{JOINTS[worst]} of the follower is {np.rad2deg(apart[worst]):.0f} degrees from '
                'where it was sent: move the leader more slowly, and see to its driver'
            )

    def bound(self, lower: Pose, upper: Pose) -> None:
        """Take the follower's limits: a joint of the leader beyond is followed up to there."""
        self._bounds = (lower, upper)

    def report(self, arm: Arm, state: str, reason: str) -> None:
        """An arm's driver says its State, and the reason of a fault."""
        trouble = ''
        if state == DriverState.FAULT:
            trouble = f'the {arm} is in fault: {reason}'
        elif state == DriverState.DISCONNECTED:
            trouble = f'the servos of the {arm} do not answer'
        self._troubles[arm] = trouble
        if arm is Arm.LEADER:
            self._limp = state == DriverState.IDLE

    def check(self, now: int) -> None:
        """Leave off when there is a reason to; for the times without a state of the leader."""
        if self.state is not State.OFF and (reason := self._obstacle(now)):
            self._interrupt(reason)

    def lead(self, now: int, stamp: int, leader: Pose) -> Command | None:
        """Take a state of the leader; return what is to be sent, if anything.

        Raises UserError for a state that is as old as SILENCE, or as far in the future.
        """
        if abs(now - stamp) > SILENCE:
            raise UserError(
                f'it is {(now - stamp) * 1e-9:.3f} s old: this computer is too busy, or the '
                "leader's computer has another time"
            )
        self.check(now)  # with the state before this one: its silence is over, but it was there
        before, self._leader = self._leader, leader
        seconds, self._led = (stamp - self._led) * 1e-9, stamp
        if self.state in (State.FOLLOWING, State.RAMPING):
            assert before is not None
            moved = np.abs(leader - before)
            if moved.max() <= JUMP:
                return self._follow(leader, seconds)
            worst = int(moved.argmax())
            self._interrupt(
                f'{JOINTS[worst]} of the leader jumped by {np.rad2deg(moved[worst]):.0f} degrees: '
                'see to its servo and its calibration'
            )
        if self.state is State.OFF or self._obstacle(now):
            return None
        assert self._reference is not None
        if self._leader_first:
            return self._lead_first(leader, self._reference, seconds)
        self._ramp = Ramp(self._reference, leader, self._velocity)
        self.state, self.reason = State.RAMPING, ''
        return self._follow(leader, 0.0)

    def _follow(self, leader: Pose, seconds: float) -> Command:
        """Send the follower to the leader, or on the ramp there."""
        if self._ramp is not None:
            leader = self._ramp.step(leader, seconds)
            if self._ramp.over:
                self._ramp, self.state = None, State.FOLLOWING
        self._sent = np.clip(self._path.ahead(self._led, leader), *self._bounds)
        return Command(Arm.FOLLOWER, self._sent)

    def _lead_first(self, leader: Pose, goal: Pose, seconds: float) -> Command:
        """Drive the leader to the follower, and then let go of it."""
        if self._ramp is None:
            self._ramp, seconds = Ramp(leader, goal, self._velocity), 0.0
            self.state, self.reason = State.LEADING, ''
        pose = self._ramp.step(goal, seconds)
        if self._ramp.over and np.abs(leader - goal).max() <= JUMP:
            self._leader_first, self._ramp = False, None
            self.state = State.WAITING
            self._switches.append(Switch(Arm.LEADER, False))
        return Command(Arm.LEADER, self._path.ahead(self._led, pose))

    def _obstacle(self, now: int) -> str:
        """Return why nothing can be sent, or ''."""
        if absence := self._absence(now):
            return absence
        if self._switches:
            return self._unanswered or f"the {self._switches[0].arm}'s torque is being switched"
        if self._leader_first and self._limp:
            return 'the leader has no torque: switch it on with leader/arm/torque'
        if self._reference is None or now - self._referenced > SILENCE:
            return 'the follower is not held: see its driver, or switch it on with arm/torque'
        return ''

    def _absence(self, now: int) -> str:
        if self._leader is None or now - self._led > SILENCE:
            return 'the leader is silent: see its driver'
        # Moved by hand, it needs nothing of its driver but its states.
        trouble = self._troubles[Arm.LEADER] if self._leader_first else ''
        return trouble or self._troubles[Arm.FOLLOWER]

    def _interrupt(self, reason: str) -> None:
        if self.state is not State.WAITING:
            self.interruptions += 1
            self.last_interruption = reason
        self.state, self.reason = State.WAITING, reason
        self._reference = None  # where it is from now on is not known yet
        self._rest()

    def _end(self, reason: str) -> None:
        """Send nothing more, and do not leave a leader stiff that a hand will take."""
        self.state, self.reason = State.OFF, reason
        self._rest()
        let_go = Switch(Arm.LEADER, False)
        held = self._leader_first or let_go in self._switches
        if self._switches and self._switches[0].arm is Arm.FOLLOWER:
            held = False  # the leader's turn has not come
        self._leader_first, self._unanswered = False, ''
        self._switches = deque([let_go] if held else [])

    def _rest(self) -> None:
        self._ramp, self._path, self._sent = None, Path(), None


def pose(names: Sequence[str], positions: Iterable[float]) -> Pose:
    """Check the fields of a sensor_msgs/JointState; raises UserError when they are not a pose."""
    if list(names) != _JOINTS:
        raise UserError(f'its joints are {", ".join(names)}, not {", ".join(JOINTS)}')
    values = np.array(positions, dtype=np.float64)
    if values.shape != (len(JOINTS),):
        raise UserError(f'it has {len(values)} positions, not {len(JOINTS)}')
    if not np.isfinite(values).all():
        raise UserError(f'its positions are not finite: {values.tolist()}')
    return values
