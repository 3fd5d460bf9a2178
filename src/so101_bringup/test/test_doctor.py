"""Each planted fault is found and named; a sound robot has none."""

import io
import json
import sys
import threading
import time
from array import array
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rich.console import Console
from sensor_msgs.msg import CompressedImage, Image

from so101_bringup.doctor import arm_reading, camera_reading, command, report
from so101_bringup.doctor.camera_reading import CameraReading, from_json
from so101_bringup.doctor.examination import CHECKS, chosen, examine, kinds
from so101_bringup.doctor.finding import Kind, Level
from so101_bringup.doctor.machine import Machine, Output
from so101_bringup.doctor.planted_faults import PLANTED, Planted
from so101_bringup.doctor.stand import Stand
from so101_cameras.image import to_jpeg
from so101_description.joints import JOINTS
from so101_driver.serial_port import SerialPort
from so101_node.error import UserError
from so101_node.node import Node
from so101_node.stamp import from_nanoseconds
from so101_node.topics import CAMERAS
from so101_sim.serial_device import SerialDevice

ROUNDS = 400


@pytest.fixture
def stand(tmp_path: Path, unmarked: Path) -> Stand:
    return Stand(tmp_path, unmarked)


def found(stand: Stand) -> dict[str, str]:
    """Return the ids of all that is wrong, and what was said."""
    return {
        finding.id: f'{finding.found} -> {finding.cure}'
        for finding in examine(stand.subject(ROUNDS), CHECKS)
        if finding.level in (Level.WARN, Level.ERROR)
    }


def test_a_sound_robot_has_nothing_wrong(stand: Stand) -> None:
    assert found(stand) == {}


@pytest.mark.parametrize('planted', PLANTED, ids=lambda planted: planted.fault.replace(' ', '_'))
def test_a_planted_fault_is_found_and_nothing_else(stand: Stand, planted: Planted) -> None:
    planted.plant(stand)
    wrong = found(stand)
    assert planted.kind.id in wrong
    assert set(wrong) <= {planted.kind.id, *(kind.id for kind in planted.also)}


def test_every_kind_is_planted() -> None:
    assert {one.kind.id for one in PLANTED} == {kind.id for kind in kinds()}


def test_every_kind_is_documented() -> None:
    text = (Path(__file__).parents[3] / 'docs' / 'doctor.md').read_text()
    for kind in kinds():
        assert f'| `{kind.id}` | {kind.level.value} |' in text


def test_ids_are_unique_and_name_their_area() -> None:
    ids = [kind.id for kind in kinds()]
    assert len(set(ids)) == len(ids)
    assert {kind.area for kind in kinds()} == set(CHECKS)
    for check in CHECKS.values():
        assert {k.area for k in vars(check).values() if isinstance(k, Kind)} == {check.AREA}


def test_an_arm_is_read_on_a_real_port_and_nothing_is_written(stand: Stand) -> None:
    arm = stand.follower
    before = [servo.read(0, 71) for servo in arm.servos.values()]
    device = SerialDevice(stand.folder / 'tty', arm.answer)
    port = SerialPort(str(device.path))
    try:
        reading = arm_reading.read('follower', port, arm.calibration, ROUNDS)
    finally:
        port.close()
        device.unplug()
    assert not reading.missing
    assert reading.joints == dict(zip(arm.calibration.ids, JOINTS, strict=True))
    assert len(reading.round_trips) > ROUNDS / 2  # on a busy machine some come too late
    for table, servo in zip(before, arm.servos.values(), strict=True):
        assert servo.read(0, 56) == table[:56]  # what can be written: EPROM and commands


def test_an_arm_that_a_driver_holds_is_left_alone(stand: Stand) -> None:
    stand.machine.start(4711, 'driver', '/dev/ttyACM0')
    [held, free] = list(CHECKS['bus'].find(stand.subject(ROUNDS)))
    assert held.level is Level.SKIPPED
    assert 'used by driver (process 4711)' in held.found
    assert free.level is Level.OK


@pytest.mark.parametrize('compressed', [True, False])
def test_images_of_somebody_elses_are_heard(compressed: bool) -> None:
    """A publisher here, the listener in its own process."""
    rclpy.init()
    try:
        node = Node('camera_of_a_test')
        topics = CAMERAS['wrist']
        publisher = node.publisher(topics.compressed if compressed else topics.image)
        stop = threading.Event()

        def publish() -> None:
            pixels = np.zeros((480, 640, 3), np.uint8)
            while not stop.wait(1 / 30):
                pixels[::40] += 17
                now = from_nanoseconds(time.time_ns())
                if compressed:
                    message = CompressedImage(format='jpeg')
                    message.data = array('B', to_jpeg(pixels + 60))
                else:
                    message = Image(height=480, width=640, step=1920, encoding='rgb8')
                    message.data = array('B', (pixels + 60).tobytes())
                message.header.stamp = now
                publisher.publish(message)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            output = Machine().run(
                sys.executable, '-m', 'so101_bringup.doctor.image_listener', 'wrist', seconds=60.0
            )
        finally:
            stop.set()
            thread.join()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    assert output is not None and output.code == 0
    reading = from_json(output.text.splitlines()[-1])
    assert len(reading.images) > 10
    assert reading.shown is not None
    assert (reading.shown.width, reading.shown.height) == (640, 480)
    assert not any(image.same for image in reading.images)
    assert all(0 <= image.arrived - image.captured < 10e9 for image in reading.images)


def test_topics_that_nobody_publishes_are_skipped(stand: Stand) -> None:
    stand.set_camera('wrist', source='none')
    stand.machine.answers['image_listener'] = Output(0, CameraReading('wrist').to_json())
    wrist, overhead = CHECKS['images'].find(stand.subject(ROUNDS))
    assert (wrist.level, overhead.level) == (Level.SKIPPED, Level.OK)
    assert './so101 cameras' in wrist.found


def test_a_reading_survives_its_json(stand: Stand) -> None:
    camera = stand.machine.cameras['overhead']
    reading = camera_reading.read('overhead', camera, lambda: stand.machine.now().system)
    assert len(reading.images) == 61
    assert from_json(reading.to_json()) == reading


def test_the_report_for_programs(stand: Stand) -> None:
    stand.machine.remove('/dev/ttyACM0')
    findings = list(examine(stand.subject(ROUNDS), ['port', 'bus']))
    text = json.dumps(report.as_json(findings, 'robot.yaml', datetime(2026, 11, 26, tzinfo=UTC)))
    document = json.loads(text)
    assert document['schema'] == report.SCHEMA
    assert document['summary'] == {'ok': 1, 'skipped': 1, 'warn': 0, 'error': 1}
    missing = document['findings'][0]
    assert (missing['id'], missing['area'], missing['level']) == ('port.missing', 'port', 'error')
    assert missing['values'] == {'arm': 'follower', 'port': '/dev/so101_follower'}
    assert missing['cure'].startswith('plug the arm in')
    bus = next(one for one in document['findings'] if one['id'] == 'bus.ok')
    assert bus['values']['p99_ms'] == pytest.approx(1.4)
    assert report.failed(findings)


def test_the_table_has_each_cure_and_a_summary(stand: Stand) -> None:
    stand.machine.remove('/dev/ttyACM0')
    out = io.StringIO()
    console = Console(file=out, width=100)
    console.print(report.table(list(examine(stand.subject(ROUNDS), ['port']))))
    shown = out.getvalue()
    assert 'ERROR' in shown
    assert '-> plug the arm in' in shown
    assert '[port.missing]' in shown
    assert '1 error, 0 warnings, 0 sound, 0 skipped.' in shown


def test_only_some_areas_in_the_order_of_all() -> None:
    assert chosen('bus, usb') == ['usb', 'bus']
    assert chosen('') == list(CHECKS)
    with pytest.raises(UserError, match='--only buss: unknown; known: robot, usb'):
        chosen('buss')


def test_the_command_ends_with_the_code_of_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'robot.yaml').write_text('arm:\n  prot: /dev/ttyACM0\n')
    for only, code in (('robot', 1), ('memory', 0)):
        with pytest.raises(SystemExit) as end:
            command.main(['--only', only, '--json', 'report.json'])
        assert end.value.code == code
    assert 'robot.yaml:2: arm: unknown key prot; did you mean port?' in capsys.readouterr().out
    assert json.loads((tmp_path / 'report.json').read_text())['findings'][0]['area'] == 'memory'


def test_a_report_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        command.main(['--only', 'memory', '--json', 'no/report.json'])
    assert end.value.code == 1
    assert 'no/report.json: No such file or directory; give another' in capsys.readouterr().err
