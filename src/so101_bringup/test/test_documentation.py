"""The README's tables hold every argument, topic and service, as the code has them."""

from pathlib import Path

import pytest

from so101_bringup.wiring import WIRINGS, Argument
from so101_node import topics
from so101_node.topics import Service, Topic

README = (Path(__file__).parents[3] / 'README.md').read_text().splitlines()
NAMED = list(vars(topics).values())
TOPICS = [thing for thing in NAMED if isinstance(thing, Topic)] + [
    topic for camera in topics.CAMERAS.values() for topic in camera
]
SERVICES = [thing for thing in NAMED if isinstance(thing, Service)]


ARGUMENTS = {argument for wiring in WIRINGS.values() for argument in wiring.arguments}


@pytest.mark.parametrize(
    'argument',
    sorted(ARGUMENTS, key=lambda argument: argument.name),
    ids=lambda argument: argument.name,
)
def test_an_argument_stands_in_the_readme(argument: Argument) -> None:
    default = argument.default_text
    assert (
        f'| {argument.name} | {default}{" " * bool(default)}| {argument.description} |' in README
    )


@pytest.mark.parametrize('thing', TOPICS + SERVICES, ids=lambda thing: thing.name)
def test_a_topic_or_service_stands_in_the_readme(thing: Topic | Service) -> None:
    package = thing.type.__module__.split('.')[0]
    row = f'| {thing.name} | {package}/{thing.type.__name__} | {thing.meaning} |'
    assert row in README
