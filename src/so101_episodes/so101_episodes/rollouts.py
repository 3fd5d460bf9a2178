"""Rollouts of a policy one after the other, as a script over what a robot can be told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from so101_description.units import dataset_to_radians
from so101_node.error import UserError

Pose = NDArray[np.float64]  # radians, shape (6,)

# The stop-over of an indirect reset, and how long the arm rests there. Stretched out, the arm
# comes home from above, whatever it was entangled with.
ZERO_POSE: Pose = dataset_to_radians([0, 0, 0, 0, 0, 5])
ZERO_PAUSE = 1.5  # s


class Stopped(Exception):
    """The script was asked to stop; the arm and the policy are the asker's concern."""


class ArmFault(UserError):
    """The driver latched a fault, arm/stop for one: it holds the arm where it is."""


class OtherDriver(UserError):
    """Another driver would take what is meant for ours: say nothing more to anybody."""


@dataclass(frozen=True)
class Plan:
    """What to do; times in seconds."""

    num_rollouts: int
    episode_time: float
    direct_reset: bool
    record: bool
    sim: bool
    start_pause: float
    pause_between: float
    home: Pose


class Robot(Protocol):
    """Every method blocks until it is done; it raises UserError when it cannot be, or Stopped.

    Any of them raises ArmFault when the driver latches a fault meanwhile.
    """

    def wait_for_arm(self) -> None: ...
    def torque(self, on: bool) -> None: ...
    def move(self, goal: Pose) -> None: ...
    def wait_for_policy(self) -> None: ...
    def reset_world(self) -> None: ...
    def reset_policy(self) -> None: ...
    def start_episode(self) -> None: ...
    def enable_policy(self, on: bool) -> None: ...

    def wait_for_success(self, timeout: float) -> float | None:
        """Return the seconds until the task was done, or None when `timeout` seconds were over."""

    def end_episode(self, outcome: str) -> str:
        """End the recording as 'success', 'failure' or 'unlabelled'; return the bag's path."""

    def pause(self, seconds: float) -> None: ...

    def wait_for_clearance(self) -> None:
        """Wait until the driver's fault is cleared."""


def roll_out(plan: Plan, robot: Robot, report: Callable[[str], None]) -> None:
    """Do all rollouts of `plan`; report what is being waited for, and each rollout, in a line.

    After a UserError the policy is off, the episode closed, the arm home (as far as the robot
    still does that) and without torque, and the first error is raised. A fault of the arm is first
    waited out, on a real arm: whoever pressed stop wants it held, not dropped.
    """
    robot.wait_for_arm()  # raises OtherDriver, too
    report(f'the arm moves to its home pose in {plan.start_pause:g} s')
    robot.pause(plan.start_pause)
    try:
        robot.torque(True)
        _reset(plan, robot)
        report('waiting for the policy to be ready')
        robot.wait_for_policy()
        for number in range(1, plan.num_rollouts + 1):
            result = _roll_out_once(plan, robot, report)
            report(f'rollout {number} of {plan.num_rollouts}: {result}')
            _reset(plan, robot)
            if number < plan.num_rollouts:
                robot.pause(plan.pause_between)
    except UserError as error:
        if isinstance(error, ArmFault) and not plan.sim:
            report(f'{error}. The arm is held; Ctrl-C lets go of it')
            robot.wait_for_clearance()
        _attempt(lambda: robot.move(plan.home), report)
        _attempt(lambda: robot.torque(False), report)
        raise
    robot.torque(False)


def _reset(plan: Plan, robot: Robot) -> None:
    if not plan.direct_reset:
        robot.move(ZERO_POSE)
        robot.pause(ZERO_PAUSE)
    robot.move(plan.home)


def _roll_out_once(plan: Plan, robot: Robot, report: Callable[[str], None]) -> str:
    if plan.sim:
        robot.reset_world()
    robot.reset_policy()
    if plan.record:
        robot.start_episode()
    try:
        robot.enable_policy(True)
        seconds = robot.wait_for_success(plan.episode_time)
        robot.enable_policy(False)
    except UserError:
        _attempt(lambda: robot.enable_policy(False), report)
        if plan.record:
            _attempt(lambda: robot.end_episode('unlabelled'), report)
        raise
    outcome = ('failure' if seconds is None else 'success') if plan.sim else 'unlabelled'
    result = f'{outcome}, {plan.episode_time if seconds is None else seconds:.1f} s'
    return f'{result}, {robot.end_episode(outcome)}' if plan.record else result


def _attempt(step: Callable[[], object], report: Callable[[str], None]) -> None:
    """Do a step on the way out of an error, which comes first: one more is only reported."""
    try:
        step()
    except UserError as error:
        report(f'and then: {error}')
