"""The command that calibrates an arm with a person, and writes LeRobot's file and the servos.

    so101 calibrate --port /dev/ttyACM0 --id my_arm --role follower

Nothing is written, to the disk or to a servo, before the last Enter.
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from rich.table import Table

from so101_description.joints import JOINTS, URDF_LIMITS
from so101_driver import eprom
from so101_driver.bus import Bus, BusError, PortGone
from so101_driver.calibration import MAX_TICK, Calibration, JointCalibration, Role
from so101_driver.calibration_file import find, known, load, place, save
from so101_driver.range_recorder import RangeRecorder
from so101_driver.registers import (
    HOMING_OFFSET,
    MODEL,
    MODEL_STS3215,
    PRESENT_POSITION,
    STEPS_PER_TURN,
)
from so101_driver.serial_port import SerialPort
from so101_driver.terminal import Terminal, undisturbed
from so101_node import robot_file
from so101_node.error import UserError

DESCRIPTION = "Calibrate an arm: its motors, and LeRobot's file of it."

# Parts of the range that the URDF gives: a joint that moved less than the first was forgotten, one
# that moved less than the second perhaps stopped early (a leader's handle does), and no mechanism
# lets one move further than the third. wrist_roll may turn all the way round.
_FORGOTTEN = 0.25
_SHORT = 0.8
_IMPOSSIBLE = 1.3
_FREE = 'wrist_roll'

_MAX_SILENCE = 25  # readings in a row

_UNFINISHED = (
    'The motors do not hold all of the file yet: run this again, and press Enter to write it.'
)

_EXPECTED = {
    joint: (high - low) * STEPS_PER_TURN / (2 * np.pi)
    for joint, (low, high) in URDF_LIMITS.items()
}


class CalibrationSession:
    """One talk with a person. `state` says what an end at this moment leaves behind."""

    def __init__(self, bus: Bus, terminal: Terminal, name: str, role: Role) -> None:
        """`name` is an arm's id, or the path of its file."""
        self.state = 'Nothing was changed.'
        self._bus = bus
        self._terminal = terminal
        self._name = name
        self._path = place(name, role)
        self._role: Role = role
        self._earlier_path = known(role).get(name, self._path)
        self._earlier = self._load_earlier()
        numbers = tuple(range(1, len(JOINTS) + 1))
        self._ids = self._earlier.ids if self._earlier else numbers
        self._silence = 0

    def run(self, now: datetime) -> None:
        """Talk until the arm is calibrated; raises UserError when it cannot be."""
        self._check_servos()
        if self._earlier and self._keeps(self._earlier):
            self._write(self._earlier)
            return
        self._make_limp()
        joints = self._record()
        self._show_result(joints)
        self._terminal.ask('Press Enter to save this, or Ctrl-C to leave all as it was.')
        with undisturbed():
            kept = save(self._path, joints, now)
            self.state = _UNFINISHED
            self._terminal.say(f'Saved {self._path}')
            if kept:
                self._terminal.say(f'The earlier file is kept as {kept}')
            self._write(Calibration(joints))

    def _load_earlier(self) -> Calibration | None:
        if not self._earlier_path.exists():
            return None
        try:
            return load(self._earlier_path)
        except UserError as error:
            self._terminal.say(f'The present file cannot be used. {error}')
            return None

    def _check_servos(self) -> None:
        silent = [
            f'{joint} (id {servo})'
            for joint, servo in zip(JOINTS, self._ids, strict=True)
            if not self._answers(servo)
        ]
        if silent:
            raise UserError(
                f'no answer from {", ".join(silent)}: check the power supply and the cables from '
                'motor to motor; to see who answers, run setup_motors --check (so101 '
                'setup_motors, or ros2 run so101_driver setup_motors)'
            )
        self._stored = eprom.read(self._bus, self._ids)
        foreign = [
            f'{joint} has model number {values[MODEL]}'
            for joint, values in zip(JOINTS, self._stored, strict=True)
            if values[MODEL] != MODEL_STS3215
        ]
        if foreign:
            raise UserError(
                f'{", ".join(foreign)}; the arm has STS3215 motors, which are {MODEL_STS3215}: '
                'check that this is the right port'
            )

    def _answers(self, servo: int) -> bool:
        try:
            eprom.get(self._bus, servo, MODEL)
        except PortGone:
            raise
        except BusError:
            return False
        return True

    def _keeps(self, earlier: Calibration) -> bool:
        found = eprom.differences(earlier, self._stored, self._role)
        self._terminal.say(f'This arm is calibrated already: {self._earlier_path}')
        if found:
            self._terminal.say('Its motors hold something else:')
            for difference in found:
                self._terminal.say(f'  {difference}')
            keep = 'Press Enter to write the file to the motors (torque goes off: hold the arm)'
        else:
            self._terminal.say('Its motors hold the same.')
            keep = 'Press Enter to leave it so'
        while answer := self._terminal.ask(f'{keep}, or type c and Enter to calibrate anew:'):
            if answer.lower() == 'c':
                return False
        return True

    def _make_limp(self) -> None:
        self._terminal.say(
            f'\nCalibrating the {self._role} arm {self._name}.\n'
            'Torque goes off now, and the arm falls if nobody holds it.'
        )
        self._terminal.ask('Hold the arm, then press Enter.')
        with undisturbed():
            self._release()
            self.state = 'Nothing was written. Torque is off: the arm is limp.'

    def _release(self) -> None:
        eprom.make_limp(self._bus, dict(zip(self._ids, JOINTS, strict=True)))

    def _record(self) -> list[JointCalibration]:
        self._terminal.ask(
            '\nMove every joint to about the middle of its range: the arm straight ahead, half '
            'stretched, the gripper half open. Then press Enter.'
        )
        recorders = [RangeRecorder(encoder) for encoder in eprom.insist(self._encoders)]
        self._terminal.say(
            '\nNow move every joint slowly to both of its ends, one after the other, and gently '
            'against the stops. A line turns green when its joint has moved far enough. Press '
            'Enter when all have.'
        )
        while True:
            self._terminal.watch(lambda: self._follow(recorders), lambda: _picture(recorders))
            if self._complete(recorders):
                break
        results = zip(self._ids, (recorder.result() for recorder in recorders), strict=True)
        return [JointCalibration(servo, 0, *result) for servo, result in results]

    def _follow(self, recorders: Sequence[RangeRecorder]) -> None:
        """Take one reading; raises UserError when the motors stay silent."""
        try:
            encoders = self._encoders()
        except BusError as error:
            self._silence += 1
            if self._silence > _MAX_SILENCE:
                raise UserError(f'{error}, then begin again') from error
            return
        self._silence = 0
        for recorder, encoder in zip(recorders, encoders, strict=True):
            recorder.feed(encoder)

    def _encoders(self) -> list[int]:
        """Return the motors' angles (0 to 4095) as they are without a homing offset."""
        blocks = self._bus.sync_read(self._ids, PRESENT_POSITION.address, PRESENT_POSITION.size)
        return [
            (PRESENT_POSITION.decode(block) + values[HOMING_OFFSET]) % STEPS_PER_TURN
            for block, values in zip(blocks, self._stored, strict=True)
        ]

    def _complete(self, recorders: Sequence[RangeRecorder]) -> bool:
        """Say what is wrong with the movements; raises UserError when it cannot be mended."""
        moved = dict(zip(JOINTS, recorders, strict=True))
        part = {joint: recorder.span / _EXPECTED[joint] for joint, recorder in moved.items()}
        if lost := [joint for joint, recorder in moved.items() if recorder.lost]:
            raise UserError(
                f'{", ".join(lost)} moved too fast to be followed, or a cable is loose. Begin '
                'again, and move the joints slowly'
            )
        if wide := [j for j, share in part.items() if share > _IMPOSSIBLE and j != _FREE]:
            raise UserError(
                f'{_moves(wide, moved)}: more than the arm can. A horn slips or is screwed on '
                'wrongly; mend it, then begin again'
            )
        if forgotten := [j for j, share in part.items() if share < _FORGOTTEN]:
            self._terminal.say(
                f'Not yet: {_moves(forgotten, moved)}. Move to both ends, then press Enter.'
            )
            return False
        if short := [joint for joint, share in part.items() if share < _SHORT]:
            self._terminal.say(f'Less than usual: {_moves(short, moved)}.')
            answer = self._terminal.ask(
                'If those are the ends, type y and Enter; to move on, press Enter:'
            )
            return answer.lower() == 'y'
        return True

    def _show_result(self, joints: Sequence[JointCalibration]) -> None:
        table = Table('joint', 'homing offset', 'range', 'degrees', title='The new calibration')
        earlier = self._earlier.joints if self._earlier else joints
        for name, new, was in zip(JOINTS, joints, earlier, strict=True):
            table.add_row(
                name,
                _change(f'{new.homing_offset}', f'{was.homing_offset}'),
                _change(_span(new), _span(was)),
                f'{_degrees(new.range_max - new.range_min):.0f}',
            )
        self._terminal.say(table)

    def _write(self, calibration: Calibration) -> None:
        with undisturbed():
            found = eprom.differences(calibration, eprom.read(self._bus, self._ids), self._role)
            if found:
                self.state = _UNFINISHED
                self._release()
                eprom.write(self._bus, found)
                self._terminal.say(f'{len(found)} values are written to the motors, and verified.')
            else:
                self._terminal.say('The motors hold all of it already: nothing was written.')
            self.state = 'The arm is calibrated, its motors hold the file.'


def _picture(recorders: Sequence[RangeRecorder]) -> Table:
    table = Table('joint', 'lowest', 'now', 'highest', 'moved', 'usual')
    for joint, recorder in zip(JOINTS, recorders, strict=True):
        enough = recorder.span >= _SHORT * _EXPECTED[joint]
        table.add_row(
            joint,
            *(str(tick) for tick in (recorder.low, recorder.now, recorder.high)),
            f'{_degrees(recorder.span):.0f}°',
            f'{_degrees(_EXPECTED[joint]):.0f}°',
            style='red' if recorder.lost else 'green' if enough else '',
        )
    return table


def _moves(joints: Sequence[str], moved: dict[str, RangeRecorder]) -> str:
    return ', '.join(
        f'{joint} moved {_degrees(moved[joint].span):.0f} degrees '
        f'(usual {_degrees(_EXPECTED[joint]):.0f})'
        for joint in joints
    )


def _change(new: str, was: str) -> str:
    return new if new == was else f'{new} (was {was})'


def _span(joint: JointCalibration) -> str:
    return f'{joint.range_min} to {joint.range_max}'


def _degrees(ticks: float) -> float:
    return ticks * 360 / MAX_TICK


def main(words: Sequence[str] | None = None) -> None:
    """Run the command with these words; None: those of this process."""
    parser = argparse.ArgumentParser(prog='calibrate', description=DESCRIPTION)
    parser.add_argument('--port', help="serial port; default: the robot file's")
    parser.add_argument(
        '--id',
        default='',
        help="the arm's name, or the path of its file; default: the robot file's, or the only one",
    )
    parser.add_argument(
        '--role', choices=('follower', 'leader'), default='follower', help='(%(default)s)'
    )
    robot_file.add_option(parser)
    given = parser.parse_args(words)
    try:
        arm = robot_file.load(given.robot).of(given.role)
        calibrate(given.port or arm.port, given.id or arm.calibration, given.role, Terminal())
    except UserError as error:
        print(f'calibrate: {error}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def calibrate(port_path: str, name: str, role: Role, terminal: Terminal) -> None:
    """Run one session on a port. Past an error or Ctrl-C, say what it leaves behind."""
    name = name or find('', role).stem
    port = SerialPort(port_path)
    session = CalibrationSession(Bus(port), terminal, name, role)
    try:
        session.run(datetime.now())
    except BusError as error:
        raise UserError(str(error)) from error
    finally:
        terminal.say(f'\n{session.state}')
        port.close()
