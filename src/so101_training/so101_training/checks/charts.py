"""Figures of the episodes, one beside the other, for a person's eye; pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from so101_evaluation.charts import Axis
from so101_training.checks.grasp import grips
from so101_training.checks.lag import lag
from so101_training.checks.outliers import path
from so101_training.checks.picture import Floats, Measures
from so101_training.checks.repeats import repeated
from so101_training.checks.take import RATE, Collection, Take
from so101_training.checks.verdict import GOOD, Judgement

# Of a chart, in the units of its viewBox: the page makes it as wide as its column.
WIDTH, HEIGHT = 520, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 8, 20


@dataclass(frozen=True)
class Mark:
    """An episode's value at (x, y); `low`, `high`: the ends of its range, when it has one."""

    number: int
    verdict: str
    value: float
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Chart:
    title: str
    unit: str
    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, float], ...]  # value, y
    numbers: tuple[tuple[int, float], ...]  # episode, x
    usual: float | None  # y of the median


# An episode's value with the range of it, which may be of no width; None: there is none.
_Value = tuple[float, float, float] | None


def charts(collection: Collection, judgement: Judgement) -> list[Chart]:
    """Return the charts that have something to show."""
    figures: list[tuple[str, str, Callable[[Take], _Value]]] = []
    for camera in collection.cameras:
        figures.append((f'{camera}: brightness', '0 to 255', _brightness(camera)))
        figures.append((f'{camera}: sharpness', '0 to 1', _sharpness(camera)))
        figures.append((f'{camera}: new pictures while the arm moves', '1/s', _rate(camera)))
    figures += [
        ('duration', 's', lambda take: _one(take.duration)),
        ('way of the arm', 'degrees', lambda take: _one(path(take))),
        ('lag of the state behind the action', 'ms', _lag),
        ('gripper while it carries', '0 closed to 100', _gripper(collection)),
    ]
    verdicts = {each.number: each.verdict for each in judgement.verdicts}
    made = [
        _chart(title, unit, {take.number: value(take) for take in collection.takes}, verdicts)
        for title, unit, value in figures
    ]
    return [chart for chart in made if chart.marks]


def _chart(
    title: str, unit: str, values: Mapping[int, _Value], verdicts: Mapping[int, str]
) -> Chart:
    known = {
        number: value
        for number, value in values.items()
        if value is not None and np.isfinite(value).all()
    }
    axis = Axis.around(end for value in known.values() for end in value)
    last = max(max(values, default=0), 1)

    def across(number: int) -> float:
        return round(_LEFT + 8 + (WIDTH - _LEFT - _RIGHT - 16) * number / last, 1)

    def up(value: float) -> float:
        part = (value - axis.low) / (axis.high - axis.low)
        return round(HEIGHT - _BOTTOM - part * (HEIGHT - _TOP - _BOTTOM), 1)

    # The good ones first: what is drawn last lies on top.
    order = sorted(known, key=lambda number: verdicts[number] != GOOD)
    marks = tuple(
        Mark(n, verdicts[n], known[n][0], across(n), *(up(value) for value in known[n]))
        for n in order
    )
    numbers = [i for i in Axis.around([0, last]).ticks if i <= last and i == int(i)]
    usual = up(float(np.median([value[0] for value in known.values()]))) if known else None
    return Chart(
        title, unit, marks, tuple((tick, up(tick)) for tick in axis.ticks),
        tuple((int(i), across(int(i))) for i in numbers), usual,
    )  # fmt: skip


def _one(value: float) -> _Value:
    return value, value, value


def _brightness(camera: str) -> Callable[[Take], _Value]:
    return _spread(camera, lambda measures: measures.brightness, (0, 50, 100))


def _sharpness(camera: str) -> Callable[[Take], _Value]:
    return _spread(camera, lambda measures: measures.sharpness, (5, 50, 95))


def _spread(
    camera: str, measure: Callable[[Measures], Floats], percentiles: tuple[int, int, int]
) -> Callable[[Take], _Value]:
    def value(take: Take) -> _Value:
        found = take.pictures.get(camera)
        if found is None or np.isnan(measured := measure(found.measures)).all():
            return None
        low, middle, high = np.nanpercentile(measured, percentiles)
        return float(middle), float(low), float(high)

    return value


def _rate(camera: str) -> Callable[[Take], _Value]:
    def value(take: Take) -> _Value:
        found = take.pictures.get(camera)
        if found is None or len(found.measures) < 2:
            return None
        again, told = repeated(take, found)
        if told.sum() < RATE / 2:
            return None
        period = float(np.median(np.diff(found.seconds)))
        return _one((1 - again.sum() / told.sum()) / period) if period > 0 else None

    return value


def _lag(take: Take) -> _Value:
    found = lag(take)
    return _one(1e3 * found.samples) if found else None


def _gripper(collection: Collection) -> Callable[[Take], _Value]:
    found = grips(collection)

    def value(take: Take) -> _Value:
        grip = found.get(take.number)
        return _one(grip.stands) if grip else None

    return value
