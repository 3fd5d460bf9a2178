"""The driver takes whatever the policy sends, also when it hears of it a little later."""

import numpy as np
import pytest

from so101_description.joints import HOME
from so101_driver.limits import Motion
from so101_driver.trajectory import Schedule as DriverSchedule
from so101_driver.trajectory import parse
from so101_policy.pilot import Pilot
from so101_policy.plan import Limits, Plan
from so101_policy.schedule import Mode, Schedule
from so101_policy.trajectory_message import of_plan

START = 1_700_000_000_000_000_000
FPS = 30


def at(seconds: float) -> int:
    return START + round(seconds * 1e9)


def plans() -> list[Plan]:
    """Return a plan of each kind that a pilot makes, each from the one before."""
    pilot = Pilot(Schedule(FPS, Mode.RTC, Limits(3.0, 15.0, 400.0), 10), FPS)
    pilot.enable(START, HOME)
    found = []
    for tick in (0, 10):
        pilot.ask(at(tick / FPS))
        ticks = tick + np.arange(50)[:, None]
        actions = HOME + 0.3 * (1 - np.cos(2 * np.pi * 0.4 * ticks / FPS)) * [1, 1, -1, -1, -1, 1]
        found.append(pilot.answer(actions, at((tick + 5) / FPS)))
    found.append(pilot.hold('a test', at(0.7)))
    stuck = HOME + np.array([-0.4, 0, 0, 0, 0, 0])
    found += [pilot.watch(at(now), '', '', stuck) for now in (2.0, 2.6)]
    return [plan for plan in found if plan is not None]


@pytest.mark.parametrize(('late', 'most'), [(0.0, 1.0), (0.005, 1.0), (0.03, 1.5)])
def test_the_driver_takes_every_plan_and_follows_it_smoothly(late: float, most: float) -> None:
    made = plans()
    assert len(made) == 4
    driver = DriverSchedule(max_velocity=3.0, max_jump=1.0)
    motion, way = Motion(HOME, np.zeros(6)), []
    waiting = [(plan.start + round(late * 1e9), plan) for plan in made]
    cycle = 5_000_000
    for now in range(START, at(4.5), cycle):
        while waiting and waiting[0][0] <= now:
            driver.add(parse(of_plan(waiting.pop(0)[1]), now))
        driver.advance(now, motion, now - cycle)
        motion = driver.target(now) or motion
        way.append(motion.position)
    second = np.rad2deg(np.diff(way[:: round(1e9 / FPS / cycle)], 2, axis=0))
    assert np.abs(second).max() < most, 'degrees; 15 rad/s^2 are 0.95'
    np.testing.assert_allclose(way[-1], made[-1].positions[-1], atol=1e-6)
