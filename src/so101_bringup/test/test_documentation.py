"""The README names every argument, topic and service that the code has."""

from pathlib import Path

import pytest

from so101_bringup.wiring import INFER
from so101_node import topics

README = (Path(__file__).parents[3] / 'README.md').read_text()


@pytest.mark.parametrize('argument', INFER.arguments, ids=lambda argument: argument.name)
def test_arguments_stand_in_the_readme_as_in_the_code(argument: object) -> None:
    row = f'| {argument.name} | {argument.default_text} | {argument.description} |'  # type: ignore[attr-defined]
    assert row.replace('|  |', '| |') in README


def test_every_topic_and_service_stands_in_the_readme() -> None:
    things = [thing for thing in vars(topics).values() if isinstance(thing, topics.Topic)]
    for camera in topics.CAMERAS.values():
        things += [camera.image, camera.info]
    names = [topic.name for topic in things]
    names += [s.name for s in vars(topics).values() if isinstance(s, topics.Service)]
    missing = [name for name in names if name not in README and name.split('/')[-1] not in README]
    assert not missing
