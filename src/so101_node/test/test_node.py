"""A node's process ends cleanly on every way out."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
    import sys
    from so101_node.error import UserError
    from so101_node.node import Node, run

    class Example(Node):
        def __init__(self):
            super().__init__('example')
            self.create_timer(0.01, self.tick)

        def open(self):
            print('open', flush=True)
            if 'open' in sys.argv:
                raise UserError('it is shut; open it')

        def tick(self):
            if 'fail' in sys.argv:
                self.end(UserError('the wire broke; mend it'))
            elif 'defect' in sys.argv:
                raise ZeroDivisionError
            elif 'done' in sys.argv:
                self.end()

        def close(self):
            print('closed', flush=True)

    run(Example)
"""

ROUNDS = """
    import gc
    from so101_node.node import Node, run

    class Rounds(Node):
        def __init__(self):
            super().__init__('rounds')
            self.number = 0
            self.create_timer(0.001, self.tick)

        def tick(self):
            self.number += 1
            if self.number == 500:
                gc.collect()
                self.objects = len(gc.get_objects())
            elif self.number == 1000:
                gc.collect()
                print(len(gc.get_objects()) - self.objects)
                self.end()

    run(Rounds)
"""


def start(word: str = '', **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(PROGRAM), word],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_closes_the_node_and_exits_with_0(number: signal.Signals) -> None:
    process = start()
    assert process.stdout is not None
    assert process.stdout.readline() == 'open\n'
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ('closed\n', '', 0)


def test_a_node_that_is_done_exits_with_0() -> None:
    process = start('done')
    out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ('open\nclosed\n', '', 0)


@pytest.mark.parametrize(
    ('word', 'text'),
    [('fail', 'the wire broke; mend it'), ('open', 'it is shut; open it')],
)
def test_a_user_error_is_one_line_and_exit_code_1(word: str, text: str) -> None:
    process = start(word)
    out, err = process.communicate(timeout=20)
    assert (out, err) == ('open\nclosed\n', f'example: {text}\n')
    assert process.returncode == 1


def test_a_defect_shows_its_traceback_after_closing() -> None:
    process = start('defect')
    out, err = process.communicate(timeout=20)
    assert out == 'open\nclosed\n'
    assert 'ZeroDivisionError' in err
    assert process.returncode == 1


def test_a_node_that_spins_keeps_nothing_of_its_rounds() -> None:
    output = subprocess.run(
        [sys.executable, '-c', textwrap.dedent(ROUNDS)], capture_output=True, text=True, timeout=20
    ).stdout
    assert abs(int(output)) < 100  # of 500 rounds, of which rclpy's own way keeps 1500


def test_a_node_does_not_outlive_a_launcher_that_was_killed() -> None:
    launcher = subprocess.Popen(
        [
            sys.executable,
            '-c',
            'import os, subprocess, sys; os.environ["SO101_END_WITH_PARENT"] = str(os.getpid());'
            'subprocess.run([sys.executable, "-c", sys.argv[1]])',
            textwrap.dedent(PROGRAM),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert launcher.stdout is not None
    assert launcher.stdout.readline() == 'open\n'
    launcher.kill()
    # The node holds the pipe: its end of file is the node's end.
    assert launcher.stdout.read() == 'closed\n'
    launcher.wait(timeout=20)
