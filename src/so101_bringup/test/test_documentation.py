"""The documentation holds what there is, as the code has it: its tables, and every module."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import tables
from blocks import NEEDS, Block, blocks, mentions, read

from so101_node import robot_file
from so101_node.error import UserError

ROOT = Path(__file__).parents[3]

DOCUMENTS = tables.documents()
BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]

MODULES = sorted(
    module
    for module in ROOT.glob('src/so101_*/so101_*/**/*.py')
    if not module.stem.startswith('__')
)


@pytest.mark.parametrize(
    'document', DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT))
)
def test_the_tables_of_a_document_are_as_the_code_has_them(document: Path) -> None:
    text = document.read_text()
    assert tables.current(text) == text, 'run: make docs'


def test_the_reference_has_every_table() -> None:
    text = (ROOT / 'docs' / 'reference.md').read_text()
    there = set(re.findall(r'<!-- table: (.+?) -->', text))
    elsewhere = {'packages', 'figures', 'robot', 'sources', 'findings'}
    assert there >= set(tables.TABLES) - elsewhere


@pytest.mark.parametrize('table', ['arguments', 'options', 'parameters'])
def test_a_table_can_be_asked_for_alone(table: str) -> None:
    alone = {'arguments': 'infer', 'options': 'convert', 'parameters': 'so101_driver/driver'}
    assert tables.TABLES[table](alone[table]) in tables.TABLES[table]()


def test_text_outside_the_tables_stays() -> None:
    text = 'before\n<!-- table: targets -->\nold\n<!-- end -->\nafter <!-- table: targets -->\n'
    new = tables.current(text)
    assert new.startswith('before\n<!-- table: targets -->\n\n| command | does |')
    assert new.endswith('\n\n<!-- end -->\nafter <!-- table: targets -->\n')
    assert 'old' not in new
    assert tables.current(new) == new


@pytest.mark.parametrize(
    'module', MODULES, ids=lambda module: f'{module.parent.name}.{module.stem}'
)
def test_a_module_stands_in_its_packages_readme(module: Path) -> None:
    text = (ROOT / module.relative_to(ROOT).parents[-3] / 'README.md').read_text()
    assert re.search(rf'\b{module.stem}\b', text)


@pytest.mark.parametrize('block', BLOCKS, ids=str)
def test_a_block_says_what_it_is_and_what_it_needs(block: Block) -> None:
    assert block.language, 'say what it is: ```bash, ```text, ```yaml ...'
    assert set(block.needs) <= set(NEEDS), f'known: {", ".join(NEEDS)}'


def test_contributing_has_each_word_for_what_a_block_needs() -> None:
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    assert all(f'| {word} | ' in text for word in NEEDS)


@pytest.mark.parametrize('block', [one for one in BLOCKS if one.language == 'bash'], ids=str)
def test_each_command_of_a_block_is_one_that_its_program_takes(block: Block) -> None:
    subprocess.run(['bash', '-n'], input=block.text, text=True, check=True)
    read(block.text)


@pytest.mark.parametrize(
    'document', DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT))
)
def test_each_command_in_a_sentence_is_one_that_its_program_takes(document: Path) -> None:
    for text in mentions(document):
        read(text)


@pytest.mark.parametrize(
    'document', DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT))
)
def test_no_command_stands_outside_a_block(document: Path) -> None:
    indented = re.findall(r'(?m)^ {4,}(?:\./so101|so101|make|ros2|sudo) .*', document.read_text())
    assert not indented, 'put it between ```bash and ```'


@pytest.mark.parametrize('block', [one for one in BLOCKS if one.language == 'yaml'], ids=str)
def test_a_robot_file_of_the_documentation_is_valid(block: Block, tmp_path: Path) -> None:
    if block.document.name == 'robot.md':
        file = tmp_path / 'robot.yaml'
        file.write_text(block.text)
        assert robot_file.read(file).path == file


def test_the_messages_of_the_troubleshooting_are_the_codes() -> None:
    rows = (ROOT / 'docs' / 'troubleshooting.md').read_text().splitlines()
    quoted = [row.split('`')[1] for row in rows if row.startswith('| `')]
    assert len(quoted) > 40
    texts = [*_texts(), *(file.read_text() for file in (ROOT / 'so101', ROOT / 'tools/setup.sh'))]
    assert not [message for message in quoted if not _said(message, texts)]


def _said(message: str, texts: list[str]) -> bool:
    pieces = [re.escape(piece.strip()) for piece in message.removeprefix('so101: ').split('…')]
    return any(re.search('.*'.join(pieces), text, re.DOTALL) for text in texts)


def _texts() -> Iterator[str]:
    """Yield every text of the code, … where an expression stands in it."""
    for file in ROOT.glob('src/so101_*/so101_*/**/*.py'):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                yield ''.join(
                    part.value if isinstance(part, ast.Constant) else '…' for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@pytest.mark.parametrize(
    'wrong',
    [
        'so101 infre',
        'so101 infer num_rollout:=3',
        'so101 infer num_rollouts:=many',
        'so101 convert recordings --output dataset',
        'so101 train --dataset datasets/cube stepps=3',
        'make demmo',
        'make bench NAME=nothing',
        'make demo ARGS="rollouts:=3"',
        'make pipeline ARGS="rollout=3"',
        'so101 pipeline training.out=there',
        'source tools/environment.bash',
        'python bench/nothing.py',
        'ros2 launch so101_bringup infre.launch.py',
        'ros2 launch so101_bringup infer.launch.py num_rollout:=3',
        'ros2 run so101_driver drive',
        'ros2 run so101_driver driver --ros-args -p rates:=3.0',
        'ros2 run so101_driver driver --ros-args -p rate:=3000.0',
        'ros2 run so101_driver calibrate --name my_arm',
        'ros2 service call /arm/halt std_srvs/srv/Trigger',
        'ros2 service call /arm/stop std_srvs/srv/SetBool',
        'ros2 topic echo /joint_state',
        'cat docs/nothing.md',
        'docker compose run --rm robot so101 infre',
        'cd /tmp && so101 infre',
        'frobnicate',
    ],
)
def test_a_wrong_command_is_found(wrong: str) -> None:
    with pytest.raises(UserError):
        read(wrong)


@pytest.mark.parametrize(
    'document', DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT))
)
def test_each_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r'\]\(([^)\s]+)\)', document.read_text()):
        if '://' in target:
            continue
        name, _, anchor = target.partition('#')
        file = document.parent / name if name else document
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


def _anchors(document: Path) -> set[str]:
    """Return what GitHub calls the headings of a document."""
    text = re.sub(r'(?ms)^ *```.*?^ *```$', '', document.read_text())
    titles = re.findall(r'(?m)^#+ (.+)$', text)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}
