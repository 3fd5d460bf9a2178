"""Where a LeRobot dataset (version 3) keeps one episode's video of a camera."""

import json
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import ArrowException

from so101_node.error import UserError

_VERSION = 'v3.'


class Clip(NamedTuple):
    """A part of a video file, from and to in seconds; `end` None is the file's."""

    file: Path
    start: float = 0.0
    end: float | None = None


def find(folder: Path, camera: str, episode: int) -> Clip:
    """Return the clip of a camera ('wrist') in an episode.

    Raises UserError when the folder is no such dataset or has no such camera or episode.
    """
    try:
        info = json.loads((folder / 'meta' / 'info.json').read_text())
        version, template = info['codebase_version'], info['video_path']
        cameras = [key for key, feature in info['features'].items() if feature['dtype'] == 'video']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f'device {folder}: no LeRobot dataset with videos ({error})') from error
    if not version.startswith(_VERSION):
        raise UserError(f'device {folder}: a dataset of {version}; convert it to {_VERSION}0')
    key = next((key for key in cameras if key.rsplit('.', 1)[-1] == camera), None)
    if key is None:
        raise UserError(
            f'device {folder}: no video of a camera {camera}; it has {", ".join(cameras)}'
        )
    names = ('chunk_index', 'file_index', 'from_timestamp', 'to_timestamp')
    try:
        episodes = ds.dataset(folder / 'meta' / 'episodes', format='parquet')
        rows = episodes.to_table(
            [f'videos/{key}/{name}' for name in names],
            filter=pc.field('episode_index') == episode,
        ).to_pylist()
        count = episodes.count_rows()
    except (OSError, ArrowException) as error:
        raise UserError(f'device {folder}: its episodes cannot be read: {error}') from error
    if not rows:
        raise UserError(f'parameter episode: {episode}; {folder} has {count} episodes, from 0')
    chunk, file, start, end = rows[0].values()
    return Clip(
        folder / template.format(video_key=key, chunk_index=chunk, file_index=file), start, end
    )
