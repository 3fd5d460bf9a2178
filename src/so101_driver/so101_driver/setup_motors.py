"""The command that gives the motors of a new arm their ids, one at a time.

    so101 setup_motors --port /dev/ttyACM0
    so101 setup_motors --port /dev/ttyACM0 --check

A motor comes with id 1; all must talk at 1 Mbps, each under its joint's id, as LeRobot's do.
"""

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from rich.table import Table

from so101_description.joints import JOINTS
from so101_driver import eprom
from so101_driver.bus import Bus, BusError
from so101_driver.motor_scan import BAUD_RATES, PATIENT, QUICK, Found, scan
from so101_driver.registers import (
    BAUD_RATE,
    FIRMWARE_MAJOR,
    FIRMWARE_MINOR,
    ID,
    LOCK,
    MODEL,
    MODEL_STS3215,
    PRESENT_VOLTAGE,
)
from so101_driver.serial_port import SerialPort
from so101_driver.terminal import Terminal, undisturbed
from so101_node import robot_file
from so101_node.error import UserError

DESCRIPTION = 'Give the motors of a new arm their ids, one at a time.'

IDS = {joint: index + 1 for index, joint in enumerate(JOINTS)}

OpenPort = Callable[[int], SerialPort]  # at a rate in bits per second


class Motor(NamedTuple):
    """What one motor says of itself."""

    id: int
    baudrate: int
    model: int
    firmware: str
    volts: float

    def __str__(self) -> str:
        kind = 'STS3215' if self.model == MODEL_STS3215 else f'model number {self.model}'
        return f'{kind}, firmware {self.firmware}, {self.volts:.1f} V'


class SetupSession:
    """One talk with a person. `state` says what an end at this moment leaves behind."""

    def __init__(self, open_port: OpenPort, terminal: Terminal) -> None:
        self.state = 'No motor was changed.'
        self._open = open_port
        self._terminal = terminal

    def run(self) -> None:
        """Set up all six; raises UserError when a motor does not take its id."""
        self._terminal.say(
            'Each motor gets its id while it is alone on the controller board.\n'
            'Keep the power supply connected; change only the motor cable.'
        )
        for joint in reversed(JOINTS):
            self._set_up(joint)
        self._terminal.say(
            '\nAll six are set. Connect them in a chain, from the board to shoulder_pan and on to '
            'the gripper, and see that all answer: run this again with --check.'
        )

    def check(self) -> None:
        """List who answers, and change nothing; raises UserError with what is wrong."""
        found: list[Motor] = []
        shared: set[int] = set()
        for baudrate in BAUD_RATES:
            self._terminal.say(f'Looking at {baudrate} baud ...')
            for servo, clear in self._scan(baudrate, QUICK):
                if not clear:
                    shared.add(servo)
                    continue
                motor = self._identify(servo, baudrate)
                # A port without a rate of its own, as a simulated arm's, has answers at every one.
                if motor.baudrate == baudrate:
                    found.append(motor)
        table = Table('id', 'joint', 'baud', 'motor')
        joints = {servo: joint for joint, servo in IDS.items()}
        for motor in found:
            joint = joints.get(motor.id, 'none of this arm')
            table.add_row(str(motor.id), joint, str(motor.baudrate), str(motor))
        if found:
            self._terminal.say(table)
        problems = _problems(found, shared)
        for problem in problems:
            self._terminal.say(problem)
        if problems:
            raise UserError('the motors are not ready: see the list above')
        self._terminal.say('All six motors are there, each with its own id.')

    def _set_up(self, joint: str) -> None:
        self._terminal.say(f'\n{joint}')
        while True:
            self._terminal.ask(f'Connect the {joint} motor, and no other. Then press Enter.')
            motor = self._find_one(joint)
            if motor:
                break
        self._terminal.say(f'Found id {motor.id} at {motor.baudrate} baud: {motor}')
        wanted = IDS[joint]
        if (motor.id, motor.baudrate) == (wanted, BAUD_RATES[0]):
            self._terminal.say(f'It is motor {wanted} already: nothing was written.')
        else:
            self._write(joint, motor)
            self._terminal.say(f'It is motor {wanted} now, verified.')
        done = JOINTS[JOINTS.index(joint) :]
        self.state = (
            f'These motors are set up: {", ".join(reversed(done))}. '
            'Run this again for the others; what is right is left as it is.'
        )

    def _find_one(self, joint: str) -> Motor | None:
        """Return the only motor there is; else say what to do."""
        self._terminal.say('Looking for it ...')
        rounds = [(baudrate, QUICK) for baudrate in BAUD_RATES]
        for baudrate, patience in [*rounds, (BAUD_RATES[0], PATIENT)]:
            if found := self._scan(baudrate, patience):
                return self._only(joint, found, baudrate)
        self._terminal.say(
            'No motor answers. Check that the power supply is on, and that the cable sits firmly '
            "in the board and in the motor. Also try the motor's other socket."
        )
        return None

    def _only(self, joint: str, found: Sequence[Found], baudrate: int) -> Motor | None:
        ids = ', '.join(str(servo) for servo, _ in found)
        if len(found) > 1:
            self._terminal.say(f'Motors {ids} answer: disconnect all but the {joint} motor.')
            return None
        servo, clear = found[0]
        if not clear:
            self._terminal.say(
                f'Several motors answer at once under id {servo}: disconnect all but the {joint} '
                'motor. If there is only one, its cable is bad: take another.'
            )
            return None
        motor = self._identify(servo, baudrate)
        if motor.model != MODEL_STS3215:
            self._terminal.say(f'This is no STS3215 motor: {motor}. Connect the right one.')
            return None
        return motor

    def _scan(self, baudrate: int, patience: float) -> list[Found]:
        port = self._open(baudrate)
        try:
            return scan(port, baudrate, patience)
        except OSError as error:
            raise UserError(f'the port {port.path} is gone: check the USB cable') from error
        finally:
            port.close()

    def _identify(self, servo: int, baudrate: int) -> Motor:
        port = self._open(baudrate)
        try:
            bus = Bus(port)
            major, minor, model, rate, tenths = (
                eprom.get(bus, servo, register)
                for register in (FIRMWARE_MAJOR, FIRMWARE_MINOR, MODEL, BAUD_RATE, PRESENT_VOLTAGE)
            )
        except BusError as error:
            raise UserError(str(error)) from error
        finally:
            port.close()
        stored = BAUD_RATES[rate] if rate < len(BAUD_RATES) else baudrate
        return Motor(servo, stored, model, f'{major}.{minor}', tenths / 10)

    def _write(self, joint: str, motor: Motor) -> None:
        """Write id and rate, the second at the new id; verified at 1 Mbps, and locked there."""
        wanted = IDS[joint]
        with undisturbed():
            port = self._open(motor.baudrate)
            try:
                bus = Bus(port)
                eprom.make_limp(bus, {motor.id: joint})
                eprom.put(bus, motor.id, LOCK, 0)
                servo = motor.id
                if servo != wanted:
                    eprom.put(bus, servo, ID, wanted)
                    servo = wanted
                if motor.baudrate != BAUD_RATES[0]:
                    eprom.put(bus, servo, BAUD_RATE, 0)
            finally:
                port.close()
            port = self._open(BAUD_RATES[0])
            try:
                bus = Bus(port)
                eprom.put(bus, wanted, LOCK, 1)
                stored = [eprom.get(bus, wanted, register) for register in (ID, BAUD_RATE, LOCK)]
            except BusError as error:
                raise UserError(
                    f'the {joint} motor does not answer as {wanted}. {_AGAIN}'
                ) from error
            finally:
                port.close()
            if stored != [wanted, 0, 1]:
                raise UserError(f'the {joint} motor did not take id {wanted}. {_AGAIN}')


_AGAIN = 'Switch its power off and on, then run this again: it finds the motor wherever it is now'


def _problems(found: Sequence[Motor], shared: Collection[int]) -> list[str]:
    problems = [
        f'several motors answer under id {servo}: set them up one at a time, without --check; if '
        'there is only one, its cable is bad'
        for servo in sorted(shared)
    ]
    heard = {motor.id for motor in found}
    problems += [
        f'{joint} (id {servo}) does not answer: check its cable, or set it up'
        for joint, servo in IDS.items()
        if servo not in heard and not shared  # the missing are among those that share
    ]
    for motor in found:
        if motor.id not in IDS.values():
            problems.append(f'id {motor.id} is no joint of the arm: set up this motor')
        elif motor.model != MODEL_STS3215:
            problems.append(f'id {motor.id} is no STS3215 motor: put one in its place')
        elif motor.baudrate != BAUD_RATES[0]:
            problems.append(f'id {motor.id} talks at {motor.baudrate} baud: set up this motor')
    return problems


def main(words: Sequence[str] | None = None) -> None:
    """Run the command with these words; None: those of this process."""
    parser = argparse.ArgumentParser(prog='setup_motors', description=DESCRIPTION)
    parser.add_argument('--port', help="serial port; default: the robot file's")
    parser.add_argument(
        '--role', choices=('follower', 'leader'), default='follower', help='(%(default)s)'
    )
    robot_file.add_option(parser)
    parser.add_argument(
        '--check', action='store_true', help='only list the motors; change nothing'
    )
    given = parser.parse_args(words)
    terminal = Terminal()
    try:
        port = given.port or robot_file.load(given.robot).of(given.role).port
    except UserError as error:
        print(f'setup_motors: {error}', file=sys.stderr)
        sys.exit(1)
    session = SetupSession(lambda baudrate: SerialPort(port, baudrate), terminal)
    try:
        session.check() if given.check else session.run()
    except UserError as error:
        print(f'setup_motors: {error}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        terminal.say(f'\n{session.state}')
        sys.exit(130)
