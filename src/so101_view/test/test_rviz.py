"""The RViz configuration names what there is: classes, topics with a QoS that fits, frames."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from so101_description.kinematics import BASE
from so101_node.topics import CAMERAS, CHUNK_PATH, Topic

CONFIG = yaml.safe_load((Path(__file__).parents[1] / 'rviz' / 'so101.rviz').read_text())
MANAGER = CONFIG['Visualization Manager']
DISPLAYS = {display['Name']: display for display in MANAGER['Displays']}

# As ros-jazzy-rviz-default-plugins and ros-jazzy-rviz-common export them.
CLASSES = {
    *(f'rviz_common/{name}' for name in ('Displays', 'Views')),
    *(
        f'rviz_default_plugins/{name}'
        for name in ('Grid', 'RobotModel', 'Path', 'Image', 'TF', 'Orbit')
    ),
    *(
        f'rviz_default_plugins/{name}'
        for name in ('Interact', 'MoveCamera', 'Select', 'FocusCamera', 'Measure')
    ),
}


def classes(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(classes, node))
    if not isinstance(node, dict):
        return set()
    own = {node['Class']} if node.get('Class') else set()
    return own.union(*map(classes, node.values()))


def test_every_class_is_one_of_rvizs_own() -> None:
    assert classes(CONFIG) <= CLASSES


@pytest.mark.parametrize(
    ('name', 'topic'),
    [
        ('Predicted chunk', CHUNK_PATH),
        ('Wrist camera', CAMERAS['wrist'].image),
        ('Overhead camera', CAMERAS['overhead'].image),
    ],
)
def test_topics_are_the_suites_and_their_qos_fits(name: str, topic: Topic) -> None:
    display = DISPLAYS[name]
    assert display['Class'].split('/')[1] == topic.type.__name__
    assert display['Topic']['Value'] == topic.name
    offered = topic.qos.reliability.name.replace('_', ' ').title()
    assert display['Topic']['Reliability Policy'] == offered
    assert display['Topic']['Durability Policy'] == 'Volatile'
    assert display['Enabled']


def test_two_robots_of_one_description_measured_and_reference() -> None:
    robots = [x for x in DISPLAYS.values() if x['Class'] == 'rviz_default_plugins/RobotModel']
    assert [robot['TF Prefix'] for robot in robots] == ['', 'reference']
    assert robots[0]['Alpha'] == 1
    assert robots[1]['Alpha'] < 0.5
    for robot in robots:  # latched, by robot_state_publisher
        assert robot['Description Topic']['Value'] == 'robot_description'
        assert robot['Description Topic']['Durability Policy'] == 'Transient Local'


def test_all_is_seen_from_the_base_and_frames_are_off() -> None:
    assert MANAGER['Global Options']['Fixed Frame'] == BASE
    assert not DISPLAYS['Frames']['Enabled']
