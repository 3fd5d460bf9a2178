"""A process that does not outlive its launcher, also one that was killed with kill -9."""

import ctypes
import os
import signal
import sys

# Set by whoever starts the whole graph to its own process id.
END_WITH_PARENT = 'SO101_END_WITH_PARENT'


def end_with_parent() -> None:
    """If the launcher asked for it, get SIGTERM from the kernel when the launcher is gone (Linux).

    Exits at once when it is gone already.
    """
    parent = os.environ.get(END_WITH_PARENT)
    if not parent:
        return
    signal_with_parent(signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit(1)


def signal_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this signal when the thread that started this process ends (Linux)."""
    pr_set_pdeathsig = 1  # from linux/prctl.h
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, number)
