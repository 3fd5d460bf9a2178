"""The steps of a pipeline: what each is made of, where it writes, what is typed for it."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from so101_bringup.pipeline.folder import Folder
from so101_bringup.pipeline.parameters import Parameters, training_words
from so101_bringup.pipeline.policy_size import SIZES, making
from so101_bringup.wiring import share
from so101_node.typed_path import typed


class Step(StrEnum):
    """In their order."""

    DEMONSTRATE = 'demonstrate'
    CHECK = 'check'
    CONVERT = 'convert'
    POLICY = 'policy'
    TRAIN = 'train'
    EVALUATE = 'evaluate'


NEEDS: Mapping[Step, tuple[Step, ...]] = {
    Step.DEMONSTRATE: (),
    Step.CHECK: (Step.DEMONSTRATE,),
    Step.CONVERT: (Step.DEMONSTRATE, Step.CHECK),
    Step.POLICY: (),
    Step.TRAIN: (Step.CONVERT, Step.POLICY),
    Step.EVALUATE: (Step.TRAIN,),
}

# What a step counts, one and several of them.
UNITS: Mapping[Step, tuple[str, str]] = {
    Step.DEMONSTRATE: ('demonstration', 'demonstrations'),
    Step.CHECK: ('demonstration', 'demonstrations'),
    Step.CONVERT: ('demonstration', 'demonstrations'),
    Step.POLICY: ('policy', 'policies'),
    Step.TRAIN: ('step', 'steps'),
    Step.EVALUATE: ('rollout', 'rollouts'),
}


def steps(parameters: Parameters) -> list[Step]:
    """Return the steps that there are: a policy that is named need not be made."""
    return [step for step in Step if step is not Step.POLICY or parameters.policy in SIZES]


def place(step: Step, folder: Folder) -> Path:
    """Return where a step writes."""
    places = {
        Step.DEMONSTRATE: folder.recordings,
        Step.CHECK: folder.verdicts,
        Step.CONVERT: folder.dataset,
        Step.POLICY: folder.policy,
        Step.TRAIN: folder.train,
        Step.EVALUATE: folder.rollouts,
    }
    return places[step]


def settings(step: Step, parameters: Parameters) -> dict[str, Any]:
    """Return the parameters whose change means that the step is made anew.

    How many demonstrations and rollouts there are to be is none of them: some more can be made.
    """
    names: Mapping[Step, tuple[str, ...]] = {
        Step.DEMONSTRATE: ('episode_time', 'look', 'demonstration_seed'),
        Step.POLICY: ('policy',),
        Step.EVALUATE: ('mode', 'episode_time', 'look', 'evaluation_seed', 'on_mismatch'),
    }
    found = {name: getattr(parameters, name) for name in names.get(step, ())}
    if step is Step.TRAIN:
        for word in training_words(parameters.training):
            key, _, text = word.partition('=')
            found[f'training.{key}'] = text
    return found


def command(
    step: Step, parameters: Parameters, there: int, excluded: Sequence[int] = ()
) -> list[str]:
    """Return what is typed for a step of which `there` is there, in its unit.

    `excluded`: the numbers of the demonstrations that are not converted, though they succeeded.
    """
    folder = Folder(parameters.out)
    # The simulated robot is the one of the defaults, whatever robot file lies here.
    robot = typed(share('so101_bringup') / 'config' / 'robot.yaml')
    episodes = [
        f'episode_time:={parameters.episode_time}',
        f'look:={parameters.look}',
        f'robot:={robot}',
    ]
    match step:
        case Step.DEMONSTRATE:
            # A session that goes on counts its seeds on from those of the episodes there.
            return [
                *('so101', 'record', 'sim:=true', f'num_episodes:={parameters.demonstrations}'),
                *(f'seed:={parameters.demonstration_seed}', *episodes),
                *('page:=false', f'recordings:={folder.recordings}'),
            ]
        case Step.CHECK:
            return [
                *('so101', 'check', str(folder.recordings)),
                *('--json', str(folder.verdicts), '--out', str(folder.check_page)),
            ]
        case Step.CONVERT:
            left_out = ['--exclude', ','.join(map(str, excluded))] if excluded else []
            out = ('--out', str(folder.dataset))
            return ['so101', 'convert', str(folder.recordings), *out, *left_out]
        case Step.POLICY:
            return making(parameters.policy, folder.policy)
        case Step.TRAIN if there:
            return ['so101', 'train', '--resume-from', str(folder.train)]
        case Step.TRAIN:
            policy = folder.policy if parameters.policy in SIZES else parameters.policy
            return [
                *('so101', 'train', '--dataset', str(folder.dataset), '--out', str(folder.train)),
                f'policy={policy}',
                *training_words(parameters.training),
            ]
        case Step.EVALUATE if there < parameters.rollouts:
            return [
                *('so101', 'evaluate', 'sim:=true', f'checkpoints:={folder.train}'),
                f'num_rollouts:={parameters.rollouts - there}',
                *(f'seed:={parameters.evaluation_seed + there}', 'places:=0', *episodes),
                *(f'mode:={parameters.mode}', f'on_mismatch:={parameters.on_mismatch}'),
                f'recordings:={folder.rollouts}',
            ]
        case Step.EVALUATE:  # all are there, but killed before the report had the last
            return ['so101', 'report', str(folder.rollouts)]


# Exit codes after which a step's output is there all the same: check has found bad episodes,
# convert has skipped broken ones.
WELL_ENDED: Mapping[Step, tuple[int, ...]] = {Step.CHECK: (0, 1), Step.CONVERT: (0, 3)}
