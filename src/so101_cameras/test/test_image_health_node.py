"""The node image_health says what is wrong, of compressed images and of raw ones, at once."""

import signal
import time
from array import array
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image, JointState

from so101_cameras.image import to_jpeg
from so101_description.joints import JOINTS
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds
from so101_node.topics import CAMERAS, DIAGNOSTICS, JOINT_STATES

MODULE = 'so101_cameras.image_health_node'


class Robot:
    """The wrist camera as JPEG, the overhead one raw, 30 a second, and an arm that moves."""

    def __init__(self, node: Node) -> None:
        self.black: set[str] = set()
        self.frozen: set[str] = set()
        self.stopped = False
        self._node = node
        self._jpeg = node.publisher(CAMERAS['wrist'].compressed)
        self._raw = node.publisher(CAMERAS['overhead'].image)
        self._joints = node.publisher(JOINT_STATES)
        self._number = 0
        self._pixels = {name: self._picture(name) for name in CAMERAS}
        node.create_timer(1 / 30, self._publish)

    def also_compress(self) -> None:
        """Let the overhead camera be there as JPEG, too."""
        self._overhead_jpeg = self._node.publisher(CAMERAS['overhead'].compressed)

    def _picture(self, name: str) -> np.ndarray:
        pixels = np.full((480, 640, 3), 0 if name in self.black else 100, np.uint8)
        pixels[::2, : self._number % 640] += 3
        return pixels

    def _publish(self) -> None:
        if self.stopped:
            return
        self._number += 1
        stamp = from_nanoseconds(time.time_ns())
        state = JointState(name=list(JOINTS), position=[0.02 * self._number] * 6)
        state.header.stamp = stamp
        self._joints.publish(state)
        for name in set(CAMERAS) - self.frozen:
            self._pixels[name] = self._picture(name)
        jpeg = CompressedImage(format='jpeg', data=array('B', to_jpeg(self._pixels['wrist'])))
        jpeg.header.stamp = stamp
        self._jpeg.publish(jpeg)
        data = array('B', self._pixels['overhead'].tobytes())
        raw = Image(height=480, width=640, step=1920, encoding='rgb8', data=data)
        raw.header.stamp = stamp
        self._raw.publish(raw)


class Health:
    """The last status of each camera, and how many there were."""

    def __init__(self, graph: Any) -> None:
        self.level: dict[str, int] = {}
        self.message: dict[str, str] = {}
        self.values: dict[str, dict[str, str]] = {}
        self.heard = 0
        graph.node.subscribe(DIAGNOSTICS, self._hear)

    def _hear(self, message: Any) -> None:
        self.heard += 1
        for status in message.status:
            name = status.name.removeprefix('image_health/')
            self.level[name] = status.level[0]
            self.message[name] = status.message
            self.values[name] = {pair.key: pair.value for pair in status.values}


@pytest.mark.timeout(120)
def test_faults_are_told_as_they_begin_and_end_and_what_is_published_is_heard(graph: Any) -> None:
    health, robot = Health(graph), Robot(graph.node)
    process = graph.start(MODULE)

    def well() -> bool:
        return set(health.level.values()) == {0} and len(health.level) == 2

    graph.wait_for(well, 'sound camera')
    topics = {name: said['topic'] for name, said in health.values.items()}
    assert topics['wrist'].endswith('wrist_camera/color/image_raw/compressed')
    assert topics['overhead'].endswith('overhead_camera/image_raw')
    assert (health.values['overhead']['width'], health.values['overhead']['height']) == (
        '640',
        '480',
    )
    assert abs(float(health.values['wrist']['brightness']) - 101) < 3
    for name in CAMERAS:
        robot.black.add(name)
        graph.wait_for(lambda name=name: health.level[name] == 2, 'black')
        assert health.message[name].startswith(f'the {name} picture is black: brightness ')
        assert health.values[name]['faults'] == 'black'
        robot.black.clear()
        graph.wait_for(well, 'end of it')
        robot.frozen.add(name)
        graph.wait_for(lambda name=name: health.level[name] == 2, 'frozen')
        assert 'stands still while the arm moves' in health.message[name]
        robot.frozen.clear()
        graph.wait_for(well, 'end of it')
    robot.stopped = True
    graph.wait_for(lambda: set(health.level.values()) == {2}, 'silence')
    robot.also_compress()
    graph.wait_for(
        lambda: health.values['overhead']['topic'].endswith('/compressed'), 'change of topics'
    )
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 0
    assert 'of 255; is its lens covered?' in said
    assert 's: the overhead picture is black' in said, 'that it is over'


@pytest.mark.timeout(60)
def test_a_robot_without_an_overhead_camera_does_not_miss_it(graph: Any) -> None:
    health = Health(graph)
    graph.start(MODULE, cameras=['wrist'])
    graph.wait_for(lambda: health.heard > 1, 'status')
    assert set(health.level) == {'wrist'}
    assert (health.level['wrist'], health.message['wrist']) == (1, 'no image yet')
    graph.wait_for(lambda: health.level['wrist'] == 2, 'a camera that does not')
    assert 'no image of the wrist camera for 10' in health.message['wrist']
