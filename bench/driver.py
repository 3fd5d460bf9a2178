"""The servo bus beside LeRobot's and rustypot's, on emulated servos that answer at once.

`make bench NAME=driver`; about a minute. Each contender has a port of its own, all with the same
servos: register tables in a process of their own, without physics. For some figures their answers
take the time that they take on a wire of 1 Mbps.
"""

import itertools
import logging
import multiprocessing
import os
import select
import statistics
import sys
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lerobot.motors import Motor, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus
from rustypot import Sts3215PyController

from so101_bringup import figures
from so101_bringup.figures import at_least, at_most, exactly, untargeted
from so101_description.joints import JOINTS
from so101_driver.arm import Arm, Bounds
from so101_driver.bus import Bus, BusError
from so101_driver.calibration import Calibration
from so101_driver.calibration_file import load
from so101_driver.control_loop import ControlLoop
from so101_driver.packet import Decoder, Instruction, Packet, encode
from so101_driver.registers import (
    FIRMWARE_MAJOR,
    FIRMWARE_MINOR,
    ID,
    MAX_TORQUE,
    MODEL,
    MODEL_STS3215,
    PRESENT_POSITION,
    PRESENT_TEMPERATURE,
    PRESENT_VOLTAGE,
    STATE_ADDRESS,
    STATE_SIZE,
    Register,
)
from so101_driver.serial_port import SerialPort
from so101_driver.servos import Servos
from so101_sim.mounting import calibration_path

BAUDRATE = 1_000_000
BYTE = 10e-6  # seconds on the wire at 1 Mbps
USB_PACKET = 64  # bytes that a full-speed adapter hands over together

# Requests 14 and 26 bytes, replies 6 of 21.
WIRE_CYCLE = (14 + 26 + 126) * BYTE

ROUNDS, CYCLES = 40, 100  # all contenders take turns, so that they share what disturbs
RATE = 200.0
SECONDS = 5.0  # of a loop whose processor time is measured
LOOP_SECONDS = 10.0  # of the control loop's rate

LATE = 0.12  # seconds
LATE_EVENTS = 10
OBSERVATION = 0.005  # seconds from one to the next while answers are late

# Of LeRobot's names, what the state block holds.
LEROBOT_REGISTERS = ('Present_Position', 'Present_Velocity', 'Present_Load', 'Present_Current')

_LEROBOT = 'lerobot 0.6.1'


class EmulatedBus:
    """Six servos at `path`, in a process of their own.

    `wire`: answers take their time. `samples`: each reading is numbered, and a position is its
    number, the last of which is `sample`. `late`: so many of the next answers come LATE, and hold
    up those behind them, as an adapter does that was held up itself. `eager`: it looks for
    requests without a rest, so that its own waking up is in nobody's time.
    """

    def __init__(self, calibration: Calibration) -> None:
        context = multiprocessing.get_context('fork')
        self.wire, self.samples, self.late, self.sample, self.eager = (
            context.Value('i', 0, lock=False) for _ in range(5)
        )
        self._tables = {joint.id: bytearray(128) for joint in calibration.joints}
        for joint in calibration.joints:
            self._set(joint.id, MODEL, MODEL_STS3215)
            self._set(joint.id, ID, joint.id)
            self._set(joint.id, FIRMWARE_MAJOR, 3)
            self._set(joint.id, FIRMWARE_MINOR, 10)
            self._set(joint.id, MAX_TORQUE, 1000)
            self._set(joint.id, PRESENT_POSITION, (joint.range_min + joint.range_max) // 2)
            self._set(joint.id, PRESENT_VOLTAGE, 120)
            self._set(joint.id, PRESENT_TEMPERATURE, 30)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._process = context.Process(target=self._serve, daemon=True)
        self._process.start()

    def _set(self, servo: int, register: Register, value: int) -> None:
        end = register.address + register.size
        self._tables[servo][register.address : end] = register.encode(value)

    def _serve(self) -> None:
        decoder = Decoder()
        known: dict[bytes, bytes] = {}  # answers to input that changes nothing
        held: list[tuple[float, bytes]] = []
        free = 0.0  # when the wire is free again
        requests = select.poll()
        requests.register(self._master, select.POLLIN)
        while True:
            while self.eager.value and not held and not requests.poll(0):
                pass
            if (
                held
                and not select.select(
                    [self._master], [], [], max(0.0, held[0][0] - time.perf_counter())
                )[0]
            ):
                os.write(self._master, held.pop(0)[1])
                continue
            data = os.read(self._master, 4096)
            reply = known.get(data)
            if reply is None or self.samples.value:
                before = list(map(bytes, self._tables.values()))
                reply = b''.join(map(self._answer, decoder.feed(data)))
                if before == list(self._tables.values()):
                    known[data] = reply
                else:
                    known.clear()
            if self.wire.value:
                free = max(free, time.perf_counter()) + len(data) * BYTE
                free = self._send_in_time(reply, free)
            elif reply and held:
                held.append((held[-1][0], reply))
            elif reply and self.late.value:
                self.late.value -= 1
                held.append((time.perf_counter() + LATE, reply))
            elif reply:
                os.write(self._master, reply)

    def _send_in_time(self, reply: bytes, free: float) -> float:
        """Send a reply as the wire and the adapter hand it over; return when the wire is free."""
        for start in range(0, len(reply), USB_PACKET):
            part = reply[start : start + USB_PACKET]
            free += len(part) * BYTE
            while time.perf_counter() < free:
                pass  # a sleep ends too late
            os.write(self._master, part)
        return free

    def _answer(self, packet: Packet) -> bytes:
        params = packet.params
        match packet.code:
            case Instruction.PING:
                return encode(Packet(packet.id, 0, b''))
            case Instruction.READ:
                return self._read((packet.id,), params[0], params[1])
            case Instruction.WRITE:
                self._write(packet.id, params[0], params[1:])
                return encode(Packet(packet.id, 0, b''))
            case Instruction.SYNC_READ:
                return self._read(params[2:], params[0], params[1])
            case Instruction.SYNC_WRITE:
                for start in range(2, len(params), params[1] + 1):
                    part = params[start : start + params[1] + 1]
                    self._write(part[0], params[0], part[1:])
        return b''

    def _read(self, servos: tuple[int, ...] | bytes, address: int, size: int) -> bytes:
        if self.samples.value:
            self.sample.value += 1
            for servo in self._tables:
                self._set(servo, PRESENT_POSITION, self.sample.value)
        return b''.join(
            encode(Packet(servo, 0, bytes(self._tables[servo][address : address + size])))
            for servo in servos
        )

    def _write(self, servo: int, address: int, data: bytes) -> None:
        self._tables[servo][address : address + len(data)] = data


class Ours:
    """The driver's own way: the state block, parsed, and the goals."""

    def __init__(self, calibration: Calibration) -> None:
        self.emulated = EmulatedBus(calibration)
        self._servos = Servos(Bus(SerialPort(self.emulated.path)), calibration)
        self._goals = dict.fromkeys(range(len(JOINTS)), 2000)

    def cycle(self) -> None:
        self._servos.read()
        self._servos.write_goals(self._goals)

    def position(self) -> int | None:
        try:
            reading = self._servos.read()
        except BusError:
            return None
        return None if reading.silent else reading.states.position[0]


class LeRobot:
    """LeRobot's bus, spared the conversion to degrees."""

    def __init__(self, calibration: Calibration) -> None:
        self.emulated = EmulatedBus(calibration)
        motors = {
            name: Motor(servo, 'sts3215', MotorNormMode.DEGREES)
            for name, servo in zip(JOINTS, calibration.ids, strict=True)
        }
        self._bus = FeetechMotorsBus(self.emulated.path, motors)
        self._bus.connect(handshake=False)
        self._goals: dict[str, Any] = dict.fromkeys(JOINTS, 2000)

    def cycle(self) -> None:
        for register in LEROBOT_REGISTERS:
            self._bus.sync_read(register, normalize=False)
        self._bus.sync_write('Goal_Position', self._goals, normalize=False)

    def position_cycle(self) -> None:
        self._bus.sync_read('Present_Position', normalize=False)
        self._bus.sync_write('Goal_Position', self._goals, normalize=False)

    def position(self) -> int | None:
        try:
            return int(self._bus.sync_read('Present_Position', normalize=False)[JOINTS[0]])
        except ConnectionError:
            return None


class Rustypot:
    """rustypot's raw read of the whole state block, which it gives as bytes, and the goals."""

    def __init__(self, calibration: Calibration) -> None:
        self.emulated = EmulatedBus(calibration)
        self._ids = list(calibration.ids)
        self._bus = Sts3215PyController(self.emulated.path, BAUDRATE, 0.1)
        self._goals = [2000] * len(JOINTS)

    def cycle(self) -> None:
        self._bus.sync_read_raw_data(self._ids, STATE_ADDRESS, STATE_SIZE)
        self._bus.sync_write_raw_goal_position(self._ids, self._goals)


def host_times(
    cycles: list[tuple[EmulatedBus, Callable[[], None]]],
) -> tuple[list[float], list[float]]:
    """Return the median seconds of each kind of cycle, on its bus, and its processor time.

    The seconds hold what the kernel takes to hand bytes from one end of a pseudo-terminal to the
    other, and to wake who waits for them.
    """
    taken: list[list[float]] = [[] for _ in cycles]
    used = [0.0 for _ in cycles]
    for _ in range(ROUNDS):
        for place, ((emulated, cycle), times) in enumerate(zip(cycles, taken, strict=True)):
            emulated.eager.value = 1
            cycle()  # wakes it
            before = time.process_time()
            for _ in range(CYCLES):
                begin = time.perf_counter()
                cycle()
                times.append(time.perf_counter() - begin)
            used[place] += time.process_time() - before
            emulated.eager.value = 0
    count = ROUNDS * CYCLES
    return [statistics.median(times) for times in taken], [seconds / count for seconds in used]


def wire_cycle(contender: Ours) -> float:
    """Return the median seconds of a cycle, one after the other, when the wire takes its time."""
    contender.emulated.wire.value = 1
    ends = [time.perf_counter()]
    for _ in range(1000):
        contender.cycle()
        ends.append(time.perf_counter())
    contender.emulated.wire.value = 0
    return statistics.median(end - begin for begin, end in itertools.pairwise(ends))


def busy(contender: LeRobot | Rustypot) -> float:
    """Return the part of a core, in percent, that 200 cycles per second take."""
    contender.emulated.wire.value = 1
    begin, used = time.monotonic(), time.process_time()
    for tick in range(round(SECONDS * RATE)):
        time.sleep(max(0.0, begin + tick / RATE - time.monotonic()))
        contender.cycle()
    part = 100 * (time.process_time() - used) / (time.monotonic() - begin)
    contender.emulated.wire.value = 0
    return part


def control_loop(calibration: Calibration) -> tuple[float, float, float]:
    """Run the driver's loop with torque on; return its core percent, rate and p99.9 period (s)."""
    emulated = EmulatedBus(calibration)
    emulated.wire.value = 1
    arm = Arm(calibration, Bounds(3.0, 30.0, 0.5, 0.5))
    loop = ControlLoop(
        arm, emulated.path, RATE, lambda *_: None, lambda *_: None, write_eprom=True
    )
    thread = threading.Thread(target=loop.run, args=(2.0,))
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not arm.connected and time.monotonic() < deadline:
            time.sleep(0.05)
        loop.set_torque(True)
        time.sleep(1.0)  # all is as it will stay
        begin, used, cycles = time.monotonic(), time.process_time(), loop.cycles
        time.sleep(LOOP_SECONDS)
        seconds = time.monotonic() - begin
        part = 100 * (time.process_time() - used) / seconds
        rate = (loop.cycles - cycles) / seconds
        p999 = loop.period.percentile(99.9)
        if arm.fault:
            sys.exit(f'the arm is in a fault, so its loop was not measured: {arm.fault}')
    finally:
        loop.stop()
        thread.join()
    return part, rate, p999


def staleness(contender: Ours | LeRobot) -> tuple[float, float]:
    """Return how many samples old observations are after ten late answers, and while they come."""
    emulated = contender.emulated
    emulated.samples.value = 1

    def worst_age(seconds: float) -> float:
        ages = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            position = contender.position()
            if position is not None:
                ages.append(emulated.sample.value - position)
            time.sleep(OBSERVATION)
        return max(ages, default=float('nan'))

    meanwhile = 0.0
    for _ in range(LATE_EVENTS):
        emulated.late.value = 1
        meanwhile = max(meanwhile, worst_age(3 * LATE))
    afterwards = worst_age(3 * LATE)
    emulated.samples.value = 0
    return afterwards, meanwhile


def main() -> None:
    logging.disable(logging.CRITICAL)
    calibration = load(calibration_path())
    ours, lerobot, rustypot = Ours(calibration), LeRobot(calibration), Rustypot(calibration)

    print(f'{ROUNDS * CYCLES} cycles of each on a bus that answers at once ...', flush=True)
    (own, theirs, positions, rust), processor = host_times(
        [
            (ours.emulated, ours.cycle),
            (lerobot.emulated, lerobot.cycle),
            (lerobot.emulated, lerobot.position_cycle),
            (rustypot.emulated, rustypot.cycle),
        ]
    )
    print('200 cycles a second on a wire of 1 Mbps ...', flush=True)
    over_wire = wire_cycle(ours) / WIRE_CYCLE
    part, rate, p999 = control_loop(calibration)
    their_part, rust_part = busy(lerobot), busy(rustypot)
    print(f'{LATE_EVENTS} answers that come {LATE * 1e3:.0f} ms late ...', flush=True)
    age, age_meanwhile = staleness(ours)
    their_age, their_age_meanwhile = staleness(lerobot)

    beside: dict[str, Any] = {'baseline_name': _LEROBOT}
    found = [
        at_most('full_state_cycle_host_time', own * 1e6, 110, 'us',
                baseline=theirs * 1e6, **beside),
        at_most('full_state_cycle_of_lerobots', own / theirs, 1 / 8, ''),
        untargeted('full_state_cycle_processor_time', processor[0] * 1e6, 'us',
                   baseline=processor[1] * 1e6, **beside),
        untargeted('full_state_cycle_beside_rustypot', own * 1e6, 'us',
                   baseline=rust * 1e6, baseline_name='rustypot, bytes unparsed'),
        untargeted('full_state_cycle_beside_positions_only', own * 1e6, 'us',
                   baseline=positions * 1e6, baseline_name=f'{_LEROBOT}, positions only'),
        at_most('processor_at_200_hz', part, 8, '% of a core', baseline=their_part, **beside),
        untargeted('processor_at_200_hz_beside_rustypot', part, '% of a core',
                   baseline=rust_part, baseline_name='rustypot'),
        at_most('cycle_time_over_wire_time', over_wire, 1.15, ''),
        at_least('achieved_rate', rate, 0.99 * RATE, 'Hz'),
        untargeted('period_p99_9', p999 * 1e3, 'ms'),
        exactly('samples_stale_after_ten_late_answers', age, 0, '', required=True,
                baseline=their_age, **beside),
        exactly('samples_stale_while_they_came', age_meanwhile, 0, '', required=True,
                baseline=their_age_meanwhile, **beside),
    ]  # fmt: skip
    figures.show('The servo bus', found)
    figures.write(Path('build') / 'bench' / 'driver.json', 'driver', found)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    main()
