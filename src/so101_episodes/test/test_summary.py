"""A bag says of its episode how the arm moved, what the nodes said, which cameras it had."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from so101_cameras.image import to_jpeg
from so101_description.joints import JOINTS
from so101_episodes.bag import Bag, Channel, message_definitions
from so101_episodes.episode import Episode
from so101_episodes.summary import described
from so101_node.topics import CAMERAS, DIAGNOSTICS, JOINT_STATES, REFERENCE, Topic

STORE: Any = message_definitions()
TYPES: Any = STORE.types
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
WRIST = CAMERAS['wrist'].compressed
EPISODE = Episode.begun(START, 'rollout', 'a task', '', '')


class Writing:
    """A bag of an arm that turns by 30 degrees a second, 1 degree behind what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shift = 0  # of the clock, ns
        self._bag = Bag(
            folder,
            [
                Channel(f'/{topic.name.lstrip("/")}', topic.type_name, 10, True, False)
                for topic in (JOINT_STATES, REFERENCE, WRIST, DIAGNOSTICS)
            ],
        )

    def write(self, topic: Topic, after: float, *fields: Any) -> None:
        """Write a message that has a header, received `after` the start, s."""
        at = START + self.shift + round(after * SECOND)
        time = TYPES['builtin_interfaces/msg/Time'](*divmod(at, SECOND))
        message = TYPES[topic.type_name](TYPES['std_msgs/msg/Header'](time, ''), *fields)
        data = bytes(STORE.serialize_cdr(message, topic.type_name))
        self._bag.write(f'/{topic.name.lstrip("/")}', data, at)

    def move(self, begin: float, end: float) -> None:
        for after in np.arange(begin, end, 0.01):
            for topic, lag in ((REFERENCE, 0), (JOINT_STATES, 1)):
                pose = np.deg2rad([30 * after - lag] * 6)
                self.write(topic, after, list(JOINTS), pose, np.zeros(6), np.zeros(0))

    def film(self, *after: float) -> None:
        data = np.frombuffer(to_jpeg(np.zeros((48, 64, 3), np.uint8)), np.uint8)
        for moment in after:
            self.write(WRIST, moment, 'jpeg', data)

    def say(self, after: float, status: str, **values: str) -> None:
        pairs = [TYPES['diagnostic_msgs/msg/KeyValue'](*pair) for pair in values.items()]
        kind = TYPES['diagnostic_msgs/msg/DiagnosticStatus']
        self.write(DIAGNOSTICS, after, [kind(0, status, '', '', pairs)])

    def described(self) -> Episode:
        self._bag.close()
        return described(EPISODE, self.folder)


@pytest.fixture
def writing(tmp_path: Path) -> Writing:
    return Writing(tmp_path / 'one')


def test_motion_and_rates_are_measured(writing: Writing) -> None:
    writing.move(0, 3)
    writing.film(*np.arange(0, 1, 0.04), *np.arange(1.8, 3, 0.04))
    episode = writing.described()
    figures = episode.figures
    assert figures['tracking_rms_degrees'] == pytest.approx(1, abs=1e-6)
    assert figures['tracking_max_degrees'] == pytest.approx(1, abs=1e-6)
    assert figures['travel_degrees'] == pytest.approx(30 * 2.99)
    assert figures['measured_jerk_p95_degrees'] == pytest.approx(0, abs=1e-4)
    assert figures['reference_change_rms_degrees'] == pytest.approx(0, abs=1e-4)
    assert figures['joint_states_rate_hz'] == pytest.approx(100)
    assert figures['joint_states_period_p99_ms'] == pytest.approx(10)
    assert figures['wrist_longest_gap_ms'] == pytest.approx(840)
    assert figures['wrist_rate_hz'] == pytest.approx(54 / 2.96)
    assert 'overhead_rate_hz' not in figures
    assert episode.cameras == {'wrist': {'width': 64, 'height': 48, 'format': 'jpeg'}}
    assert replace(episode, figures={}, cameras={}) == EPISODE


def test_what_the_nodes_said_is_what_they_said_last_and_what_they_counted(
    writing: Writing,
) -> None:
    for after, inference, chunks, starved in ((0, '30.0', '10', '0.5'), (1, '40.0', '25', '0.7')):
        writing.say(after, 'policy/inference', inference_p50_ms=inference, chunks=chunks)
        writing.say(after, 'policy/motion', starved_seconds=starved, jerk_rms_degrees='nan')
        writing.say(after, 'sim/world', real_time_factor=str(1.0 - after / 10))
    writing.say(2, 'driver/arm', port='/dev/ttyACM0', calibration='my_arm.json', state='active')
    writing.say(2, 'leader/driver/arm', port='/dev/ttyACM1', calibration='leader.json')
    episode = writing.described()
    figures = episode.figures
    assert (figures['inference_p50_ms'], figures['chunks']) == (40.0, 15.0)
    assert figures['starved_seconds'] == pytest.approx(0.2)
    assert figures['real_time_factor_min'] == 0.9
    assert figures['jerk_rms_degrees'] is None
    assert figures['late_chunks'] is None  # nobody said
    assert episode.arm == {'port': '/dev/ttyACM0', 'calibration': 'my_arm.json'}


def test_a_count_that_began_again_is_what_it_came_to(writing: Writing) -> None:
    for after, chunks in ((0, '90'), (1, '7')):
        writing.say(after, 'policy/inference', chunks=chunks)
    assert writing.described().figures['chunks'] == 7.0


@pytest.mark.parametrize('jump', [-2, 3600, -3600])
def test_a_clock_that_jumps_leaves_the_figures_as_they_are(writing: Writing, jump: int) -> None:
    writing.move(0, 3)
    writing.film(0, 0.5, 1.0)
    writing.shift = jump * SECOND
    writing.move(3, 5)
    writing.film(3.5, 4.0)
    figures = writing.described().figures
    assert figures['measured_jerk_p95_degrees'] == pytest.approx(0, abs=1e-4)
    assert figures['tracking_max_degrees'] == pytest.approx(1, abs=1e-6)
    assert figures['joint_states_rate_hz'] == pytest.approx(100)
    assert figures['wrist_longest_gap_ms'] == pytest.approx(500)


def test_an_empty_bag_and_messages_that_cannot_be_decoded_say_nothing(tmp_path: Path) -> None:
    empty = Writing(tmp_path / 'empty').described()
    assert set(empty.figures.values()) == {None}
    noise = Writing(tmp_path / 'noise')
    for topic in (JOINT_STATES, REFERENCE, WRIST, DIAGNOSTICS):
        for data in (b'', b'\0\1\0\0', b'\0\1\0\0' + bytes(range(200))):
            noise._bag.write(f'/{topic.name.lstrip("/")}', data, START)
    assert noise.described().figures.keys() >= empty.figures.keys()
