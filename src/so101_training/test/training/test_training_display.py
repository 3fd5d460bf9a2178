import io

from rich.console import Console

from so101_training.training.display import Display
from so101_training.training.history import Row

ROW = Row(100, 1.5, 0.0123, 0.18, 8.5e-5, 0.03, 1.27, 49.0, 130.0)


def test_without_a_terminal_each_row_is_a_line_with_an_estimate() -> None:
    file = io.StringIO()
    display = Display(file=file)
    display.begin(0, 20000)
    display.advance()
    display.log(ROW)
    display.end()
    assert file.getvalue() == (
        'step 100 of 20,000: loss 0.012, gradient norm 0.18, learning rate 8.5e-05, '
        'update 1.270 s, data 0.030 s, left 7 h 11 min\n'
    )


def test_on_a_terminal_there_is_a_bar() -> None:
    file = io.StringIO()
    display = Display(file=file)
    display.console = Console(file=file, force_terminal=True, width=100)
    display.begin(50, 200)
    for _ in range(50):
        display.advance()
    display.log(ROW)
    display.say('a note')
    display.end()
    shown = file.getvalue()
    assert 'step 100 of 200, loss 0.012' in shown
    assert 'a note' in shown
    assert 'gradient norm' not in shown


def test_a_quiet_one_says_nothing() -> None:
    file = io.StringIO()
    display = Display(quiet=True, file=file)
    display.begin(0, 200)
    display.say('a note')
    display.log(ROW)
    assert file.getvalue() == ''
