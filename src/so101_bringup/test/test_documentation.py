"""The READMEs hold what there is, as the code has it: arguments, topics, parameters, modules."""

import re
from dataclasses import Field, fields
from pathlib import Path

import pytest

from so101_bringup.graphs import WIRINGS
from so101_bringup.wiring import Argument
from so101_driver import driver_node
from so101_node import topics
from so101_node.topics import Service, Topic

ROOT = Path(__file__).parents[3]
README = (ROOT / 'README.md').read_text().splitlines()
DRIVER_README = (ROOT / 'src' / 'so101_driver' / 'README.md').read_text().splitlines()
NAMED = list(vars(topics).values())
TOPICS = [thing for thing in NAMED if isinstance(thing, Topic)] + [
    topic for camera in topics.CAMERAS.values() for topic in camera
]
SERVICES = [thing for thing in NAMED if isinstance(thing, Service)]

MODULES = sorted(
    module
    for module in ROOT.glob('src/so101_*/so101_*/**/*.py')
    if not module.stem.startswith('__')
)

ARGUMENTS = sorted(
    {argument for wiring in WIRINGS.values() for argument in wiring.arguments},
    key=lambda argument: argument.name,
)


@pytest.mark.parametrize('argument', ARGUMENTS, ids=lambda argument: argument.name)
def test_an_argument_stands_in_the_readme(argument: Argument) -> None:
    row = f'| {argument.name} | {_cell(argument.default_text)}| {argument.description} |'
    assert row in README


@pytest.mark.parametrize('field', fields(driver_node.Parameters), ids=lambda field: field.name)
def test_a_parameter_of_the_driver_stands_in_its_readme(field: Field) -> None:
    text = str(field.default)
    default = text.lower() if field.type is bool else text
    row = f'| {field.name} | {_cell(default)}| {field.metadata["description"]} |'
    assert row in DRIVER_README


def _cell(text: str) -> str:
    return f'{text} ' if text else ''


@pytest.mark.parametrize('thing', [*TOPICS, *SERVICES], ids=lambda thing: thing.name)
def test_a_topic_or_service_stands_in_the_readme(thing: Topic | Service) -> None:
    package = thing.type.__module__.split('.')[0]
    row = f'| {thing.name} | {package}/{thing.type.__name__} | {thing.meaning} |'
    assert row in README


@pytest.mark.parametrize(
    'module', MODULES, ids=lambda module: f'{module.parent.name}.{module.stem}'
)
def test_a_module_stands_in_its_packages_readme(module: Path) -> None:
    text = (ROOT / module.relative_to(ROOT).parents[-3] / 'README.md').read_text()
    assert re.search(rf'\b{module.stem}\b', text)


@pytest.mark.parametrize('bench', sorted(ROOT.glob('bench/*.py')), ids=lambda bench: bench.stem)
def test_a_bench_stands_in_the_readme(bench: Path) -> None:
    assert any(line.startswith(f'| {bench.stem} | ') for line in README)
