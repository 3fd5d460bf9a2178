"""The files for plain rosbag2 say what the suite's own recorder does."""

from pathlib import Path
from typing import Any

import pytest
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from ruamel.yaml import YAML

from so101_episodes.recorder_node import patient, recorded
from so101_node import qos
from so101_node.topics import (
    CAMERAS,
    JOINT_TRAJECTORY,
    LEADER_STATES,
    LEADER_TRAJECTORY,
    Topic,
)

CONFIG = Path(__file__).parents[1] / 'config'
TOPICS = {f'/{topic.name.lstrip("/")}': topic for topic in recorded(CAMERAS)}
MOVING = (JOINT_TRAJECTORY, LEADER_TRAJECTORY, LEADER_STATES)  # a driver or teleop acts on them


def profiles(name: str) -> dict[str, QoSProfile]:
    """Read a file as ros2bag.api.convert_yaml_to_qos_profile does (Jazzy, 0.26)."""
    policies: dict[str, Any] = {
        'history': HistoryPolicy.get_from_short_key,
        'reliability': ReliabilityPolicy.get_from_short_key,
        'durability': DurabilityPolicy.get_from_short_key,
        'depth': int,
    }
    content = YAML(typ='safe').load(CONFIG / name)
    return {
        topic: QoSProfile(**{key: policies[key](value) for key, value in given.items()})
        for topic, given in content.items()
    }


def test_the_list_of_topics_is_what_the_recorder_records() -> None:
    assert (CONFIG / 'record_topics.txt').read_text().split() == list(TOPICS)


def test_plain_rosbag2_subscribes_as_the_recorder_does() -> None:
    assert profiles('record_qos.yaml') == {
        name: patient(topic.qos) for name, topic in TOPICS.items()
    }


def test_what_moves_an_arm_is_not_played() -> None:
    played = (CONFIG / 'play_topics.txt').read_text().split()
    assert played == [name for name, topic in TOPICS.items() if topic not in MOVING]
    assert list(profiles('play_qos.yaml')) == played


@pytest.mark.parametrize('name', (CONFIG / 'play_topics.txt').read_text().split())
def test_what_is_played_reaches_those_who_hear_it_live_and_rviz(name: str) -> None:
    topic: Topic = TOPICS[name]
    played = profiles('play_qos.yaml')[name]
    # RViz asks for reliable images unless it is told otherwise.
    for wanted in (topic.qos, QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)):
        compatible, why = qos_check_compatible(played, wanted)
        assert compatible != QoSCompatibility.ERROR, why
    assert played.durability == topic.qos.durability
    assert played.depth == topic.qos.depth
    latched = topic.qos == qos.LATCHED
    assert latched == (played.durability == DurabilityPolicy.TRANSIENT_LOCAL)
