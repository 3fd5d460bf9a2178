"""Exposure, gain and white balance of a RealSense: set, and what was there before."""

from collections.abc import Iterable
from typing import Any

from so101_cameras.sources.source import Settings
from so101_node.error import UserError

# Names of rs.option. A camera takes a value only while its automatic is off, so the values are
# set between switching the automatics off and on.
_VALUES = ('exposure', 'gain', 'white_balance')
_AUTOMATICS = ('enable_auto_exposure', 'enable_auto_white_balance')

# Microseconds in the unit of exposure: of the sensor that has depth as well, which gives the
# colour of a D405, and of a sensor for colour alone.
_DEPTH_SENSOR, _DEPTH_UNIT, _COLOUR_UNIT = 'Stereo Module', 1, 100


class Options:
    """Those of an open sensor that it has. librealsense says RuntimeError when the camera went."""

    def __init__(self, rs: Any, sensor: Any, name: str) -> None:
        """`rs` is the module pyrealsense2, `name` the sensor's."""
        self._sensor = sensor
        self._unit = _DEPTH_UNIT if name == _DEPTH_SENSOR else _COLOUR_UNIT
        self._options = {
            option: getattr(rs.option, option)
            for option in _VALUES + _AUTOMATICS
            if sensor.supports(getattr(rs.option, option))
        }

    def read(self) -> dict[str, float]:
        """Return the values as they are."""
        return {name: self._sensor.get_option(option) for name, option in self._options.items()}

    def apply(self, settings: Settings) -> list[str]:
        """Set what is asked for; return what the camera made of it where that is something else.

        Raises UserError for a value out of the camera's range, or that it does not have at all.
        """
        values = {}
        if settings.exposure:
            values['exposure'] = self._count('exposure', settings.exposure, self._unit)
        if settings.gain:
            values['gain'] = self._count('gain', settings.gain)
        if settings.white_balance:
            values['white_balance'] = self._count('white_balance', settings.white_balance)
        if settings.focus != -1:
            raise UserError(
                f'parameter focus: {settings.focus}, but a RealSense has none: give -1'
            )
        automatics = {
            'enable_auto_exposure': float(settings.exposure == 0),
            'enable_auto_white_balance': float(settings.white_balance == 0),
        }
        return self._set(automatics.items()) + self._set(values.items())

    def restore(self, former: dict[str, float]) -> None:
        """Set what `read` returned."""
        self._set((name, 0.0) for name in _AUTOMATICS)
        self._set((name, former[name]) for name in _VALUES + _AUTOMATICS if name in former)

    def _count(self, parameter: str, value: int, unit: int = 1) -> float:
        """Return the value as the camera counts it, in steps of `unit`."""
        if parameter not in self._options:
            raise UserError(f'parameter {parameter}: {value}, but this camera has no {parameter}')
        range_ = self._sensor.get_option_range(self._options[parameter])
        if not range_.min * unit <= value <= range_.max * unit:
            raise UserError(
                f'parameter {parameter}: {value}; this camera takes {range_.min * unit:g} to '
                f'{range_.max * unit:g}'
            )
        step = range_.step or 1.0
        return min(range_.min + round((value / unit - range_.min) / step) * step, range_.max)

    def _set(self, values: Iterable[tuple[str, float]]) -> list[str]:
        """Set what the camera has; return what came out otherwise."""
        otherwise = []
        for name, value in values:
            if name not in self._options:
                continue
            option = self._options[name]
            self._sensor.set_option(option, value)
            if (found := self._sensor.get_option(option)) != value:
                otherwise.append(f'the camera made {name} {found:g}, not {value:g}')
        return otherwise
