"""The live page's web server: files, one websocket for each browser, and the buttons.

A page of another site that is open in the same browser must neither see nor move the robot:
requests are answered only for this machine's own names (against DNS rebinding), and the websocket
and the buttons only with the token that is in the page, which no other site can read, and never
for another origin.
"""

import asyncio
import json
import secrets
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import WSCloseCode, WSMsgType, web

from so101_node.error import UserError
from so101_view.board import Board, Reader

# Seconds until a button is told that nobody answered, and until a browser that is gone is noticed.
PATIENCE = 10.0

_LONGEST_REASON = 200

_FOLDER = Path(__file__).parent / 'page'
_FILES = {
    '/': ('index.html', 'text/html'),
    '/page.js': ('page.js', 'text/javascript'),
    '/page.css': ('page.css', 'text/css'),
}

_HEADERS = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'self'; img-src data:; frame-ancestors 'none'",
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
}


@dataclass(eq=False)
class _Browser:
    socket: web.WebSocketResponse
    reader: Reader
    news: asyncio.Event = field(default_factory=asyncio.Event)


# Takes a button's name and a reason; the future gets success and a text.
Press = Callable[[str, str], 'Future[tuple[bool, str]]']


class PageServer:
    """Serves what the board holds, in a thread of its own: the one that calls `run`."""

    def __init__(
        self,
        host: str,
        port: int,
        board: Board,
        buttons: Mapping[str, str],
        press: Press,
        watched: Callable[[], None],
    ) -> None:
        """Take the port; 0: any free one. `buttons` are the names that `press` knows.

        `watched` is called when a browser came or went. Raises UserError when the port cannot be
        had.
        """
        self._board = board
        self._buttons = buttons
        self._press = press
        self._watched = watched
        self._token = secrets.token_urlsafe()
        self._browsers: set[_Browser] = set()
        self._gone_sent = self._gone_dropped = 0  # camera frames, of browsers that left
        self._socket = _listen(host, port)
        self._names = {host, 'localhost', '127.0.0.1', '::1'}
        name = f'[{host}]' if ':' in host else host
        self.address = f'http://{name}:{self._socket.getsockname()[1]}/'
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()

    @property
    def browsers(self) -> int:
        return len(self._browsers)

    @property
    def frames(self) -> tuple[int, int]:
        """Camera frames sent to browsers, and skipped because a browser was slow."""
        readers = [browser.reader for browser in list(self._browsers)]
        sent = self._gone_sent + sum(reader.frames_sent for reader in readers)
        return sent, self._gone_dropped + sum(reader.frames_dropped for reader in readers)

    def run(self) -> None:
        """Serve until `stop`."""
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()
            self._socket.close()

    def notify(self) -> None:
        """Say that the board has something new; from any thread."""
        self._on_loop(self._wake)

    def stop(self) -> None:
        """End `run`; from any thread."""
        self._on_loop(self._stopped.set)

    def _on_loop(self, callback: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    def _wake(self) -> None:
        for browser in self._browsers:
            browser.news.set()

    async def _serve(self) -> None:
        application = web.Application(middlewares=[self._own_names_only])
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self._dismiss)
        for path in _FILES:
            application.router.add_get(path, self._file)
        application.router.add_get('/stream', self._stream)
        application.router.add_post('/press/{button}', self._answer_press)
        runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await runner.setup()
        await web.SockSite(runner, self._socket, shutdown_timeout=0.5).start()
        await self._stopped.wait()
        await runner.cleanup()

    @web.middleware
    async def _own_names_only(
        self,
        request: web.Request,
        handler: Callable,  # type: ignore[type-arg]
    ) -> web.StreamResponse:
        if _name(request.host) not in self._names:
            raise web.HTTPForbidden(text=f'this page is not served as {request.host}')
        return await handler(request)

    def _refuse_strangers(self, request: web.Request, token: str) -> None:
        origin = request.headers.get('Origin', f'http://{request.host}')
        site = request.headers.get('Sec-Fetch-Site', 'same-origin')
        if origin != f'http://{request.host}' or site != 'same-origin':
            raise web.HTTPForbidden(text=f'not for another site: {origin}, {site}')
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            raise web.HTTPForbidden(text='this page is of an earlier run; reload it')

    async def _file(self, request: web.Request) -> web.Response:
        name, kind = _FILES[request.path]
        text = (_FOLDER / name).read_text('utf-8').replace('{{token}}', self._token)
        return web.Response(text=text, content_type=kind)

    async def _answer_press(self, request: web.Request) -> web.Response:
        self._refuse_strangers(request, request.headers.get('X-Token', ''))
        button = request.match_info['button']
        if button not in self._buttons:
            raise web.HTTPNotFound(text=f'{button}: none of {", ".join(self._buttons)}')
        reason = ' '.join((await request.text())[:_LONGEST_REASON].split())
        pressed = asyncio.wrap_future(self._press(button, reason))
        await asyncio.wait({pressed}, timeout=PATIENCE)
        success, message = (
            pressed.result()
            if pressed.done()
            else (False, f'{self._buttons[button]}: no answer within {PATIENCE:g} s')
        )
        return web.json_response({'success': success, 'message': message})

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        self._refuse_strangers(request, request.query.get('token', ''))
        # At the end, a browser that does not answer is not waited for.
        opened = web.WebSocketResponse(
            heartbeat=PATIENCE, timeout=0.5, compress=False, max_msg_size=1024
        )
        await opened.prepare(request)
        browser = _Browser(opened, Reader(self._board))
        self._browsers.add(browser)
        self._watched()
        sending = asyncio.create_task(_send(browser))
        try:
            async for message in opened:
                if message.type == WSMsgType.TEXT:
                    browser.reader.shown(message.data)
                    browser.news.set()
        finally:
            sending.cancel()
            self._gone_sent += browser.reader.frames_sent
            self._gone_dropped += browser.reader.frames_dropped
            self._browsers.remove(browser)
            self._watched()
        return opened

    async def _dismiss(self, _: web.Application) -> None:
        for browser in list(self._browsers):
            await browser.socket.close(code=WSCloseCode.GOING_AWAY)


async def _send(browser: _Browser) -> None:
    browser.news.set()
    try:
        while await browser.news.wait():
            browser.news.clear()
            for message in browser.reader.take():
                if isinstance(message, bytes):
                    await browser.socket.send_bytes(message)
                else:
                    await browser.socket.send_str(message)
    except ConnectionResetError:
        pass  # it is gone; whoever reads from it hears so too


def text_message(section: str, content: object) -> str:
    """Return a section's content as the page takes it; NaN is not JSON and raises ValueError."""
    return json.dumps({'section': section, 'content': content}, allow_nan=False)


def frame_message(camera: str, jpeg: bytes) -> bytes:
    """Return a camera's image as the page takes it: the length of its name, its name, the JPEG."""
    name = camera.encode()
    return b''.join((bytes([len(name)]), name, jpeg))


def _listen(host: str, port: int) -> socket.socket:
    if host in ('', '0.0.0.0', '::'):
        raise UserError(
            f'parameter host: {host or "empty"} would be every address; give one, or leave '
            '127.0.0.1 and look from elsewhere through ssh -L'
        )
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ':' in host else socket.AF_INET
        )
    except OSError as error:
        raise UserError(
            f'{host}, port {port}: {error.strerror or error}, perhaps the page of another run; '
            'give another port (page_port:=... of a launch)'
        ) from error


def _name(host: str) -> str | None:
    """Return the name in a Host header, or None when there is none."""
    try:
        return urlsplit(f'//{host}').hostname
    except ValueError:
        return None


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
