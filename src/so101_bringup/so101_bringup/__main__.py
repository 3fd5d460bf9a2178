"""`so101`, `python -m so101_bringup`: the command, ending quietly on Ctrl-C at any moment."""

import signal
import sys


def main() -> None:
    try:
        # Here, because it takes a second in which a user may well press Ctrl-C.
        from so101_bringup.command import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


if __name__ == '__main__':
    main()
