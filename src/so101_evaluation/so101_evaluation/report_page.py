"""The report as a page: one HTML file that needs nothing else; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from so101_description.workspace import SQUARE_CENTRE, SQUARE_SIZE
from so101_episodes.places import grid
from so101_evaluation import page
from so101_evaluation.charts import Axis, lanes
from so101_evaluation.contrast import contrasts
from so101_evaluation.entry import Entry
from so101_evaluation.group import Group, Summary, by_place
from so101_evaluation.labels import NOT_SAID
from so101_evaluation.report import Report

# The figures that have a column and a chart: smoothness, then timing. The first of the others take
# the places of those that no episode has; the rest is in an episode's details.
FEATURED = (
    'measured_jerk_rms_degrees',
    'tracking_rms_degrees',
    'inference_p95_ms',
    'observation_to_command_p95_ms',
    'starved_seconds',
)

_MOST_PLACES = 100  # on a map that can be read


@dataclass(frozen=True)
class Dot:
    """An episode in a chart: the `number`-th, at `x` percent, in a lane of its row."""

    number: int
    entry: Entry
    value: float
    x: float
    lane: int


@dataclass(frozen=True)
class Row:
    """A checkpoint's episodes along an axis; the summary may be of a part of them."""

    name: str
    dots: Sequence[Dot]
    summary: Summary | None


@dataclass(frozen=True)
class Plot:
    """A value of each episode, a row for each checkpoint."""

    title: str
    unit: str
    axis: Axis
    rows: Sequence[Row]


@dataclass(frozen=True)
class Tile:
    """A place on the map: seen from above, the arm below; in percent of the map."""

    name: str
    group: Group
    left: float
    top: float
    width: float
    height: float


def render(report: Report, pictures: Sequence[str]) -> str:
    """Return the page; `pictures`: for each entry a data URI, or ''."""
    checkpoints, places = report.by_checkpoint(), by_place(report.overall)
    featured = _featured(report.overall.figures)
    plots = [_plot(report, 'duration', 's', _duration, lambda group: group.success_durations)]
    for name in featured:
        of_one, of_all = _figure(name)
        plots.append(_plot(report, *page.split(name), of_one, of_all))
    return page.template('report.html').render(
        report=report,
        overall=report.overall,
        numbered=list(enumerate(report.entries, 1)),
        tasks=list(dict.fromkeys(entry.task for entry in report.entries if entry.task)),
        labels=report.labels,
        checkpoints=checkpoints,
        contrasts=contrasts(checkpoints),
        places=[] if [group.name for group in places] == [NOT_SAID] else places,
        at_place={group.name: {at.name: at for at in by_place(group)} for group in checkpoints},
        tiles=tiles(report),
        plots=plots,
        featured=featured,
        pictures=pictures,
        when=_when,
    )


def _plot(
    report: Report,
    title: str,
    unit: str,
    of_one: Callable[[Entry], float | None],
    of_all: Callable[[Group], Summary | None],
) -> Plot:
    labels = report.labels
    measured = [
        (number, entry, value)
        for number, entry in enumerate(report.entries, 1)
        if (value := of_one(entry)) is not None
    ]
    axis = Axis.around(value for _, _, value in measured)
    rows = []
    for group in report.by_checkpoint():
        mine = [found for found in measured if labels[found[1].checkpoint] == group.name]
        xs = [axis.at(value) for _, _, value in mine]
        dots = [Dot(*found, x, lane) for found, x, lane in zip(mine, xs, lanes(xs), strict=True)]
        rows.append(Row(group.name, dots, of_all(group)))
    return Plot(title, unit, axis, rows)


def _duration(entry: Entry) -> float:
    return entry.duration_s


def _figure(
    name: str,
) -> tuple[Callable[[Entry], float | None], Callable[[Group], Summary | None]]:
    """Return how to get a figure of an episode, and of a group."""
    return lambda entry: entry.figures.get(name), lambda group: group.figures.get(name)


def _featured(figures: Mapping[str, Summary | None]) -> list[str]:
    measured = [name for name, summary in figures.items() if summary]
    chosen = [name for name in FEATURED if name in measured]
    return (chosen + [name for name in measured if name not in chosen])[: len(FEATURED)]


def tiles(report: Report) -> list[Tile]:
    """Return the map when all the places are of one grid, '2 of 4 (far right)'; otherwise []."""
    groups = {group.name: group for group in by_place(report.overall) if group.name != NOT_SAID}
    counts = {name.partition(' of ')[2].partition(' ')[0] for name in groups}
    count = counts.pop() if len(counts) == 1 else ''
    if not (count.isdecimal() and len(count) < 4 and 0 < int(count) <= _MOST_PLACES):
        return []
    spots = {str(spot): spot for spot in grid(int(count))}
    if not groups.keys() <= spots.keys():
        return []
    far, left = (centre + SQUARE_SIZE / 2 for centre in SQUARE_CENTRE)
    return [
        Tile(
            spot.name,
            groups.get(name, Group(name, ())),
            left=100 * (left - spot.spot(1, 1)[1]) / SQUARE_SIZE,
            top=100 * (far - spot.spot(1, 1)[0]) / SQUARE_SIZE,
            width=100 * spot.size[1] / SQUARE_SIZE,
            height=100 * spot.size[0] / SQUARE_SIZE,
        )
        for name, spot in spots.items()
    ]


def _when(nanoseconds: int) -> str:
    """Return a time of this machine's clock, as it is here."""
    return datetime.fromtimestamp(nanoseconds / 1e9).strftime('%Y-%m-%d %H:%M:%S')
