"""The page's node, as a browser's connection sees it: what it sends, and whom it refuses."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from so101_cameras.publisher import CameraPublisher
from so101_description.joints import HOME, JOINTS
from so101_node import topics
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_view.board import Board
from so101_view.page_server import PageServer

MODULE = 'so101_view.page_node'
PIXELS = np.full((480, 640, 3), (200, 30, 60), np.uint8)


def address(process: 'subprocess.Popen[str]') -> str:
    """Return the page's address, which the node logs."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r'look at (http://\S+)', line):
            return found[1]
    raise AssertionError('no address')


class Page:
    """A browser's side of the page."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self.session, self.url, self.token = session, url, token

    @asynccontextmanager
    async def stream(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.session.ws_connect(f'{self.url}stream?token={self.token}') as opened:
            yield opened

    async def press(self, button: str, body: str = '', **headers: str) -> tuple[int, Any]:
        headers = {'X-Token': self.token, **headers}
        post = self.session.post(f'{self.url}press/{button}', data=body, headers=headers)
        async with post as response:
            good = response.status == 200
            return response.status, await (response.json() if good else response.text())


def browse(url: str, visit: Callable[[Page], Awaitable[None]]) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            found = re.search('name="token" content="([^"]+)"', await response.text())
            assert found
            async with asyncio.timeout(30):
                await visit(Page(session, url, found[1]))

    asyncio.run(run())


async def sections(stream: aiohttp.ClientWebSocketResponse, *wanted: str) -> dict[str, Any]:
    """Receive until each wanted section came; images as arrays."""
    found: dict[str, Any] = {}
    while not set(wanted) <= set(found):
        message = await stream.receive()
        if message.type == aiohttp.WSMsgType.TEXT:
            name, content = message.json()['section'], message.json()['content']
        else:
            assert message.type == aiohttp.WSMsgType.BINARY
            name = message.data[1 : 1 + message.data[0]].decode()
            jpeg = np.frombuffer(message.data[1 + len(name) :], np.uint8)
            content = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
        if len(content):  # health is empty until somebody has spoken
            found[name] = content
        await stream.send_str(name)
    return found


def publish_everything(node) -> None:  # type: ignore[no-untyped-def]
    measured, reference = (
        node.publisher(topic) for topic in (topics.JOINT_STATES, topics.REFERENCE)
    )
    chunks = node.publisher(topics.ACTION_CHUNK)
    task = node.publisher(topics.TASK)
    task.publish(String(data='Pick up the cube'))
    cameras = [CameraPublisher(node, name, CameraInfo()) for name in topics.CAMERAS]
    chunk = JointTrajectory(
        joint_names=list(JOINTS),
        points=[JointTrajectoryPoint(positions=HOME.tolist()) for _ in range(3)],
    )

    def publish() -> None:
        measured.publish(JointState(name=JOINTS, position=HOME.tolist()))
        reference.publish(JointState(name=JOINTS[:5], position=HOME[:5].tolist()))
        chunks.publish(chunk)
        for camera in cameras:
            camera.publish(PIXELS, 1)

    node.create_timer(0.05, publish)
    Diagnostics(node, lambda: [Status('driver/arm', Level.ERROR, 'stopped', {'state': 'fault'})])


def test_a_browser_gets_everything_that_there_is(graph) -> None:  # type: ignore[no-untyped-def]
    publish_everything(graph.node)
    url = address(graph.start(MODULE, port=0))

    async def visit(page: Page) -> None:
        async with page.stream() as stream:
            found = await sections(
                stream, 'robot', 'joints', 'chunk', 'task', 'health', *topics.CAMERAS
            )
            while found['health'][0]['name'] != 'driver/arm':  # not heard yet
                found |= await sections(stream, 'health')
        assert found['robot']['joints'] == list(JOINTS)
        # The reference lacks a joint: it is not shown, and harms nothing.
        assert set(found['joints']) == {'measured'}
        assert found['joints']['measured']['values'] == pytest.approx(
            [0, -104.66, 96.09, 48.92, 90, 5]
        )
        assert len(found['chunk']['points']) == len(found['chunk']['seconds']) == 3
        assert found['task'] == 'Pick up the cube'
        assert found['health'][0]['message'] == 'stopped'
        for camera in topics.CAMERAS:
            assert found[camera].shape == (480, 640, 3)
            assert found[camera][240, 320] == pytest.approx((60, 30, 200), abs=8)  # BGR

    browse(url, visit)


def test_raw_images_are_shown_where_there_are_no_jpegs(graph) -> None:  # type: ignore[no-untyped-def]
    raw = graph.node.publisher(topics.CAMERAS['wrist'].image)
    pixels = PIXELS[:24, :32]
    message = Image(height=24, width=32, step=96, encoding='rgb8', data=pixels.tobytes())
    broken = Image(height=24, width=32, step=96, encoding='yuv')
    graph.node.create_timer(0.05, lambda: (raw.publish(broken), raw.publish(message)))
    url = address(graph.start(MODULE, port=0))

    async def visit(page: Page) -> None:
        async with page.stream() as stream:
            found = await sections(stream, 'wrist')
        assert found['wrist'].shape == (24, 32, 3)

    browse(url, visit)


def test_it_listens_to_topics_only_while_somebody_looks(graph) -> None:  # type: ignore[no-untyped-def]
    listened = [topics.JOINT_STATES, topics.ACTION_CHUNK, topics.CAMERAS['wrist'].compressed]

    def listeners() -> list[int]:
        return [graph.node.count_subscribers(topic.name) for topic in listened]

    url = address(graph.start(MODULE, port=0))

    async def look(page: Page) -> None:
        async with page.stream() as stream:
            await sections(stream, 'robot')
            await asyncio.to_thread(
                graph.wait_for, lambda: listeners() == [1, 1, 1], 'subscriptions'
            )

    assert listeners() == [0, 0, 0]
    for _ in range(2):
        browse(url, look)
        graph.wait_for(lambda: listeners() == [0, 0, 0], 'end of the subscriptions')


def test_a_browser_that_shows_nothing_is_sent_nothing_more(graph) -> None:  # type: ignore[no-untyped-def]
    publish_everything(graph.node)
    counts: dict[str, str] = {}

    def take(message: Any) -> None:
        for status in message.status:
            if status.name == 'page/server':
                counts.update({pair.key: pair.value for pair in status.values})

    graph.node.subscribe(topics.DIAGNOSTICS, take)
    url = address(graph.start(MODULE, port=0))

    async def visit(page: Page) -> None:
        async with page.stream() as slow, page.stream() as fast:
            for _ in range(5):
                await sections(fast, *topics.CAMERAS)
            await asyncio.to_thread(
                graph.wait_for, lambda: counts.get('clients') == '2', 'two browsers'
            )
            received = []
            while True:
                try:
                    async with asyncio.timeout(1):
                        received.append(await slow.receive())
                except TimeoutError:
                    break
        images = [message for message in received if message.type == aiohttp.WSMsgType.BINARY]
        assert len(images) == len(topics.CAMERAS)

    browse(url, visit)
    graph.wait_for(lambda: counts.get('clients') == '0', 'no browser')
    assert int(counts['frames_sent']) >= 12


def test_buttons_call_services(graph) -> None:  # type: ignore[no-untyped-def]
    stopped: list[bool] = []
    reasons: list[str] = []

    def stop(_: Any) -> tuple[bool, str]:
        stopped.append(True)
        return True, 'stopped until arm/clear_fault'

    graph.node.serve(topics.ARM_STOP, stop)
    graph.node.serve(topics.SESSION_FAIL, lambda _: (bool(reasons), 'labelled'))
    graph.node.subscribe(topics.EPISODE_REASON, lambda message: reasons.append(message.data))
    url = address(graph.start(MODULE, port=0))

    async def visit(page: Page) -> None:
        while (await page.press('stop'))[1]['message'] == 'arm/stop: nobody serves it':
            pass  # it has not been discovered yet
        assert stopped
        assert await page.press('stop') == (
            200,
            {'success': True, 'message': 'stopped until arm/clear_fault'},
        )
        while not (await page.press('fail', ' it\n fell '))[1]['success']:
            pass  # neither is the reason's topic
        assert set(reasons) == {'it fell'}
        assert await page.press('next') == (
            200,
            {'success': False, 'message': 'session/next: nobody serves it'},
        )
        assert (await page.press('reboot'))[0] == 404

    browse(url, visit)


def test_other_sites_neither_see_nor_move_the_robot(graph) -> None:  # type: ignore[no-untyped-def]
    stopped: list[bool] = []
    graph.node.serve(topics.ARM_STOP, lambda _: (stopped.append(True) or True, ''))
    url = address(graph.start(MODULE, port=0))
    port = url.rstrip('/').split(':')[-1]
    own = {'Origin': url.rstrip('/')}

    async def visit(page: Page) -> None:
        refused = [
            {'Host': 'evil.example'},  # a name that was made to mean this machine
            {'Host': f'evil.example:{port}', 'Origin': f'http://evil.example:{port}'},
            {'Origin': 'http://evil.example'},
            {'Origin': f'http://127.0.0.1:{int(port) - 1}'},  # another page of this machine
            {'Origin': 'null'},
            {**own, 'Sec-Fetch-Site': 'cross-site'},
            {**own, 'Sec-Fetch-Site': 'same-site'},
            {**own, 'X-Token': ''},
            {**own, 'X-Token': 'é' * 40},
        ]
        for headers in refused:
            assert (await page.press('stop', **headers))[0] == 403, headers
            if 'X-Token' in headers:
                continue
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                stream = f'{page.url}stream?token={page.token}'
                await page.session.ws_connect(stream, headers=headers)
            assert error.value.status == 403, headers
        for path in ('stream', 'stream?token=guessed'):
            with pytest.raises(aiohttp.WSServerHandshakeError) as error:
                await page.session.ws_connect(page.url + path, headers=own)
            assert error.value.status == 403
        for name in ('evil.example', '[', 'localhost.evil.example', ''):
            async with page.session.get(page.url, headers={'Host': name}) as response:
                assert response.status in (400, 403), name
                assert page.token not in await response.text()
        async with page.session.get(f'{page.url}press/stop') as response:
            assert response.status == 405
        async with page.session.get(page.url) as response:
            assert "frame-ancestors 'none'" in response.headers['Content-Security-Policy']
            assert 'Access-Control-Allow-Origin' not in response.headers
        assert not stopped
        for name in ('localhost', '127.0.0.1', '[::1]'):  # as through ssh -L, at another port
            host = {'Host': f'{name}:9999', 'Origin': f'http://{name}:9999'}
            assert (await page.press('stop', **host))[0] == 200

    browse(url, visit)


def test_it_ends_at_once_and_says_goodbye(graph) -> None:  # type: ignore[no-untyped-def]
    process = graph.start(MODULE, port=0)
    url = address(process)

    async def visit(page: Page) -> None:
        async with page.stream() as stream:
            await sections(stream, 'robot')
            process.send_signal(signal.SIGTERM)
            while (message := await stream.receive()).type != aiohttp.WSMsgType.CLOSE:
                await stream.send_str('robot')
            assert message.data == aiohttp.WSCloseCode.GOING_AWAY

    browse(url, visit)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert errors == ''


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, '-m', MODULE, '--ros-args', '-p', f'port:={port}']
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f'port {port}: Address already in use' in done.stderr
    assert 'give another port' in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize('host', ['0.0.0.0', '::', 'no.such.host.invalid', '192.0.2.1'])
def test_a_host_that_is_not_one_address_of_this_machine_is_refused(host: str) -> None:
    with pytest.raises(UserError, match=re.escape(host)):
        PageServer(host, 0, Board(), {}, lambda *_: Future(), lambda: None)
