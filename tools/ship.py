"""The policy that is shipped, out of a pipeline whose training is done.

python tools/ship.py outputs/pipeline src/so101_policy/checkpoints/smolvla_cube

Beside the last checkpoint come the log of the training, and where the demonstrations of its
dataset came from. No file there names a folder of this machine, nor a dataset that may be another
one where the policy is used. The README.md there is written by hand and stays.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from so101_bringup.pipeline.folder import Folder
from so101_node.error import UserError
from so101_policy import json_object
from so101_policy.training import TRAIN_CONFIG
from so101_training.conversion.manifest import Conversion
from so101_training.training import resumption
from so101_training.training.history import CSV

CARD = 'README.md'


def ship(pipeline: Folder, out: Path) -> None:
    """Replace all but the card in `out`, or nothing. Raises UserError."""
    if out.exists() and not (out / CARD).is_file():
        raise UserError(f'{out}: no {CARD} in it, so it is no shipped policy; give another folder')
    saved = resumption.read(pipeline.train)
    if saved.step < saved.total:
        raise UserError(
            f'{pipeline.train}: step {saved.step} of {saved.total}; first go on with it: '
            f'./so101 train --resume-from {pipeline.train}'
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        new = Path(folder) / out.name
        shutil.copytree(saved.pretrained, new)
        shutil.copyfile(pipeline.train / CSV, new / CSV)
        _write(new / 'dataset.json', manifest(Conversion.load(pipeline.dataset)))
        _forget_this_machine(new)
        (new / CARD).unlink()  # the training's own
        if out.exists():
            shutil.copyfile(out / CARD, new / CARD)
            out.rename(Path(folder) / 'before')
        new.rename(out)


def manifest(conversion: Conversion) -> dict[str, Any]:
    """Return what a dataset was made of: its settings, and of each episode where it came from."""
    episodes = [
        {
            'name': Path(episode['source']).name,
            **{key: episode[key] for key in ('recording', 'task', 'outcome', 'frames')},
        }
        for episode in conversion.episodes
    ]
    frames = sum(episode['frames'] for episode in conversion.episodes)
    return {'settings': dict(conversion.settings), 'frames': frames, 'episodes': episodes}


def _forget_this_machine(folder: Path) -> None:
    config = json_object.read(folder / TRAIN_CONFIG)
    config['dataset']['root'] = None
    _write(folder / TRAIN_CONFIG, config)
    here = f'{Path.cwd()}/'
    for file in folder.rglob('*'):
        if file.is_file():
            file.chmod(0o644)
        if file.suffix == '.json':
            file.write_text(file.read_text().replace(here, ''))


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1) + '\n')


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    reader.add_argument('pipeline', help='folder of the pipeline')
    reader.add_argument('out', type=Path, help='folder of the shipped policy')
    given = reader.parse_args()
    try:
        ship(Folder(given.pipeline), given.out)
    except UserError as error:
        sys.exit(f'ship: {error}')


if __name__ == '__main__':
    main()
