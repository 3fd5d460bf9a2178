"""udev rules name what is plugged in, in udev's own grammar, and are installed once."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from so101_bringup.doctor import plugged, udev_command
from so101_bringup.doctor.stand import Stand
from so101_bringup.doctor.udev_rules import PATH, rules
from so101_bringup.doctor.usb_devices import DEVICES
from so101_node.error import UserError
from so101_node.robot_file import Robot

# Of udev(7): keys that are compared, and that are assigned; those with a name take one in braces.
COMPARED = {'ACTION', 'SUBSYSTEM', 'KERNEL', 'KERNELS', 'ATTR', 'ATTRS', 'ENV'}
ASSIGNED = {'SYMLINK', 'MODE', 'GROUP', 'TAG', 'ENV', 'ATTR'}
NAMED = {'ATTR', 'ATTRS', 'ENV'}
TERM = re.compile(r'([A-Z]+)(?:\{([\w/]+)\})?(==|!=|\+=|=)"([^"]*)"')

Term = tuple[str, str, str, str]


def parsed(text: str) -> list[list[Term]]:
    """Return the rules of a file, each as its terms; fails for what udev would not take."""
    found = []
    for line in text.splitlines():
        if not line or line.startswith('#'):
            continue
        terms: list[Term] = []
        for part in line.split(', '):
            match = TERM.fullmatch(part)
            assert match, part
            key, name, operator, value = match.groups()
            assert key in (COMPARED if operator in ('==', '!=') else ASSIGNED), part
            assert bool(name) == (key in NAMED), part
            terms.append((key, name or '', operator, value))
        kinds = [operator in ('==', '!=') for _, _, operator, _ in terms]
        assert kinds == sorted(kinds, reverse=True), f'compared after assigned: {line}'
        assert {key for key, *_ in terms} >= {'ACTION', 'SUBSYSTEM'}
        found.append(terms)
    return found


def links(text: str) -> dict[str, dict[str, str]]:
    """Return what is compared for each name that is made."""
    found = {}
    for terms in parsed(text):
        for key, _, _, value in terms:
            if key == 'SYMLINK':
                found[value] = {name or k: v for k, name, operator, v in terms if operator == '=='}
    return found


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def made(stand: Stand, **given: str) -> str:
    roles = plugged.assigned(stand.machine, stand.robot, given)
    return rules(roles.by_role, roles.others)


def test_each_device_has_its_name_by_its_serial_number(stand: Stand) -> None:
    found = links(made(stand))
    assert {name: one['serial'] for name, one in found.items()} == {
        'so101_follower': '5A46083123',
        'so101_leader': '5A46083456',
        'so101_overhead': '8A3F21DF',
    }
    assert found['so101_overhead']['index'] == '0'


def test_the_devices_are_open_awake_and_left_alone(stand: Stand) -> None:
    text = made(stand)
    assert text.count('ENV{ID_MM_PORT_IGNORE}="1"') == 2
    assert text.count('ENV{ID_MM_DEVICE_IGNORE}="1"') == 2
    assert text.count('ATTR{power/control}="on"') == 4
    assert text.count('GROUP="dialout"') == 2
    assert text.count('GROUP="video"') == 2
    realsense = next(line for line in text.splitlines() if 'plugdev' in line)
    assert 'ATTR{idVendor}=="8086", ATTR{idProduct}=="0b5b"' in realsense
    assert 'TAG+="uaccess"' in realsense


def test_uaccess_takes_effect_only_before_the_rules_of_the_seat() -> None:
    assert '60-serial.rules' < Path(PATH).name < '73-seat-late.rules'


def test_devices_of_one_serial_number_are_told_apart_by_their_usb_ports(stand: Stand) -> None:
    stand.machine.write(f'{DEVICES}/1-2/serial', '5A46083123')
    found = links(made(stand))
    assert found['so101_follower']['KERNELS'] == '1-1'
    assert found['so101_leader']['KERNELS'] == '1-2'
    assert 'serial' not in found['so101_leader']


def test_a_camera_without_a_serial_number_is_known_by_its_usb_port(stand: Stand) -> None:
    stand.machine.write(f'{DEVICES}/1-3/serial', '')
    assert links(made(stand))['so101_overhead']['KERNELS'] == '1-3'


def test_odd_letters_of_a_serial_number_cannot_end_the_text(stand: Stand) -> None:
    stand.machine.write(f'{DEVICES}/1-1/serial', 'a", RUN+="/bin/sh*')
    assert links(made(stand))['so101_follower']['serial'] == 'a???RUN????bin?sh?'


def test_the_robot_file_says_who_is_who(stand: Stand) -> None:
    stand.set_ports('/dev/ttyACM1', '/dev/ttyACM0')
    assert links(made(stand))['so101_follower']['serial'] == '5A46083456'


def test_a_second_webcam_does_not_take_the_role_of_the_files(stand: Stand) -> None:
    stand.machine.plug('1-2.9', ('046d', '0825', 'C270', 'Webcam C270', '480', '0e'))
    assert links(made(stand))['so101_overhead']['serial'] == '8A3F21DF'


def test_what_is_given_goes_before_the_robot_file(stand: Stand) -> None:
    found = links(made(stand, follower='5A46083456', leader='1-1'))
    assert found['so101_follower']['serial'] == '5A46083456'
    assert found['so101_leader']['serial'] == '5A46083123'


def test_without_a_robot_file_the_order_of_usb_ports_is_a_guess(stand: Stand) -> None:
    roles = plugged.assigned(stand.machine, Robot(), {})
    assert roles.guessed == ('follower', 'leader')
    assert [one.node for one in roles.by_role.values()] == [
        '/dev/ttyACM0', '/dev/ttyACM1', '', '/dev/video0',
    ]  # fmt: skip


def test_what_is_not_plugged_in_is_refused_with_what_is(stand: Stand) -> None:
    with pytest.raises(UserError, match=r'--follower 123: not plugged in. There is: .*5A46083123'):
        made(stand, follower='123')


def test_one_device_has_one_role(stand: Stand) -> None:
    with pytest.raises(UserError, match='two roles'):
        made(stand, follower='1-1', leader='1-1')


class Udev:
    """udev as the command runs it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.ran: list[Sequence[str]] = []
        self._error = error

    def __call__(self, words: Sequence[str]) -> None:
        self.ran.append(words)
        if self._error:
            raise self._error


def test_rules_are_written_once_and_udev_reads_them(tmp_path: Path) -> None:
    path, udev = tmp_path / 'rules.d' / '70-so101.rules', Udev()
    assert 'is written' in udev_command.install('# one\n', path, '--install', True, udev)
    assert path.read_text() == '# one\n'
    assert [words[:2] for words in udev.ran] == [('udevadm', 'control'), ('udevadm', 'trigger')]
    assert 'nothing was written' in udev_command.install('# one\n', path, '', False, udev)
    assert len(udev.ran) == 2
    udev_command.install('# two\n', path, '--install', True, udev)
    assert path.with_name('70-so101.rules.bak').read_text() == '# one\n'
    assert [file.name for file in path.parent.glob('*.rules')] == ['70-so101.rules']


def test_who_is_not_root_is_told_the_line(tmp_path: Path) -> None:
    words = '--robot my.yaml --install'
    with pytest.raises(UserError, match=re.escape(f'sudo ./so101 udev {words}')):
        udev_command.install('#\n', tmp_path / 'x.rules', words, False, Udev())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'error', [FileNotFoundError(2, 'No such file'), subprocess.CalledProcessError(1, 'udevadm')]
)
def test_a_udev_that_does_not_answer_is_told(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(UserError, match='is written, but udevadm control'):
        udev_command.install('#\n', tmp_path / 'x.rules', '', True, Udev(error))
