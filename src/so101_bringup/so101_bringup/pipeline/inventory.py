"""What the steps of a pipeline have left on the disk, read anew before each of them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from so101_bringup.pipeline import ledger
from so101_bringup.pipeline.folder import Folder
from so101_bringup.pipeline.parameters import Parameters
from so101_bringup.pipeline.policy_size import SIZES
from so101_bringup.pipeline.remains import (
    Converted,
    Judged,
    Recorded,
    Remains,
    Trained,
    identity,
)
from so101_bringup.pipeline.step import Step, place
from so101_episodes.episode import FILE, Episode
from so101_node.error import UserError
from so101_policy import checkpoint, json_object
from so101_training.checks.finding import BAD
from so101_training.conversion.manifest import CONVERSION, Conversion
from so101_training.training import resumption


def look(parameters: Parameters) -> Remains:
    """Return what is there. Raises UserError for a file that is not what it should be."""
    folder = Folder(parameters.out)
    return Remains(
        there=frozenset(step for step in Step if _holds_anything(place(step, folder))),
        noted=ledger.read(folder.ledger),
        recorded=_recorded(folder.recordings),
        judged=_judged(folder.verdicts),
        converted=_converted(folder.dataset),
        policy=_policy(parameters.policy, folder),
        trained=_trained(folder.train),
        rollouts=_recorded(folder.rollouts),
        reported=_reported(folder.rollouts / folder.data.name),
    )


def _holds_anything(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _recorded(recordings: Path) -> tuple[Recorded, ...]:
    """Return the episodes in the order of their names, in which they were recorded."""
    found = []
    for file in sorted(recordings.glob(f'[!.]*/{FILE}')):
        name = file.parent.name
        try:
            episode = Episode.load(file.parent)
        except UserError as error:
            found.append(Recorded(name, damage=str(error)))
            continue
        found.append(
            Recorded(
                name,
                kind=episode.kind,
                outcome=episode.outcome,
                reason=episode.reason,
                started=episode.started,
                salvaged=episode.salvaged,
            )
        )
    return tuple(found)


def _judged(path: Path) -> tuple[Judged, ...] | None:
    """Return the verdicts that `so101 check --json` wrote."""
    if not path.exists():
        return None
    verdicts = []
    for entry in json_object.field(json_object.read(path), 'episodes', list, path):
        findings = json_object.field(entry, 'findings', list, path)
        graver = sorted(
            findings, key=lambda one: json_object.field(one, 'severity', str, path) != BAD
        )
        verdicts.append(
            Judged(
                number=json_object.field(entry, 'number', int, path),
                name=json_object.field(entry, 'name', str, path),
                verdict=json_object.field(entry, 'verdict', str, path),
                text=json_object.field(graver[0], 'text', str, path) if graver else '',
            )
        )
    return tuple(verdicts)


def _converted(dataset: Path) -> Converted | None:
    if not (dataset / CONVERSION).exists():
        return None
    conversion = Conversion.load(dataset)
    # Without the paths: a folder that was moved holds the same dataset.
    content = [(e['recording'], e['outcome'], e['task'], e['frames']) for e in conversion.episodes]
    return Converted(
        identity=identity([dict(conversion.settings), content]),
        episodes=tuple(_names(conversion.episodes)),
        frames=sum(entry['frames'] for entry in conversion.episodes),
        left_out={
            name: entry['why']
            for name, entry in zip(_names(conversion.left_out), conversion.left_out, strict=True)
        },
    )


def _names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return [Path(entry['source']).name for entry in entries]


def _policy(policy: str, folder: Folder) -> str | None:
    """Return the identity of the starting policy, None when it is yet to be made."""
    if policy in SIZES:
        made = folder.policy
        whole = all((made / name).is_file() for name in (checkpoint.CONFIG, checkpoint.WEIGHTS))
        return _weights(made) if whole else None
    given = Path(policy).expanduser()
    return _weights(checkpoint.find(given)) if given.is_dir() else policy


def _trained(train: Path) -> Trained | None:
    if not (train / resumption.CHECKPOINTS / resumption.LAST).exists():
        return None
    saved = resumption.read(train)
    return Trained(saved.step, saved.total, _weights(saved.pretrained))


def _weights(folder: Path) -> str:
    """Return the identity of a checkpoint. Raises UserError for one without weights."""
    if not (folder / checkpoint.WEIGHTS).is_file():
        raise UserError(f'checkpoint {folder}: no {checkpoint.WEIGHTS} in it; give a whole one')
    digest = hashlib.sha256((folder / checkpoint.CONFIG).read_bytes())
    with (folder / checkpoint.WEIGHTS).open('rb') as file:
        digest.update(hashlib.file_digest(file, 'sha256').digest())
    return digest.hexdigest()[:16]


def _reported(path: Path) -> frozenset[str]:
    if not path.exists():
        return frozenset()
    entries = json_object.field(json_object.read(path), 'episodes', list, path)
    return frozenset(json_object.field(entry, 'name', str, path) for entry in entries)
