"""Write the tables of the documentation from the code: `make docs`.

A table stands between two comments, `<!-- table: NAME -->` and `<!-- end -->`, in any Markdown
file of the repository; what is between them is written anew. NAME is a key of TABLES, and a word
after it is the table's argument: `<!-- table: options convert -->`.
"""

import argparse
import dataclasses
import functools
import importlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from catkin_pkg.package import parse_package
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from so101_bringup import command, demo
from so101_bringup.doctor import examination
from so101_bringup.graphs import WIRINGS
from so101_bringup.wiring import Argument, Wiring
from so101_node import topics
from so101_node.robot_file import SOURCES, CameraSetting, Robot
from so101_node.topics import Service, Topic

ROOT = Path(__file__).resolve().parents[1]
GRAPHS = {**WIRINGS, 'demo': demo.WIRING}

_BLOCK = re.compile(r'(?m)^(<!-- table: (.+?) -->)\n.*?^(<!-- end -->)$', re.DOTALL)

Rows = Iterable[Sequence[str]]


class _Parsed(Exception):
    """A command has reached the reading of its arguments."""


def documents() -> list[Path]:
    """Return every Markdown file of the repository, but for the templates of programs."""
    found = [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md'), *ROOT.glob('docker/**/*.md')]
    found += [*ROOT.glob('src/*/*.md'), *ROOT.glob('src/*/checkpoints/*/*.md')]
    return sorted(found)


def current(text: str) -> str:
    """Return a document's text with its tables as the code has them."""
    return _BLOCK.sub(lambda block: f'{block[1]}\n\n{_table(block[2])}\n\n{block[3]}', text)


def _table(call: str) -> str:
    name, *words = call.split()
    if name not in TABLES:
        raise SystemExit(f'no table {name}; there are {", ".join(TABLES)}')
    return TABLES[name](*words)


def arguments(graph: str = '') -> str:
    """Return the launch arguments of a graph; of every graph under headings when none is named."""
    if graph:
        return _arguments(GRAPHS[graph])
    return _sections(
        (f'`{wiring.name}`', f'{wiring.description}\n\n{_arguments(wiring)}')
        for wiring in GRAPHS.values()
    )


def _arguments(wiring: Wiring) -> str:
    return _rows(
        ('argument', 'default', 'values', 'robot.yaml', 'meaning'),
        (
            (
                _code(one.name),
                _defaults(one),
                _values(type(one.default), one.low, one.high, one.choices),
                _code(one.key),
                one.description,
            )
            for one in wiring.arguments
        ),
    )


def _defaults(argument: Argument) -> str:
    simulated = argument.in_simulation_text
    return _code(argument.default_text) + (f', with sim {_code(simulated)}' if simulated else '')


def parameters(node: str = '') -> str:
    """Return the parameters of a node, 'package/executable'; of every node when none is named."""
    if node:
        return _parameters(nodes()[node])
    return _sections((name.replace('/', ' '), _parameters(kind)) for name, kind in nodes().items())


@functools.cache
def programs() -> dict[tuple[str, str], str]:
    """Return the module of each (package, executable) of ours."""
    found = {
        (entry.value.split('.')[0], entry.name): entry.value.split(':')[0]
        for entry in entry_points(group='console_scripts')
        if entry.value.startswith('so101_')
    }
    return dict(sorted(found.items()))


@functools.cache
def nodes() -> dict[str, Any]:
    """Return the dataclass of parameters of each node, by 'package/executable'."""
    kinds = {
        f'{package}/{name}': getattr(importlib.import_module(module), 'Parameters', None)
        for (package, name), module in programs().items()
    }
    return {name: kind for name, kind in kinds.items() if kind is not None}


def _parameters(kind: Any) -> str:
    fields = dataclasses.fields(kind)
    if not fields:
        return 'None.'
    return _rows(
        ('parameter', 'default', 'values', 'meaning'),
        (_key(field.name, field) for field in fields),
    )


def _default(field: dataclasses.Field) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return ', '.join(
            value if isinstance(value, str) else f'{value:.5g}'
            for value in field.default_factory()
        )
    return str(field.default).lower() if field.type is bool else str(field.default)


def _values(kind: Any, low: float | None, high: float | None, choices: Sequence[str]) -> str:
    """Return in words what a value may be; nothing for a text that may be any."""
    if choices:
        return ', '.join(_code(choice) for choice in choices)
    if kind is bool:
        return '`true`, `false`'
    if low is not None and high is not None:
        return f'{low:.10g} to {high:.10g}'
    if low is not None:
        return f'at least {low:.10g}'
    return f'at most {high:.10g}' if high is not None else ''


def named_topics() -> list[Topic]:
    named = [thing for thing in vars(topics).values() if isinstance(thing, Topic)]
    named += [topic for camera in topics.CAMERAS.values() for topic in camera]
    return sorted(named, key=lambda topic: topic.name)


def robot() -> str:
    """Return the keys of the robot file."""
    rows: list[tuple[str, str, str, str]] = []
    for field in dataclasses.fields(Robot):
        if field.name == 'cameras':
            for one in dataclasses.fields(CameraSetting):
                rows.append(_key(f'cameras.<name>.{one.name}', one))
        elif dataclasses.is_dataclass(field.type):
            rows += [
                _key(f'{field.name}.{one.name}', one) for one in dataclasses.fields(field.type)
            ]
        elif field.metadata:
            rows.append(_key(field.name, field))
    return _rows(('key', 'default', 'values', 'meaning'), rows)


def _key(name: str, field: dataclasses.Field) -> tuple[str, str, str, str]:
    limits = (field.metadata[key] for key in ('low', 'high', 'choices'))
    return (
        _code(name),
        _code(_default(field)),
        _values(field.type, *limits),
        field.metadata['description'],
    )


def sources() -> str:
    """Return who may read a camera."""
    return _rows(('source', 'is'), ((_code(name), text) for name, text in SOURCES.items()))


def topics_table() -> str:
    """Return every topic."""
    return _rows(
        ('topic', 'type', 'quality', 'meaning'),
        (
            (_code(one.name), _type(one.type), _quality(one.qos), one.meaning)
            for one in named_topics()
        ),
    )


def named_services() -> list[Service]:
    return [thing for thing in vars(topics).values() if isinstance(thing, Service)]


def services() -> str:
    """Return every service."""
    return _rows(
        ('service', 'type', 'meaning'),
        ((_code(one.name), _type(one.type), one.meaning) for one in named_services()),
    )


def _type(kind: type) -> str:
    return f'{kind.__module__.split(".")[0]}/{kind.__name__}'


def _quality(qos: QoSProfile) -> str:
    reliable = qos.reliability == ReliabilityPolicy.RELIABLE
    latched = qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
    last = 'latched' if latched else f'depth {qos.depth}'
    return f'{"reliable" if reliable else "best effort"}, {last}'


def commands() -> str:
    """Return what `so101 list` lists."""
    return _rows(
        ('command', 'does'),
        ((f'`./so101 {name}`', command.description(name)) for name in command.NAMES),
    )


def options(tool: str = '') -> str:
    """Return the options of a command that takes --options; of all when none is named."""
    if tool:
        return _options(parser(tool))
    return _sections(
        (f'`{name}`', f'{command.description(name)}\n\n{_options(parser(name))}')
        for name in command.TOOLS
    )


@functools.cache
def parser(tool: str) -> argparse.ArgumentParser:
    """Return the parser of a command: its main is stopped where it would parse."""
    found: list[argparse.ArgumentParser] = []

    def parse(self: argparse.ArgumentParser, *_: Any) -> None:
        found.append(self)
        raise _Parsed

    main = importlib.import_module(command.TOOLS[tool]).main
    with (
        patch.object(argparse.ArgumentParser, 'parse_args', parse),
        patch.object(argparse.ArgumentParser, 'parse_intermixed_args', parse),
    ):
        try:
            main([])
        except _Parsed:
            pass
    return found[0]


def _options(parser: argparse.ArgumentParser) -> str:
    actions = [action for action in parser._actions if action.dest != 'help']
    formatter = parser._get_formatter()
    return _rows(
        ('option', 'meaning'),
        (
            (
                _code(formatter._format_action_invocation(action)),
                formatter._expand_help(action) if action.help else '',
            )
            for action in actions
        ),
    )


def training() -> str:
    """Return the parameters of a training."""
    return _commented(ROOT / 'src/so101_training/config/train.yaml')


def pipeline() -> str:
    """Return the parameters of a pipeline."""
    return _commented(ROOT / 'src/so101_bringup/config/pipeline.yaml')


def _commented(file: Path) -> str:
    """Return the keys of a YAML file, their values, and the comments above them."""
    text = file.read_text()
    rows, comment = [], ''
    for line in text.splitlines():
        if line.startswith('#'):
            comment = f'{comment} {line.lstrip("# ")}'.strip()
        elif line and not line.startswith(' '):
            key, _, default = line.partition(': ')
            rows.append((_code(key.rstrip(':')), _code(default.strip("'")), comment))
            comment = ''
        else:
            comment = ''
    return _rows(('key', 'default', 'meaning'), rows)


def benches() -> str:
    """Return every bench: the first line of its docstring."""
    return _rows(
        ('bench', 'shows'),
        ((_code(file.stem), _first_line(file)) for file in sorted(ROOT.glob('bench/*.py'))),
    )


def _first_line(file: Path) -> str:
    return file.read_text().partition('"""')[2].partition('\n')[0].partition(': `make')[0]


def findings(area: str = '') -> str:
    """Return what the doctor may find wrong in an area; in every one when none is named."""
    if area:
        return _findings(area)
    return _sections(
        (f'`{name}`', f'{_first_sentence(check)}\n\n{_findings(name)}')
        for name, check in examination.CHECKS.items()
    )


def _findings(area: str) -> str:
    return _rows(
        ('finding', '', 'means', 'cure'),
        (
            (
                _code(kind.id),
                kind.level.value,
                kind.means,
                kind.cure.replace('{cure}', 'of the fault'),
            )
            for kind in examination.kinds()
            if kind.area == area
        ),
    )


def _first_sentence(module: ModuleType) -> str:
    return (module.__doc__ or '').partition('\n\n')[0]


def make_targets() -> dict[str, str]:
    """Return what each target of the Makefile does."""
    return dict(re.findall(r'(?m)^([a-z]+):.*?## (.+)$', (ROOT / 'Makefile').read_text()))


def targets() -> str:
    """Return the targets of the Makefile."""
    rows = ((f'`make {name}`', text) for name, text in make_targets().items())
    return _rows(('command', 'does'), rows)


def packages() -> str:
    """Return every package with the description of its manifest."""
    found = [parse_package(str(path.parent)) for path in sorted(ROOT.glob('src/*/package.xml'))]
    return _rows(
        ('package', 'is'),
        ((f'[{one.name}](src/{one.name})', one.description) for one in found),
    )


def figures() -> str:
    """Return what the benches measured last: docs/figures/*.json, as `make bench` writes them."""
    files = sorted(ROOT.glob('docs/figures/*.json'))
    return _sections((_code(file.stem), _figures(json.loads(file.read_text()))) for file in files)


def _figures(document: dict[str, Any]) -> str:
    machine = document['machine']
    shows = _first_line(ROOT / 'bench' / f'{document["name"]}.py')
    where = f'{machine["cores"]} cores, {machine["processor"]}, Python {machine["python"]}'
    rows = _rows(
        ('figure', 'value', 'wanted', '', 'beside it'),
        (
            (
                entry['name'].replace('_', ' '),
                _value(entry),
                _target(entry),
                {None: '', True: 'met', False: '**missed**'}[entry['ok']],
                _beside(entry),
            )
            for entry in document['figures']
        ),
    )
    return f'{shows}\n\nOn {where}.\n\n{rows}'


def _value(entry: dict[str, Any]) -> str:
    value = _number(entry['value'], entry['unit'])
    if (interval := entry.get('interval')) is None:
        return value
    return f'{value} ({" to ".join(f"{end:.3g}" for end in interval)})'


def _target(entry: dict[str, Any]) -> str:
    target = entry['target'].replace('>=', '≥').replace('<=', '≤').removeprefix('= ')
    return f'{target} {entry.get("reason", "")}'.strip()


def _beside(entry: dict[str, Any]) -> str:
    if (baseline := entry.get('baseline')) is None:
        return ''
    return f'{baseline["name"]}: {_number(baseline["value"], entry["unit"])}'


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return 'not measured'
    text = f'{value:,.0f}' if abs(value) >= 1000 else f'{value:.3g}'
    return f'{text} {unit}'.strip()


def _sections(sections: Iterable[tuple[str, str]]) -> str:
    return '\n\n'.join(f'### {title}\n\n{text}' for title, text in sections)


def _rows(head: Sequence[str], rows: Rows) -> str:
    """Return a table, without the columns in which nothing stands."""
    lines = [[_escaped(cell) for cell in row] for row in rows]
    filled = [column for column in range(len(head)) if any(line[column] for line in lines)]
    rule = '|' + '---|' * len(filled)
    body = [_line(line[column] for column in filled) for line in lines]
    return '\n'.join([_line(head[column] for column in filled), rule, *body])


def _escaped(cell: str) -> str:
    """Return the text of a cell as Markdown shows it, on one line; code keeps its < and >."""
    words = re.split(r'(`[^`]*`)', ' '.join(cell.split()).replace('|', '\\|'))
    return ''.join(
        word if word.startswith('`') else word.replace('<', '&lt;').replace('>', '&gt;')
        for word in words
    )


def _line(cells: Iterable[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'


def _code(text: str) -> str:
    return f'`{text}`' if text else ''


TABLES: dict[str, Callable[..., str]] = {
    'arguments': arguments,
    'parameters': parameters,
    'robot': robot,
    'sources': sources,
    'topics': topics_table,
    'services': services,
    'commands': commands,
    'options': options,
    'training': training,
    'pipeline': pipeline,
    'benches': benches,
    'findings': findings,
    'targets': targets,
    'packages': packages,
    'figures': figures,
}


def main() -> None:
    for file in documents():
        text = file.read_text()
        if (new := current(text)) != text:
            file.write_text(new)
            print(f'{file.relative_to(ROOT)}: written')


if __name__ == '__main__':
    main()
