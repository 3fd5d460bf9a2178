"""Rollouts in lockstep, of a policy that knows what the scripted hand would do."""

import math
import re
from collections.abc import Callable
from itertools import repeat
from typing import Any

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from so101_description.joints import HOME, JOINTS
from so101_description.units import dataset_to_radians, radians_to_dataset
from so101_driver import calibration_file, trajectory
from so101_driver.calibration import Calibration
from so101_evaluation import simulated_rollout
from so101_evaluation.simulated_rollout import FPS, TICK, Images, Rollout, Scheduled, roll_out
from so101_policy import trajectory_message
from so101_policy.pilot import Pilot
from so101_policy.plan import Limits, following, standing
from so101_policy.schedule import Guidance, Mode, Schedule
from so101_sim import expert, scene
from so101_sim.lockstep import Lockstep
from so101_sim.mounting import calibration_path

Array = NDArray[np.float64]

LIMITS = Limits(3.0, 15.0, 400.0)
NO_IMAGES = np.zeros((2, 1, 1, 3), np.uint8)
INTO_THE_TABLE = np.array([0.0, 0.9, 0.3, 0.9, HOME[4], HOME[5]])


@pytest.fixture(scope='module')
def model() -> mujoco.MjModel:
    return scene.build()


@pytest.fixture(scope='module')
def calibration() -> Calibration:
    return calibration_file.load(calibration_path())


class Oracle:
    """A policy that does what the hand would, on the simulation's clock.

    `asked` are the times, ns, at which it was; `guidances` what it was tied to, `states` and
    `seen` what it was shown.
    """

    def __init__(self, simulation: Lockstep, seed: int) -> None:
        place, yaw = scene.cube_place(scene.coordinate_names(), simulation.positions.tolist())
        self._way = expert.demonstration(simulation.reference, place, yaw, seed)
        self._simulation = simulation
        self._begun = simulation.time
        self.asked: list[int] = []
        self.guidances: list[Guidance | None] = []
        self.states: list[Array] = []
        self.seen: list[Images] = []

    def __call__(self, images: Images, state: Array, guidance: Guidance | None = None) -> Array:
        self.asked.append(self._simulation.time)
        self.guidances.append(guidance)
        self.states.append(state)
        self.seen.append(images)
        return radians_to_dataset(self.actions(self._simulation.time))

    def actions(self, time: int) -> Array:
        """Return fifty, the first for a time; radians."""
        begun = (time - self._begun) * 1e-9
        return np.array([self._way.pose(begun + tick / FPS) for tick in range(50)])


Run = Callable[..., tuple[Oracle, Scheduled, Rollout]]


@pytest.fixture(scope='module')
def run(model: mujoco.MjModel, calibration: Calibration) -> Run:
    """Return a function that rolls the oracle out."""

    def run(
        seed: int = 3,
        mode: Mode = Mode.RTC,
        latency: float = 0.0,
        seconds: float = 2.0,
        guided: bool = True,
    ) -> tuple[Oracle, Scheduled, Rollout]:
        simulation = Lockstep(model, calibration, seed)
        oracle = Oracle(simulation, seed)
        pilot = Pilot(Schedule(FPS, mode, LIMITS, 10), FPS)
        execution = Scheduled(pilot, oracle, repeat(latency), guided)
        rollout = roll_out(simulation, lambda positions: NO_IMAGES, execution, seconds)
        return oracle, execution, rollout

    return run


@pytest.mark.parametrize(
    ('mode', 'latency'), [(Mode.RTC, 0.0), (Mode.RTC, 0.3), (Mode.ENSEMBLE, 0.1)]
)
def test_a_policy_that_knows_the_way_puts_the_cube_into_the_bowl(
    run: Run, mode: Mode, latency: float
) -> None:
    _, execution, rollout = run(mode=mode, latency=latency, seconds=15.0)
    assert rollout.success
    assert rollout.held == ''
    assert 5 < rollout.seconds < 13
    assert len(rollout.references) == pytest.approx(rollout.seconds * FPS, abs=1.5)
    assert len(execution.changes) == pytest.approx(rollout.seconds * FPS / 10, abs=2)


def test_the_same_seed_is_the_same_rollout_and_another_one_is_not(run: Run) -> None:
    first, second, other = (run(seed=seed, latency=0.1)[2] for seed in (3, 3, 4))
    assert (first.references == second.references).all()
    assert first.changes == second.changes
    assert (first.references != other.references).any()


def test_it_ends_in_time_without_success(run: Run) -> None:
    _, _, rollout = run(seconds=1.0)
    assert not rollout.success
    assert rollout.seconds == pytest.approx(1.0, abs=0.002)
    assert rollout.references.shape == (30, 6)


@settings(max_examples=10)
@given(microseconds=st.integers(0, 700_000))
def test_chunks_take_over_as_much_later_than_their_frames_as_inference_takes(
    run: Run, microseconds: int
) -> None:
    oracle, execution, rollout = run(latency=microseconds * 1e-6, seconds=1.5)
    frames = [(time - oracle.asked[0]) / TICK for time in oracle.asked]
    assert frames == pytest.approx(np.round(frames), abs=0.06)  # steps of 2 ms
    ended = oracle.asked[0] + 1.5e9
    due = [time + microseconds * 1000 for time in oracle.asked]
    assert execution.changes == pytest.approx([time for time in due if time < ended], abs=2e6)
    assert rollout.references.shape == (45, 6)


def test_changes_are_counted_in_frames(run: Run) -> None:
    _, execution, rollout = run(latency=0.05, seconds=1.0)
    begun = execution.changes[0] - 50_000_000
    assert rollout.changes == tuple(
        math.ceil((time - begun) / TICK - 0.5) for time in execution.changes
    )
    assert rollout.changes[:2] == (1, 11)


def test_the_policy_is_asked_about_the_measured_arm_in_dataset_units(run: Run) -> None:
    oracle, _, rollout = run(seconds=1.0)
    frames = [round((time - oracle.asked[0]) / TICK) for time in oracle.asked]
    apart = [
        dataset_to_radians(state) - rollout.references[frame]
        for frame, state in zip(frames, oracle.states, strict=True)
    ]
    # An arm that moves lags behind what it is told, and sags a little.
    assert 0.001 < np.abs(apart).max() < 0.15


def test_a_guided_policy_is_tied_to_the_plan_in_dataset_units(run: Run) -> None:
    oracle, _, rollout = run(latency=0.1, seconds=1.5)
    assert oracle.guidances[0] is None
    for time, guidance in zip(oracle.asked[1:], oracle.guidances[1:], strict=True):
        assert guidance is not None
        assert guidance.delay == 3
        first = round((time - oracle.asked[0]) / TICK)
        decided = dataset_to_radians(guidance.prefix)[:3]
        followed = rollout.references[first : first + 3]
        assert decided[: len(followed)] == pytest.approx(followed, abs=0.01)


def test_a_policy_that_cannot_be_tied_is_not(run: Run) -> None:
    oracle, _, _ = run(latency=0.1, guided=False)
    assert set(oracle.guidances) == {None}


def test_images_are_of_the_frame_even_when_they_are_drawn_later(
    model: mujoco.MjModel, calibration: Calibration
) -> None:
    """An execution may keep `see`, as a queue of observations does."""

    class Late:
        due = math.inf

        def begin(self, now: int, reference: Array) -> None:
            self.changes: list[int] = []
            self.kept: list[Callable[[], Any]] = []

        def frame(self, now: int, state: Array, see: Callable[[], Any]) -> None:
            self.kept.append(see)

        def proceed(self, now: int) -> None:
            raise AssertionError

    simulation = Lockstep(model, calibration, 3)
    execution = Late()
    roll_out(simulation, lambda positions: positions, execution, 0.2)
    drawn = [see() for see in execution.kept]
    assert len(drawn) == 6
    assert (drawn[0] != drawn[-1]).any()  # the arm sags a little


class Fixed:
    """Chunks that go to one pose, radians, and stay."""

    def __init__(self, pose: Array) -> None:
        self._pose = pose

    def __call__(self, images: Images, state: Array, guidance: Guidance | None = None) -> Array:
        way = np.minimum(np.arange(1, 51) / 25, 1)[:, None]
        here = dataset_to_radians(state)
        return radians_to_dataset(here + (self._pose - here) * way)


def test_an_arm_that_is_driven_into_the_table_faults_and_says_so(
    model: mujoco.MjModel, calibration: Calibration
) -> None:
    simulation = Lockstep(model, calibration, 3)
    pilot = Pilot(Schedule(FPS, Mode.RTC, LIMITS, 10), FPS)
    execution = Scheduled(pilot, Fixed(INTO_THE_TABLE), repeat(0.0), guided=False)
    rollout = roll_out(simulation, lambda positions: NO_IMAGES, execution, 10.0)
    assert not rollout.success
    assert re.search('shoulder_lift (is|reports)', rollout.held)
    assert rollout.seconds < 9


def test_unsound_chunks_are_not_followed(model: mujoco.MjModel, calibration: Calibration) -> None:
    simulation = Lockstep(model, calibration, 3)
    pilot = Pilot(Schedule(FPS, Mode.RTC, LIMITS, 10), FPS)
    execution = Scheduled(pilot, Fixed(np.full(6, np.nan)), repeat(0.1), guided=False)
    rollout = roll_out(simulation, lambda positions: NO_IMAGES, execution, 1.0)
    assert rollout.changes == ()
    assert pilot.counts.unsound >= 3
    assert rollout.references == pytest.approx(np.tile(HOME, (30, 1)), abs=0.01)


def test_a_plan_reaches_the_driver_as_the_nodes_message_would() -> None:
    start = 1_700_000_000_123_456_789
    rest = standing(HOME, start, 1 / FPS)
    goals = HOME + np.linspace(0, 0.3, 20)[:, None] * [1, -1, 1, -1, 1, 1]
    plan = following(rest, start, goals, LIMITS)
    sent = simulated_rollout.of_plan(plan)
    heard = trajectory.parse(trajectory_message.of_plan(plan), start)
    assert sent.start == heard.start
    assert len(sent.points) == len(heard.points)
    for ours, theirs in zip(sent.points, heard.points, strict=True):
        assert ours.time == theirs.time
        for mine, its in zip(ours[1:], theirs[1:], strict=True):
            assert len(mine) == len(JOINTS)
            assert mine == pytest.approx(its, abs=1e-12)


def test_an_arm_that_is_kept_from_where_it_was_sent_is_led_to_where_it_is() -> None:
    """As by the policy node; the driver would fault in the end."""
    pilot = Pilot(Schedule(FPS, Mode.RTC, LIMITS, 10), FPS)
    execution = Scheduled(pilot, Fixed(HOME), repeat(10.0), guided=False)
    execution.begin(0, HOME)
    kept = HOME + np.deg2rad([40.0, 0, 0, 0, 0, 0])
    sent = [
        execution.frame(round(frame * TICK), radians_to_dataset(kept), lambda: NO_IMAGES)
        for frame in range(20)
    ]
    [led] = [trajectory for trajectory in sent if trajectory is not None]
    assert led.points[0].position == pytest.approx(HOME, abs=0.001)
    assert led.points[-1].position == pytest.approx(kept, abs=0.001)
    assert 'shoulder_pan is 40 degrees from where it was sent' in pilot.held
