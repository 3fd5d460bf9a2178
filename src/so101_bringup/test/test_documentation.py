"""The documentation holds what there is, as the code has it: its tables, and every module."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[3]

MODULES = sorted(
    module
    for module in ROOT.glob('src/so101_*/so101_*/**/*.py')
    if not module.stem.startswith('__')
)


def _tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location('tables', ROOT / 'tools' / 'tables.py')
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = _tables()


@pytest.mark.parametrize(
    'document', tables.documents(), ids=lambda document: str(document.relative_to(ROOT))
)
def test_the_tables_of_a_document_are_as_the_code_has_them(document: Path) -> None:
    text = document.read_text()
    assert tables.current(text) == text, 'run: make docs'


def test_the_reference_has_every_table() -> None:
    text = (ROOT / 'docs' / 'reference.md').read_text()
    there = set(re.findall(r'<!-- table: (.+?) -->', text))
    assert there >= set(tables.TABLES) - {'packages', 'figures', 'findings'}


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
