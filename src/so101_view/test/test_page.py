"""The page in a browser: headless Chromium, a graph that moves, and what a person then sees."""

import itertools
import math
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_cameras.publisher import CameraPublisher
from so101_description.joints import HOME, JOINTS
from so101_node import topics
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.stamp import from_nanoseconds

webdriver = pytest.importorskip('selenium.webdriver', reason='selenium is not installed')

CHROMIUM, CHROMEDRIVER = shutil.which('chromium'), shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason='chromium and chromedriver are not installed'
)

MODULE = 'so101_view.page_node'
SWITCHES = (
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--window-size=1280,800',
)

# Return a canvas's size and a sum over its pixels that differs when they do.
PIXELS = """
const canvas = document.querySelector(arguments[0]);
if (!canvas || !canvas.width) return [0, 0, 0];
const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
return [canvas.width, canvas.height, data.reduce((sum, value, i) => (sum * 31 + value) % 1e9, 7)];
"""

# Count the pixels of a canvas that have exactly the accent colour.
ACCENTED = """
const canvas = document.querySelector(arguments[0]);
const accent = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
const wanted = [1, 3, 5].map((i) => parseInt(accent.slice(i, i + 2), 16));
const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
let count = 0;
for (let i = 0; i < data.length; i += 4) {
    count += wanted.every((value, k) => data[i + k] === value);
}
return count;
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, f'--user-data-dir={tmp_path / "browser"}'):
        options.add_argument(switch)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    service = webdriver.chrome.service.Service(CHROMEDRIVER)
    browser = webdriver.Chrome(options=options, service=service)
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture
def port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as free:
        return free.getsockname()[1]


def text(browser: Any, selector: str) -> str:
    """Return what a person reads there; '' when it is not to be seen."""
    return browser.find_element('css selector', selector).text


def open_page(graph: Any, browser: Any, port: int) -> Any:
    """Start the node, and load its page once it serves."""
    process = graph.start(MODULE, port=port)
    assert 'look at' in process.stderr.readline()
    browser.get(f'http://127.0.0.1:{port}/')
    return process


def until(graph: Any, browser: Any, selector: str, pattern: str) -> None:
    graph.wait_for(
        lambda: re.search(pattern, text(browser, selector)), f'{pattern!r} in {selector}'
    )


class Robot:
    """Publishes what a graph would. `angles` are what its joints measure."""

    def __init__(self, node: Any) -> None:
        self.angles = HOME.copy()
        self._measured = node.publisher(topics.JOINT_STATES)
        self._reference = node.publisher(topics.REFERENCE)
        self._chunks = node.publisher(topics.ACTION_CHUNK)
        node.publisher(topics.TASK).publish(String(data='Pick up the cube'))
        self._cameras = [CameraPublisher(node, name, CameraInfo()) for name in topics.CAMERAS]
        self._count = itertools.count()
        node.create_timer(0.05, self._publish)
        Diagnostics(node, self._statuses)

    def predict(self) -> None:
        message = JointTrajectory(joint_names=list(JOINTS))
        message.header.stamp = from_nanoseconds(time.time_ns())
        for index in range(50):
            angles = HOME + 0.03 * index
            point = JointTrajectoryPoint(positions=angles.tolist())
            point.time_from_start.sec = index
            message.points.append(point)
        self._chunks.publish(message)

    def _publish(self) -> None:
        for publisher, angles in ((self._measured, self.angles), (self._reference, HOME)):
            message = JointState(name=JOINTS, position=angles.tolist())
            message.header.stamp = from_nanoseconds(time.time_ns())
            publisher.publish(message)
        pixels = np.full((480, 640, 3), 40, np.uint8)
        cv2.circle(pixels, (next(self._count) * 20 % 640, 240), 60, (255, 200, 0), -1)
        for camera in self._cameras:
            camera.publish(pixels, time.time_ns())

    def _statuses(self) -> list[Status]:
        session = {
            'state': 'running',
            'kind': 'rollout',
            'number': 2,
            'total': 5,
            'seconds': 4.0,
            'episode_time': 10.0,
            'place': 'near left',
        }
        return [
            Status('session/progress', Level.OK, 'rollout 2 of 5 runs', session),
            Status('driver/arm', Level.OK, 'active', {'state': 'active'}),
            Status('camera/wrist', Level.WARN, 'three frames lost', {'lost': 3}),
            Status('driver/bus', Level.ERROR, 'no answer from <b>servo</b> 3'),
        ]


def test_a_person_sees_the_robot(graph, browser, port) -> None:  # type: ignore[no-untyped-def]
    stopped: list[bool] = []

    def stop(_: Any) -> tuple[bool, str]:
        stopped.append(True)
        return True, 'stopped until arm/clear_fault'

    graph.node.serve(topics.ARM_STOP, stop)
    robot = Robot(graph.node)
    open_page(graph, browser, port)

    # Both images, in their size, and moving.
    for camera in topics.CAMERAS:
        seen: set[tuple[int, ...]] = set()

        def moving(camera: str = camera, seen: set[tuple[int, ...]] = seen) -> bool:
            picture = tuple(browser.execute_script(PIXELS, f'#camera-{camera} canvas'))
            if picture[:2] == (640, 480):
                seen.add(picture)
            return len(seen) >= 4

        graph.wait_for(moving, f'moving image of {camera}')
        until(graph, browser, f'#camera-{camera}', rf'{camera} · \d+ Hz')

    # Joint values follow the state; the gripper in percent of its range.
    until(graph, browser, 'tr[data-joint=shoulder_pan]', '0.0° 0.0°')
    until(graph, browser, 'tr[data-joint=gripper]', '5.0% 5.0%')
    before = browser.execute_script(PIXELS, '#above')
    robot.angles = HOME + math.radians(20)
    until(graph, browser, 'tr[data-joint=shoulder_pan]', '20.0° 0.0°')
    until(graph, browser, 'tr[data-joint=shoulder_lift]', r'-84.7° -104.7°')
    assert browser.execute_script(PIXELS, '#above') != before
    assert all(
        browser.execute_script(ACCENTED, f'tr[data-joint={joint}] td:nth-child({column}) canvas')
        for joint in JOINTS
        for column in (4, 5)
    )

    # The chunk is drawn over the arm.
    arm = {view: browser.execute_script(ACCENTED, view) for view in ('#above', '#side')}
    assert min(arm.values()) > 50

    def drawn() -> bool:
        robot.predict()
        return all(browser.execute_script(ACCENTED, view) > arm[view] + 10 for view in arm)

    graph.wait_for(drawn, 'chunk')

    # Health, the worst first; text is text.
    until(graph, browser, '#statuses', 'servo')
    rows = [row.text for row in browser.find_elements('css selector', '#statuses summary')]
    assert rows[0].split('\n') == ['ERROR', 'driver/bus', 'no answer from <b>servo</b> 3']
    assert rows[1].split('\n') == ['WARN', 'camera/wrist', 'three frames lost']
    assert 'OK\nsession/progress\nrollout 2 of 5 runs' in rows
    assert 'ERROR' in text(browser, '#verdict')

    # The session, the task, and the buttons.
    assert text(browser, '#progress') == 'rollout 2 of 5 runs'
    assert text(browser, '#count') == 'rollout 2 of 5'
    assert text(browser, '#task') == 'Pick up the cube'
    assert text(browser, '#arm') == 'arm: active'
    browser.find_element('id', 'stop').click()
    until(graph, browser, '#answer', 'stopped until arm/clear_fault')
    assert stopped == [True]
    browser.find_element('css selector', '[data-press=again]').click()
    until(graph, browser, '#answer', 'session/again: nobody serves it')

    complaints = [line for line in browser.get_log('browser') if line['level'] == 'SEVERE']
    assert not complaints


def test_a_page_whose_node_died_says_so_and_comes_back(graph, browser, port) -> None:  # type: ignore[no-untyped-def]
    robot = Robot(graph.node)
    process = open_page(graph, browser, port)
    until(graph, browser, '#connection', '^live$')
    until(graph, browser, 'tr[data-joint=shoulder_pan]', '0.0°')

    process.kill()
    until(graph, browser, '#connection', '^disconnected$')
    assert 'Disconnected' in text(browser, '#banner')
    assert not browser.find_element('id', 'stop').is_enabled()

    robot.angles = HOME + math.radians(10)
    restarted = graph.start(MODULE, port=port)
    until(graph, browser, '#connection', '^live$')
    until(graph, browser, 'tr[data-joint=shoulder_pan]', '10.0°')
    assert text(browser, '#banner') == ''
    assert browser.find_element('id', 'stop').is_enabled()

    # A node that hangs holds its connection and says nothing.
    restarted.send_signal(signal.SIGSTOP)
    until(graph, browser, '#connection', '^disconnected$')
    restarted.send_signal(signal.SIGCONT)
    until(graph, browser, '#connection', '^live$')


def test_a_page_without_a_robot_says_that_nothing_came(graph, browser, port) -> None:  # type: ignore[no-untyped-def]
    open_page(graph, browser, port)
    until(graph, browser, '#connection', '^live$')
    for camera in topics.CAMERAS:
        until(graph, browser, f'#camera-{camera}', f'{camera}: no picture yet')
    assert text(browser, 'tr[data-joint=gripper]').startswith('gripper \u2013 \u2013')
    assert text(browser, '#progress') == 'No session on this graph.'
    assert not browser.find_element('css selector', '[data-press=next]').is_enabled()
    browser.find_element('id', 'stop').click()
    until(graph, browser, '#answer', 'arm/stop: nobody serves it')
