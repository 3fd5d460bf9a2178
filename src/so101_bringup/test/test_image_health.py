"""Each fault of a camera through the running graph: told, held for, marked, and over."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from std_msgs.msg import String

from so101_cameras.image_health import Kind
from so101_episodes.episode import Episode
from so101_node.topics import DIAGNOSTICS, SESSION_NEXT, SIM_FAULT
from so101_sim.camera_fault import CameraFault, Order

STRUCK = 'overhead'

# The kind that each fault is told as.
FAULTS = {
    CameraFault.SILENT: Kind.SILENT,
    CameraFault.FROZEN: Kind.FROZEN,
    CameraFault.BLACK: Kind.BLACK,
    CameraFault.WHITE: Kind.WHITE,
    CameraFault.SMALL: Kind.SIZE,
    CameraFault.HALF: Kind.SLOW,
    CameraFault.DRIFT: Kind.DRIFT,
    CameraFault.TINT: Kind.COLOUR,
    CameraFault.BURNT: Kind.OVEREXPOSED,
    CameraFault.LATE: Kind.LATE,
    CameraFault.AHEAD: Kind.STAMPS,
}

# Faults of the pictures: none of them may be told of a camera that is well. Those of the times are
# true of a simulated one whose machine is busy; then nothing is said here of how soon.
OF_PICTURES = set(Kind) - {Kind.SILENT, Kind.SLOW, Kind.LATE, Kind.STAMPS, Kind.FROZEN}


class Heard:
    """The last status of each name."""

    def __init__(self, graph: Any) -> None:
        self.message: dict[str, str] = {}
        self.values: dict[str, dict[str, str]] = {}
        graph.node.subscribe(DIAGNOSTICS, self._hear)

    def _hear(self, message: Any) -> None:
        for status in message.status:
            self.message[status.name] = status.message
            self.values[status.name] = {pair.key: pair.value for pair in status.values}

    def faults(self, camera: str = STRUCK) -> set[str]:
        told = self.values.get(f'image_health/{camera}', {}).get('faults', '')
        return set(told.split(', ')) - {''}

    @property
    def held(self) -> str:
        return self.values.get('policy/motion', {}).get('held', '')

    @property
    def enabled(self) -> bool:
        return self.message.get('policy/motion') == 'moving'


@pytest.fixture
def infer(checkpoint: Path, tmp_path: Path) -> Iterator[Path]:
    """Run a rollout in simulation, and return the folder of its episode."""
    process = subprocess.Popen(
        [
            *(sys.executable, '-m', 'so101_bringup', 'infer', 'sim:=true', 'direct_reset:=true'),
            *(f'checkpoint:={checkpoint}', f'sim_port:={tmp_path}/arm', 'episode_time:=300.0'),
            f'recordings:={tmp_path}/recordings',
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        yield tmp_path / 'recordings'
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.alone
@pytest.mark.timeout(400)
def test_each_fault_is_told_held_for_and_marked_and_the_arm_goes_on(
    infer: Path, graph: Any
) -> None:
    heard = Heard(graph)
    orders = graph.node.publisher(SIM_FAULT)
    patiently = time.monotonic() + 150

    def wait(condition: Any, what: str) -> None:
        while not condition() and time.monotonic() < patiently:
            time.sleep(0.01)
        graph.wait_for(condition, f'{what}; {heard.faults()}, held: {heard.held!r}')

    wait(lambda: heard.enabled and not heard.faults() & OF_PICTURES, 'rollout')
    time.sleep(3.0)  # what is compared with the start has one
    told, seconds = {}, {}
    for fault, kind in FAULTS.items():
        if kind is Kind.SLOW and kind in heard.faults('wrist'):
            continue  # the machine is, so that what is ordered shows nothing
        wait(lambda kind=kind: heard.enabled and kind not in heard.faults(), f'end, {fault}')
        idle = not heard.faults('wrist')
        orders.publish(String(data=str(Order(STRUCK, fault))))
        began = time.monotonic()
        wait(lambda kind=kind: kind in heard.faults(), f'{fault} on /diagnostics')
        if idle and not heard.faults('wrist'):
            seconds[fault] = time.monotonic() - began
        told[kind] = heard.message[f'image_health/{STRUCK}']
        if kind.blind:
            wait(lambda: STRUCK in heard.held, f'hold for {fault}')
        else:
            assert f'the {STRUCK} picture' not in heard.held
        orders.publish(String(data=str(Order(STRUCK, None))))
        assert heard.faults('wrist') & OF_PICTURES == set()
    wait(lambda: heard.enabled and not heard.faults() & OF_PICTURES, 'arm that goes on')
    # Frozen is told once the arm has moved far enough to be seen to.
    slow = {f: s for f, s in seconds.items() if s > 1.0 and f is not CameraFault.FROZEN}
    assert not slow, f'seconds until told: {seconds}'
    assert 'expected 640x480; set the camera to that size' in told[Kind.SIZE]
    episode = _ended(infer, graph)
    marked = {mark.kind for mark in episode.marks if mark.source == STRUCK}
    assert marked >= {kind.value for kind in FAULTS.values()}
    for mark in episode.marks:
        assert episode.started <= mark.start <= mark.end <= episode.ended
        assert mark.source == STRUCK or mark.kind not in OF_PICTURES


def _ended(recordings: Path, graph: Any) -> Episode:
    """End the rollout, and return what was recorded of it."""
    assert graph.call(SESSION_NEXT)[0]
    graph.wait_for(lambda: any(recordings.glob('[!.]*/episode.json')), 'episode')
    (folder,) = (path.parent for path in recordings.glob('[!.]*/episode.json'))
    return Episode.load(folder)
