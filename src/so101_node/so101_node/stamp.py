"""Message stamps and nanoseconds of the one clock (system time since the epoch)."""

from builtin_interfaces.msg import Time


def to_nanoseconds(stamp: Time) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def from_nanoseconds(nanoseconds: int) -> Time:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)
