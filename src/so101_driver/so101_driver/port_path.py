"""The name of a serial port that it keeps when it is plugged in again."""

from pathlib import Path

# Linux names every USB serial adapter here by its maker and serial number.
BY_ID = Path('/dev/serial/by-id')


def stable(path: str, by_id: Path = BY_ID) -> str:
    """Return the by-id path of the port at `path`, or `path` itself when it has none.

    /dev/ttyACM0 is /dev/ttyACM1 after a replug if something still holds it; a by-id path stays.
    """
    try:
        links = sorted(by_id.iterdir())
    except OSError:
        return path  # no udev here, or no adapter with a serial number
    device = Path(path).resolve()
    return next((str(link) for link in links if link.resolve() == device), path)
