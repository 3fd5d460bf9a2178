"""What is shipped can be used as it is: small, whole, and of no machine in particular."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from so101_policy import checkpoint
from so101_policy.loaded_policy import LoadedPolicy

SHIPPED = sorted(path.parent for path in Path(__file__).parents[1].glob('checkpoints/*/README.md'))
MOST = 20e6  # bytes


@pytest.fixture(params=SHIPPED, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_something_is_shipped() -> None:
    assert SHIPPED


def test_it_is_small_and_names_no_folder_of_a_machine(folder: Path) -> None:
    files = [file for file in folder.rglob('*') if file.is_file()]
    assert sum(file.stat().st_size for file in files) < MOST
    for file in files:
        if file.suffix not in ('.safetensors', '.png'):
            assert not re.search(r'(?<![\w.:/-])(/[\w.-]+){2,}', file.read_text()), file


def test_its_card_names_what_is_there(folder: Path) -> None:
    card = (folder / 'README.md').read_text()
    assert not re.search('@[A-Z]+@', card)
    table = card[card.index('| file | is |') :]
    named = [name for row in table.splitlines() for name in re.findall(r'`([^`]+)`', row)]
    assert len(named) > 8
    assert all(any(folder.glob(name)) for name in named)
    here = {path.name for path in folder.iterdir()} - {'README.md'}
    assert here == {path.name for name in named for path in folder.glob(name)}


def test_its_origin_is_there(folder: Path) -> None:
    manifest = json.loads((folder / 'dataset.json').read_text())
    note = json.loads((folder / 'so101.json').read_text())
    assert len(manifest['episodes']) == note['dataset']['episodes']
    assert manifest['frames'] == note['dataset']['frames']
    assert note['base'] is None  # its weights come from this training alone
    config = json.loads((folder / 'train_config.json').read_text())
    log = (folder / 'training.csv').read_text().splitlines()
    assert int(log[-1].split(',')[0]) == config['steps']


def test_it_fits_the_robot_and_predicts(folder: Path) -> None:
    found = checkpoint.read(folder)
    assert found.trained and not found.doubts
    policy = LoadedPolicy(found, 'cpu', torch.get_num_threads())
    state = np.array([0.0, -60.0, 60.0, 60.0, 90.0, 20.0])
    chunk = policy.predict(np.full((2, 480, 640, 3), 128, np.uint8), state, found.tasks[0])
    assert chunk.shape == (found.chunk_size, 6)
    assert np.isfinite(chunk).all()
