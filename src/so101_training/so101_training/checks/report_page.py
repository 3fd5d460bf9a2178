"""What the checks say, as a page: one HTML file that needs nothing else; pure."""

from collections.abc import Mapping

from jinja2 import Environment

from so101_evaluation import page
from so101_training.checks.charts import HEIGHT, WIDTH, charts
from so101_training.checks.finding import BAD, DOUBTFUL
from so101_training.checks.outliers import path
from so101_training.checks.take import Collection, Take
from so101_training.checks.thumbnails import Strips
from so101_training.checks.verdict import GOOD, Judgement, ranges


def render(collection: Collection, judgement: Judgement, strips: Strips, made: str) -> str:
    """Return the page; `made`: when, as a person reads it."""
    takes: Mapping[int, Take] = {take.number: take for take in collection.takes}
    ways = {number: path(take) for number, take in takes.items()}
    return _environment().get_template('check.html').render(
        collection=collection,
        judgement=judgement,
        takes=takes,
        ways={number: way for number, way in ways.items() if way == way},
        strips=strips,
        charts=charts(collection, judgement),
        size=(WIDTH, HEIGHT),
        made=made,
        seconds=sum(take.duration for take in takes.values()),
        tasks=list(dict.fromkeys(t for take in takes.values() for t in take.tasks if t.strip())),
        verdicts=(BAD, DOUBTFUL, GOOD),
    )  # fmt: skip


def _environment() -> Environment:
    made = page.environment('so101_training', 'checks/templates')
    made.filters['ranges'] = ranges
    return made
