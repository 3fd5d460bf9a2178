"""Ten million damaged answers: none may crash the parser, none may be taken wrongly.

`make bench NAME=fuzz`; seeded. `python bench/fuzz.py 100000` runs fewer inputs.
"""

import multiprocessing
import random
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from so101_bringup import figures
from so101_bringup.figures import at_least, exactly, untargeted
from so101_driver.reply import Answer, Expected

INPUTS = 10_000_000
PROCESSES = 2
CHUNK = 20_000  # inputs of one seed

IDS = (1, 2, 3, 4, 5, 6)
SIZES = (0, 2, 15, 31)  # acknowledgement, position, state, state and commands


def frame(servo: int, code: int, params: bytes) -> bytes:
    """Return a frame; written from the protocol, not with the codec that is fuzzed."""
    body = bytes((servo, len(params) + 2, code)) + params
    return b'\xff\xff' + body + bytes((~sum(body) % 256,))


def whole(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    return b''.join(
        frame(servo, rng.choice((0, 0, 32, 255)), rng.randbytes(size)) for servo in servos
    )


# Each of these turns an answer into an input. Those that only bend a whole answer are the ones
# that come near to being taken.


def intact(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    return whole(rng, servos, size)


def flipped(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    data = bytearray(whole(rng, servos, size))
    for _ in range(rng.randint(1, 4)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    """Lose bytes anywhere."""
    data = whole(rng, servos, size)
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, 30) :]


def spliced(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    """Join a part of one answer and a part of another, perhaps of another length."""
    one = whole(rng, servos, size)
    other = whole(rng, servos, rng.choice((size, size, size + 1, 7)))
    return one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other)) :]


def shuffled(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    """Give good frames in a wrong order, some twice, some of strangers."""
    order = rng.choices((*servos, 0, 9, 0xFE), k=len(servos) + rng.randint(-1, 2))
    return whole(rng, tuple(order), size)


def resealed(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    """Give a frame another id or length, and the checksum that goes with it."""
    frames = [frame(servo, 0, rng.randbytes(size)) for servo in servos]
    place = rng.randrange(len(frames))
    body = bytearray(frames[place][2:-1])
    body[rng.randrange(2)] = rng.choice((0, 1, 2, 3, size + 1, size + 2, size + 3, 0xFF))
    frames[place] = b'\xff\xff' + bytes(body) + bytes((~sum(body) % 256,))
    return b''.join(frames)


def storm(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    """Send headers and their beginnings, and perhaps an answer among them."""
    parts = [b'\xff' * rng.randint(1, 40), bytes((0xFF, 0xFF, rng.choice(servos), size + 2))]
    parts += [whole(rng, servos, size)] * rng.randint(0, 1)
    rng.shuffle(parts)
    return b''.join(parts)


def noise(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    return rng.randbytes(rng.randint(0, 200))


def headers_in_data(rng: random.Random, servos: tuple[int, ...], size: int) -> bytes:
    """Hide good frames in the parameters of others."""
    inner = whole(rng, servos, size)[: rng.randint(6, 120)]
    return frame(rng.choice(servos), 0, inner) + whole(rng, servos, size)


INPUT_KINDS: tuple[Callable[[random.Random, tuple[int, ...], int], bytes], ...] = (
    intact,
    flipped,
    flipped,
    cut,
    spliced,
    shuffled,
    resealed,
    storm,
    noise,
    headers_in_data,
)  # fmt: skip


def wrongly_taken(answer: Answer, data: bytes, servos: tuple[int, ...], size: int) -> bool:
    """Whether a reply was taken that is not in the input: whole, and in the order asked."""
    place = 0
    for servo in servos:
        if servo in answer.blocks:
            params = answer.blocks[servo]
            sought = frame(servo, answer.codes[servo], params)
            place = data.find(sought, place) + len(sought)
            if place < len(sought) or len(params) != size:
                return True
    return set(answer.blocks) != set(answer.codes) or not set(answer.blocks) <= set(servos)


def run(seed: int) -> tuple[int, int, int, str]:
    """Feed CHUNK inputs; return crashes, wrong ones, complete answers, and the first trouble."""
    rng = random.Random(seed)
    requests = [(IDS, size) for size in SIZES if size] + [((rng.choice(IDS),), s) for s in SIZES]
    expectations = [Expected(servos, size) for servos, size in requests]
    crashes = wrong = complete = 0
    trouble = ''
    for _ in range(CHUNK):
        expected = rng.choice(expectations)
        servos, size = expected.servos, expected.size
        data = rng.choice(INPUT_KINDS)(rng, servos, size)
        answer = Answer(expected)
        try:
            if rng.random() < 0.5:
                answer.feed(data)
            else:
                start = rng.randint(0, len(data))
                if not answer.feed(data[:start]):
                    answer.feed(data[start:])
            answer.end()
        except Exception:  # noqa: BLE001 - any exception is what is looked for
            crashes += 1
            trouble = trouble or f'seed {seed}, {data.hex(" ")}:\n{traceback.format_exc()}'
            continue
        complete += answer.complete
        if wrongly_taken(answer, data, servos, size):
            wrong += 1
            trouble = (
                trouble or f'seed {seed}, wrongly taken from {data.hex(" ")}: {answer.blocks}'
            )
    return crashes, wrong, complete, trouble


def main() -> None:
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else INPUTS
    seeds = range(-(-inputs // CHUNK))
    crashes = wrong = complete = done = 0
    begin = shown = time.monotonic()
    say = partial(print, flush=True)
    say(f'{len(seeds) * CHUNK} inputs in {PROCESSES} processes ...')
    with multiprocessing.get_context('spawn').Pool(PROCESSES) as pool:
        for more_crashes, more_wrong, more_complete, trouble in pool.imap_unordered(run, seeds):
            crashes += more_crashes
            wrong += more_wrong
            complete += more_complete
            done += CHUNK
            if trouble:
                say(trouble)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                left = (shown - begin) * (len(seeds) * CHUNK - done) / done
                say(f'{done} inputs done, {left:.0f} s left')
    found = [
        at_least('inputs', done, inputs, '', required=True),
        exactly('crashes', crashes, 0, '', required=True),
        exactly('wrongly_accepted', wrong, 0, '', required=True),
        # Unless many inputs are good, the paths that take them were not tried.
        at_least('rightly_complete', complete, done // 20, '', required=True),
        untargeted('inputs_per_second', done / (time.monotonic() - begin), '1/s'),
    ]
    figures.show('Damaged answers to the reply parser', found)
    figures.write(Path('build') / 'bench' / 'fuzz.json', 'fuzz', found)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    main()
