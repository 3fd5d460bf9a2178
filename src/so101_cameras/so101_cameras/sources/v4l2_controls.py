"""Exposure, gain, white balance and focus of a V4L2 camera: set, and what was there before."""

import errno
from collections.abc import Iterable
from typing import NamedTuple

from so101_cameras.sources import videodev2 as v4l2
from so101_cameras.sources.kernel import Kernel
from so101_cameras.sources.source import Settings
from so101_node.error import UserError

# By v4l2-ctl's names. A camera takes a value only while its automatic is off, so the values are
# set between switching the automatics off and on.
_VALUES = {
    'exposure_time_absolute': v4l2.CID_EXPOSURE_ABSOLUTE,
    'gain': v4l2.CID_GAIN,
    'white_balance_temperature': v4l2.CID_WHITE_BALANCE_TEMPERATURE,
    'focus_absolute': v4l2.CID_FOCUS_ABSOLUTE,
}
_AUTOMATICS = {
    'auto_exposure': v4l2.CID_EXPOSURE_AUTO,
    'exposure_dynamic_framerate': v4l2.CID_EXPOSURE_AUTO_PRIORITY,
    'gain_automatic': v4l2.CID_AUTOGAIN,
    'white_balance_automatic': v4l2.CID_AUTO_WHITE_BALANCE,
    'focus_automatic_continuous': v4l2.CID_FOCUS_AUTO,
}
CONTROLS = _VALUES | _AUTOMATICS

_EXPOSURE_UNIT = 100  # microseconds

# To restore what was there before.
_ATTEMPTS = 3


class _Range(NamedTuple):
    low: int
    high: int
    step: int


class Controls:
    """Those of an open camera that it has."""

    def __init__(self, kernel: Kernel, fd: int) -> None:
        self._kernel = kernel
        self._fd = fd
        self._left: dict[str, int] = {}  # what came out of setting
        self._ranges: dict[str, _Range] = {}
        for name, number in CONTROLS.items():
            if (found := self._range(number)) is not None:
                self._ranges[name] = found

    def read(self) -> dict[str, float]:
        """Return the values as they are."""
        return {name: self._get(CONTROLS[name]) for name in self._ranges}

    def apply(self, settings: Settings) -> list[str]:
        """Set what is asked for; return what the camera made of it where that is something else.

        Raises UserError for a value out of the camera's range, or that it does not have at all.
        Automatic exposure is kept from slowing the camera down in the dark.
        """
        automatics = {
            'auto_exposure': self._exposure_mode(automatic=settings.exposure == 0),
            'exposure_dynamic_framerate': 0,
            'white_balance_automatic': int(settings.white_balance == 0),
            'focus_automatic_continuous': int(settings.focus == -1),
        }
        if settings.gain:
            automatics['gain_automatic'] = 0
        values = {}
        if settings.exposure:
            values['exposure_time_absolute'] = self._count(
                'exposure', settings.exposure, 'exposure_time_absolute', _EXPOSURE_UNIT
            )
        if settings.gain:
            values['gain'] = self._count('gain', settings.gain, 'gain')
        if settings.white_balance:
            values['white_balance_temperature'] = self._count(
                'white_balance', settings.white_balance, 'white_balance_temperature'
            )
        if settings.focus != -1:
            values['focus_absolute'] = self._count('focus', settings.focus, 'focus_absolute')
        self._left.clear()
        return self._set(automatics.items()) + self._set(values.items())

    def strayed(self) -> list[str]:
        """Return the names of those that are not as `apply` left them."""
        return [name for name, value in self._left.items() if self._get(CONTROLS[name]) != value]

    def restore(self, former: dict[str, float]) -> bool:
        """Set what `read` returned; return whether it is so again.

        A value that is refused is its automatic's to choose. Tried again where an automatic is
        not as it was: on a busy bus a transfer may fail.
        """
        off = dict.fromkeys(_AUTOMATICS, 0) | {'auto_exposure': self._exposure_mode(False)}
        values = {name: int(former[name]) for name in CONTROLS if name in former}
        for _ in range(_ATTEMPTS):
            self._set((name, off[name]) for name in off if name in values)
            self._set(values.items())  # CONTROLS has the automatics behind the values
            if all(self._is(name, values[name]) for name in _AUTOMATICS if name in values):
                return True
        return False

    def _is(self, name: str, value: int) -> bool:
        return name not in self._ranges or self._get(CONTROLS[name]) == value

    def _count(self, parameter: str, value: int, name: str, unit: int = 1) -> int:
        """Return the value of `parameter` as the camera counts it, in steps of `unit`."""
        if name not in self._ranges:
            raise UserError(f'parameter {parameter}: {value}, but this camera has no {name}')
        low, high, step = self._ranges[name]
        if not low * unit <= value <= high * unit:
            raise UserError(
                f'parameter {parameter}: {value}; this camera takes {low * unit} to {high * unit}'
            )
        return min(low + round((value / unit - low) / step) * step, high)

    def _set(self, values: Iterable[tuple[str, int]]) -> list[str]:
        """Set what the camera has; return what came out otherwise."""
        otherwise = []
        for name, value in values:
            if name not in self._ranges:
                continue
            number = CONTROLS[name]
            argument = bytearray(v4l2.CONTROL.pack(number, value))
            try:
                self._kernel.ioctl(self._fd, v4l2.S_CTRL, argument)
                found = self._get(number)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    raise
                otherwise.append(f'the camera refuses {name} {value}: {error.strerror}')
                continue
            self._left[name] = found
            if found != value:
                otherwise.append(f'the camera made {name} {found}, not {value}')
        return otherwise

    def _get(self, number: int) -> int:
        argument = bytearray(v4l2.CONTROL.pack(number, 0))
        self._kernel.ioctl(self._fd, v4l2.G_CTRL, argument)
        return v4l2.CONTROL.unpack(argument)[1]

    def _exposure_mode(self, automatic: bool) -> int:
        """Return the camera's mode for automatic exposure, or for one by hand: few have all."""
        modes = (
            (v4l2.EXPOSURE_APERTURE_PRIORITY, v4l2.EXPOSURE_AUTO)
            if automatic
            else (v4l2.EXPOSURE_MANUAL, v4l2.EXPOSURE_SHUTTER_PRIORITY)
        )
        return next((mode for mode in modes if self._has_mode(mode)), modes[0])

    def _has_mode(self, mode: int) -> bool:
        query = bytearray(v4l2.QUERY_MENU.pack(v4l2.CID_EXPOSURE_AUTO, mode, b''))
        try:
            self._kernel.ioctl(self._fd, v4l2.QUERYMENU, query)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise
            return False
        return True

    def _range(self, number: int) -> _Range | None:
        """Return what a control takes; None when it cannot be read or changed, or is not there."""
        query = bytearray(v4l2.QUERY_CONTROL.pack(number, 0, b'', 0, 0, 0, 0, 0))
        try:
            self._kernel.ioctl(self._fd, v4l2.QUERYCTRL, query)
            self._get(number)
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise
            return None
        _, _, _, low, high, step, _, flags = v4l2.QUERY_CONTROL.unpack(query)
        if flags & (v4l2.CTRL_FLAG_DISABLED | v4l2.CTRL_FLAG_READ_ONLY):
            return None
        return _Range(low, high, max(step, 1))
