"""The commands of the documentation: which there are, what they need, whether they can be right.

A fenced block of commands begins with ```bash. What it needs that a test does not have stands
behind that word: ```bash hardware; NEEDS says which words there are. A block that needs nothing is
executed by a test. Of all of them, and of commands inside sentences, each is read here: it must be
one that its program takes. Blocks of anything else are ```text, ```yaml, ```json ...
"""

import contextlib
import dataclasses
import io
import itertools
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import tables

from so101_bringup import command
from so101_bringup.pipeline import parameters as of_pipeline
from so101_node.error import UserError
from so101_node.parameters import checked
from so101_training.training import parameters

NEEDS = {
    'hardware': 'an arm, cameras or a microphone',
    'ros': 'a ROS installation, as from apt',
    'root': 'changes the system',
    'network': 'the internet, or a second machine',
    'container': 'a container engine',
    'gpu': 'a GPU',
    'long': 'takes minutes; that a part of it works is shown by other tests',
}

# Programs of others, of which no argument is read.
OTHERS = {
    *('apt', 'apt-get', 'cd', 'cp', 'docker', 'echo', 'ffmpeg', 'git', 'hf', 'ls', 'mkdir'),
    *('mkfifo', 'nvidia-smi', 'parec', 'pip', 'pw-record', 'rm', 'rviz2', 'ssh', 'sudo', 'sysctl'),
    *('udevadm', 'usermod', 'v4l2-ctl', 'journalctl', 'lsusb', 'tail', 'test', 'chmod'),
    *('curl', 'newgrp', 'nano', 'dmesg', 'arecord', 'rosdep', 'xdg-open', 'locale-gen', 'cat'),
}

# Commands that take KEY=VALUE, and what reads that.
OVERRIDES = {'train': parameters.overrides, 'pipeline': of_pipeline.overrides}

_FENCE = re.compile(r'(?m)^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<text>.*?)^ *```$', re.DOTALL)
_INLINE = re.compile(r'(?<!`)`((?:\./so101|so101|make|ros2|python)(?: [^`]+)?)`(?!`)')
_REPOSITORY = re.compile(r'(src|docs|tools|bench|docker)/[\w./-]+')
_SEPARATORS = {';', '&', '&&', '|', '||', '(', ')'}


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first text, counted from 1."""

    document: Path
    line: int
    language: str
    needs: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f'{self.document.relative_to(tables.ROOT)}:{self.line}'


def blocks(document: Path) -> list[Block]:
    """Return the fenced blocks of a document."""
    text = document.read_text()
    found = []
    for fence in _FENCE.finditer(text):
        language, *needs = fence['info'].split() or ['']
        line = text.count('\n', 0, fence.start('text')) + 1
        found.append(Block(document, line, language, tuple(needs), fence['text']))
    return found


def mentions(document: Path) -> list[str]:
    """Return the commands inside the sentences and tables of a document."""
    return _INLINE.findall(_FENCE.sub('', document.read_text()))


def read(text: str) -> None:
    """Read commands. Raises UserError for one that its program would not take."""
    for line in text.replace('\\\n', ' ').splitlines():
        for words in _commands(line):
            _read(words)


def _commands(line: str) -> Iterator[list[str]]:
    # What stands for something else becomes a word.
    line = re.sub(r'\$\([^()]*\)|<[\w ]+>', 'X', line)
    words: list[str] = []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for word in [*lexer, ';']:
        if word not in _SEPARATORS:
            words.append(word)
        elif words:
            yield words
            words = []


def _read(words: Sequence[str]) -> None:
    for word in words:
        if _REPOSITORY.fullmatch(word) and not (tables.ROOT / word).exists():
            raise UserError(f'{word} does not exist')
    while words and (re.match(r'[A-Z_a-z]+=', words[0]) or words[0] in ('export', 'sudo', 'time')):
        words = words[1:]
    if not words:
        return
    program, *rest = words
    if program == 'docker' and 'so101' in rest:
        _so101(rest[rest.index('so101') + 1 :])
    if program in OTHERS:
        return
    if program not in READERS:
        raise UserError(f'{program} is no program that is known here; see tools/blocks.py')
    READERS[program](rest)


def _so101(words: Sequence[str]) -> None:
    if not words or words in (['list'], ['--help']):
        return
    name, *rest = words
    if name in command.TOOLS:
        _tool(name, rest)
    elif name in tables.GRAPHS:
        _graph(name, rest)
    else:
        raise UserError(f'so101 has no command {name}')


def _tool(name: str, words: Sequence[str]) -> None:
    if not words:  # named, not called
        return
    parser = tables.parser(name)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            given = parser.parse_intermixed_args(words)
    except SystemExit as end:
        if end.code:
            raise UserError(said.getvalue().splitlines()[-1]) from None
        return
    if name in OVERRIDES:
        OVERRIDES[name](given.override)


def _graph(name: str, words: Sequence[str]) -> None:
    if '--show-args' not in words:
        tables.GRAPHS[name].values(command.parse(words))


def _make(words: Sequence[str]) -> None:
    targets = tables.make_targets()
    for word in words:
        name, equals, text = word.partition('=')
        if not equals and name not in targets:
            raise UserError(f'make {name}: there is no such target')
        if name == 'NAME' and not (tables.ROOT / 'bench' / f'{text}.py').exists():
            raise UserError(f'make bench {word}: there is no such bench')
        if name == 'ARGS' and 'pipeline' in words:
            _tool('pipeline', shlex.split(text))
        elif name == 'ARGS':
            _graph('demo', shlex.split(text))


def _python(words: Sequence[str]) -> None:
    if words[0] != '-m' and not (tables.ROOT / words[0]).is_file():
        raise UserError(f'python {words[0]}: there is no such file')


def _source(words: Sequence[str]) -> None:
    (file,) = words
    known = file.startswith('/opt/ros/') or file.startswith('install/')
    if not known and not (tables.ROOT / file).is_file():
        raise UserError(f'source {file}: there is no such file')


def _ros2(words: Sequence[str]) -> None:
    verb, *rest = words
    if not rest:  # named, not called
        return
    ours = {'launch': _launch, 'run': _run, 'service': _service, 'topic': _topic}
    if verb in ours:
        ours[verb](rest)
    elif verb not in ('bag', 'pkg', 'node', 'param', 'daemon'):
        raise UserError(f'ros2 {verb} is not known here; see tools/blocks.py')


def _launch(words: Sequence[str]) -> None:
    package, file, *rest = words
    if package != 'so101_bringup':
        return
    if not (tables.ROOT / 'src/so101_bringup/launch' / file).is_file():
        raise UserError(f'so101_bringup has no {file}')
    _graph(file.removesuffix('.launch.py'), rest)


def _run(words: Sequence[str]) -> None:
    package, name, *rest = words
    if not package.startswith('so101_'):
        return
    if (package, name) not in tables.programs():
        raise UserError(f'{package} has no program {name}')
    nodes = tables.nodes()
    if f'{package}/{name}' in nodes:
        fields = {one.name: one for one in dataclasses.fields(nodes[f'{package}/{name}'])}
        for before, word in itertools.pairwise(rest):
            if before == '-p':
                _parameter(fields, word)
    elif name in command.TOOLS:
        _tool(name, rest)


def _parameter(fields: dict[str, dataclasses.Field], word: str) -> None:
    name, _, text = word.partition(':=')
    if name not in fields:
        raise UserError(f'unknown parameter {name}; known: {", ".join(fields)}')
    kinds: dict[object, Callable[[str], object]] = {bool: 'true'.__eq__, int: int, float: float}
    checked(fields[name], kinds.get(fields[name].type, str)(text))


def _service(words: Sequence[str]) -> None:
    verb, name, *rest = words
    found = [one.type for one in tables.named_services() if one.name == name.lstrip('/')]
    kinds = [f'{kind.__module__.split(".")[0]}/srv/{kind.__name__}' for kind in found]
    if verb == 'call' and kinds != rest[:1]:
        raise UserError(f'no service {name} of type {rest[:1]}; see docs/reference.md')


def _topic(words: Sequence[str]) -> None:
    known = {one.name.lstrip('/'): one.type_name for one in tables.named_topics()}
    names = [word for word in words[1:] if word.startswith('/')]
    for name in names:
        if name.lstrip('/') not in known:
            raise UserError(f'{name}: no such topic; see docs/reference.md')
        if words[0] == 'pub' and known[name.lstrip('/')] not in words:
            raise UserError(f'{name} is of type {known[name.lstrip("/")]}')


READERS: dict[str, Callable[[Sequence[str]], None]] = {
    './so101': _so101,
    'so101': _so101,
    'make': _make,
    'python': _python,
    'source': _source,
    'ros2': _ros2,
}
