"""Planted defects, found or not; and how fast: `make bench NAME=checks`.

Every kind of defect is planted 20 times or more, its strength, place and length drawn with a
seed, among as many episodes or more without any. Those are drawn as widely: dim rooms, noise,
pauses of a second, slow and fast motion with blur. A finding of a kind in an episode where that
kind was not planted is a false alarm, also when another defect was. The thresholds of the checks
were set while looking at the seeds 1 to 3 and 20260; the figures are of SEED, which was not.

What this shows: that the checks find what they are made for, in pictures and motions that were
drawn. It does not show how often a real camera or a real task looks like a defect.
"""

import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from so101_bringup import figures
from so101_bringup.figures import at_least, untargeted
from so101_training.checks import survey, video
from so101_training.checks.dataset import Dataset
from so101_training.checks.verdict import judged
from so101_training.scripted import defects
from so101_training.scripted.bag_writer import write_bag
from so101_training.scripted.dataset_writer import write_dataset
from so101_training.scripted.motion import Plan, moved
from so101_training.scripted.scene import TASK, Scene, scene

SEED = 4711
PLANTS = 20  # of each kind, at least

Random = np.random.Generator


@dataclass
class Score:
    planted: int = 0
    found: int = 0
    false: int = 0
    clean: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: 'Score') -> None:
        self.planted += other.planted
        self.found += other.found
        self.false += other.false
        self.clean += other.clean
        self.notes += other.notes

    @property
    def recall(self) -> float:
        return self.found / self.planted if self.planted else float('nan')

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.false) if self.found + self.false else float('nan')


# -- Pictures: each spoils one camera of a scene.


def _stretch(random: Random, length: int, least: int, most: int) -> tuple[int, int]:
    """Draw where a defect begins and ends; a third of them last to the end of the episode."""
    samples = min(int(random.integers(least, most + 1)), length)
    start = int(random.integers(0, length - samples + 1))
    return (start, length) if random.random() < 0.33 else (start, start + samples)


def _moving(scene: Scene, samples: int, random: Random, travel: float) -> int:
    """Draw a sample from which on a joint that carries the arm moves so many degrees."""
    state = scene.motion.state[:, :3]
    windows = np.lib.stride_tricks.sliding_window_view(state, samples + 1, axis=0)
    starts = np.flatnonzero(np.ptp(windows, axis=2).max(axis=1) >= travel)
    return int(random.choice(starts))


def plant_black(s: Scene, camera: str, random: Random) -> None:
    start, stop = _stretch(random, s.length, 2, s.length)
    s.cameras[camera] = defects.black(s.cameras[camera], start, stop, int(random.integers(0, 15)))


def plant_frozen(s: Scene, camera: str, random: Random) -> None:
    samples = int(random.integers(18, 60))
    start = _moving(s, samples, random, 5.0)
    stop = s.length if random.random() < 0.33 else start + samples + 1
    s.cameras[camera] = defects.frozen(s.cameras[camera], start, stop)


def plant_rate(s: Scene, camera: str, random: Random) -> None:
    samples = int(random.integers(30, s.length - 10))
    start = _moving(s, samples, random, 15.0)
    stop = s.length if random.random() < 0.5 else start + samples
    every = 2 if random.random() < 0.75 else 3
    s.cameras[camera] = defects.slowed(s.cameras[camera], start, stop, every)


def plant_gaps(s: Scene, camera: str, random: Random) -> None:
    samples = int(random.integers(5, 13))
    start = _moving(s, samples, random, 2.5)
    s.cameras[camera] = defects.frozen(s.cameras[camera], start, start + samples + 1)


def plant_blurred(s: Scene, camera: str, random: Random) -> None:
    start, stop = _stretch(random, s.length, 20, s.length)
    s.cameras[camera] = defects.blurred(s.cameras[camera], start, stop, random.uniform(2.0, 5.0))


def plant_overexposed(s: Scene, camera: str, random: Random) -> None:
    start, stop = _stretch(random, s.length, 4, s.length)
    seen = float(np.percentile(s.cameras[camera](start), 50))
    gain = 250 / max(seen, 1) * random.uniform(1.05, 2.0)
    s.cameras[camera] = defects.overexposed(s.cameras[camera], start, stop, gain)


def plant_torn(s: Scene, camera: str, random: Random) -> None:
    count = int(random.integers(1, 12))
    indices = random.choice(np.arange(1, s.length - 1), count, replace=False)
    kind = str(random.choice(['shifted', 'grey', 'green']))
    s.cameras[camera] = defects.torn(s.cameras[camera], indices, random, kind)


def plant_skew(s: Scene, camera: str, random: Random) -> None:
    samples = int(random.integers(7, 14))
    s.cameras[camera] = defects.late(s.cameras[camera], samples)


PICTURES: dict[str, Callable[[Scene, str, Random], None]] = {
    'black': plant_black,
    'frozen': plant_frozen,
    'rate': plant_rate,
    'gaps': plant_gaps,
    'blurred': plant_blurred,
    'overexposed': plant_overexposed,
    'torn': plant_torn,
    'skew': plant_skew,
}


# -- Joints and texts: each spoils one scene without cameras.


def plant_lag(s: Scene, random: Random) -> None:
    samples = int(random.integers(3, 9)) * (1 if random.random() < 0.6 else -1)
    s.motion = defects.shifted(s.motion, samples)


def plant_following(s: Scene, random: Random) -> None:
    joint, samples = int(random.integers(0, 5)), int(random.integers(26, 60))
    start = int(random.integers(0, s.length - samples - 26))
    if random.random() < 0.5:
        by = float(random.uniform(11, 40) * random.choice([-1, 1]))
        if joint in (1, 2):  # their rest is at a limit, beyond which nothing pushes them
            by = abs(by) if joint == 1 else -abs(by)
        s.motion = defects.blocked(s.motion, joint, start, start + samples, by)
    else:
        joint = int(random.choice([0, 3]))
        s.motion = defects.clipped(s.motion, joint, start, start + samples + 25)


def plant_limits(s: Scene, random: Random) -> None:
    joint, samples = int(random.integers(0, 5)), int(random.integers(10, 60))
    start = int(random.integers(0, s.length - samples))
    by = float(random.uniform(12, 50))
    s.motion = defects.beyond(s.motion, joint, start, start + samples, by)


def plant_units(s: Scene, random: Random) -> None:
    s.motion = defects.in_units(s.motion, str(random.choice(['radians', 'percent', 'ticks'])))


def plant_pauses(s: Scene, random: Random) -> None:
    speed = np.abs(np.gradient(s.motion.action, axis=0)).max(axis=1)
    resting = np.flatnonzero(speed[20:-20] < 0.3) + 20  # who stops, has slowed down
    at = int(random.choice([0, s.length - 1, random.choice(resting)]))
    s.motion = defects.paused(s.motion, at, int(random.integers(90, 150)))


def plant_outliers(s: Scene, random: Random) -> None:
    if random.random() < 0.5:
        s.motion = defects.cut(s.motion, int(s.length * random.uniform(0.08, 0.45)))
    else:
        s.motion = defects.wandering(s.motion, int(random.integers(2, 5)))


def plant_grasp(s: Scene, random: Random) -> None:
    if random.random() < 0.6:
        s.motion = moved(s.motion.plan.but(grasped=False), random)
    else:
        s.motion = defects.lost(s.motion, random.uniform(0.1, 0.55))


def plant_task(s: Scene, random: Random) -> None:
    s.task = str(
        random.choice(
            ['', '  ', TASK.lower(), TASK + '.', TASK.replace('cube', 'cbue'),
             TASK.replace(' the', ''), TASK.replace('bowl', 'bowls'), TASK.replace('Pick', 'Pikc')]
        )
    )  # fmt: skip


def plant_failure(s: Scene, random: Random) -> None:
    s.outcome, s.reason = 'failure', str(random.choice(['', 'dropped', 'missed the bowl']))


def plant_integrity(s: Scene, random: Random) -> None:
    values = s.motion.state if random.random() < 0.5 else s.motion.action
    row = int(random.integers(0, s.length))
    values[row : row + int(random.integers(1, 20)), int(random.integers(0, 6))] = random.choice(
        [np.nan, np.inf]
    )


JOINTS: dict[str, Callable[[Scene, Random], None]] = {
    'lag': plant_lag,
    'following': plant_following,
    'limits': plant_limits,
    'units': plant_units,
    'pauses': plant_pauses,
    'outliers': plant_outliers,
    'grasp': plant_grasp,
    'task': plant_task,
    'failure': plant_failure,
    'integrity': plant_integrity,
}

# -- Bags: each spoils the streams of one camera.


def plant_bag_rate(s: Scene, camera: str, random: Random) -> None:
    seconds = s.motion.seconds
    first = int(random.integers(0, len(seconds) - 50))
    every = np.arange(len(seconds)) % 2 == 0
    s.stamps[camera] = seconds[every | (np.arange(len(seconds)) < first)]


def plant_bag_gaps(s: Scene, camera: str, random: Random) -> None:
    seconds = s.motion.seconds
    lost = int(random.integers(5, 40))
    first = int(random.integers(5, len(seconds) - lost - 5))
    s.stamps[camera] = np.delete(seconds, slice(first, first + lost))


def plant_bag_skew(s: Scene, camera: str, random: Random) -> None:
    s.delays[camera] = float(random.uniform(0.12, 0.3))


def plant_bag_black(s: Scene, camera: str, random: Random) -> None:
    plant_black(s, camera, random)


BAGS: dict[str, Callable[[Scene, str, Random], None]] = {
    'rate': plant_bag_rate,
    'gaps': plant_bag_gaps,
    'skew': plant_bag_skew,
    'black': plant_bag_black,
}


def spoil_statistics(folder: Path, random: Random) -> None:
    """Break meta/stats.json in one of the ways in which they are found broken."""
    path = folder / 'meta/stats.json'
    way = int(random.integers(6))
    if way == 0:
        path.unlink()
        return
    found = json.loads(path.read_text())
    feature = str(random.choice(['action', 'observation.state']))
    joint = int(random.integers(6))
    if way == 1:
        found[feature]['mean'][joint] = float('nan')
    elif way == 2:
        found[feature]['std'][joint] = 0.0
    elif way == 3:
        found[feature]['mean'][joint] += float(random.uniform(1, 20))
    elif way == 4:
        found[feature]['max'][joint] += float(random.uniform(1, 20))
    else:
        del found[feature]
    path.write_text(json.dumps(found))


# What a defect is, besides itself: a finding of it is no false alarm, and none is expected.
IMPLIED = {
    'outliers': {'grasp', 'pauses', 'lag', 'following'},  # cut before it, or back and forth
    'pauses': {'outliers'},
    'limits': {'following', 'outliers', 'units'},
    'units': {'grasp', 'lag', 'outliers', 'following', 'limits', 'pauses'},
    'lag': {'following', 'skew'},
    'following': {'lag', 'outliers', 'limits'},
    'frozen': {'rate', 'gaps', 'skew'},
    'gaps': {'frozen', 'rate'},
    'rate': {'gaps', 'frozen', 'skew'},
    'black': {'skew', 'torn'},
    'overexposed': {'skew', 'blurred', 'torn'},
    'blurred': {'skew'},
    'torn': {'skew'},
    'skew': {'frozen', 'rate', 'gaps'},  # it shows another time than the joints
}  # fmt: skip


# A picture that stands for more than half a second is called frozen, however it came to that.
ALSO = {'gaps': {'frozen'}}


def _quick(random: Random) -> Plan:
    """Return a plan of about five seconds: half of the pictures to draw."""
    plan = Plan.drawn(random)
    return plan.but(speed=plan.speed * 1.35)


def picture_dataset(folder: Path, seed: int) -> dict[tuple[int, str], str]:
    """Write a dataset half of whose episodes have a defect in each camera; return which."""
    random = np.random.default_rng(seed)
    kinds = random.permutation([kind for kind in PICTURES for _ in range(5)])
    episodes = random.permutation(len(kinds))  # so many, half of them without any
    planted = {}
    scenes = []
    for number in range(len(kinds)):
        made = scene(random, plan=_quick(random))
        place = int(np.flatnonzero(episodes == number)[0])
        if place < len(kinds) // 2:
            for camera, kind in zip(made.cameras, kinds[2 * place : 2 * place + 2], strict=True):
                PICTURES[kind](made, camera, random)
                planted[number, camera] = str(kind)
        scenes.append(made)
    write_dataset(folder, scenes, preset='superfast', labels=False)
    return planted


def joint_dataset(folder: Path, seed: int) -> dict[tuple[int, str], str]:
    """Write a dataset without cameras, two episodes of each kind in 44; return which."""
    random = np.random.default_rng(seed)
    kinds = [kind for kind in JOINTS for _ in range(2)]
    episodes = random.choice(44, len(kinds), replace=False)
    planted = {(int(n), ''): kind for n, kind in zip(episodes, kinds, strict=True)}
    scenes = []
    for number in range(44):
        made = scene(random, cameras=())
        if kind := planted.get((number, '')):
            JOINTS[kind](made, random)
        scenes.append(made)
    write_dataset(folder, scenes, cameras=())
    return planted


def bag_folder(folder: Path, seed: int) -> dict[tuple[int, str], str]:
    """Write a folder of bags, half of which have a defect in one camera; return which."""
    random = np.random.default_rng(seed)
    folder.mkdir()
    kinds = [kind for kind in BAGS for _ in range(4)]
    chosen = random.choice(2 * len(kinds), len(kinds), replace=False)
    planted = {}
    for number in range(2 * len(kinds)):
        made = scene(random, (96, 128), _quick(random))
        # The stamps of a camera jitter by some milliseconds.
        for camera in made.cameras:
            made.stamps[camera] = made.motion.seconds
        if number in chosen:
            kind = kinds[int(np.flatnonzero(chosen == number)[0])]
            camera = str(random.choice(list(made.cameras)))
            BAGS[kind](made, camera, random)
            planted[number, camera] = kind
        for camera, stamps in made.stamps.items():
            late = random.normal(0, 0.002, len(stamps))
            made.stamps[camera] = np.clip(stamps + late, 0, None)
        write_bag(folder / f'take_{number:02d}', made)
    return planted


def _score(
    folder: Path, planted: dict[tuple[int, str], str], kinds: list[str]
) -> dict[str, Score]:
    source = survey.opened([folder])
    judgement = judged(survey.surveyed(source, folder.name, lambda done, of: None, 1))
    scores: dict[str, Score] = defaultdict(Score)
    where = list(dict.fromkeys(camera for _, camera in planted))
    for verdict in judgement.verdicts:
        for camera in where:
            kind = planted.get((verdict.number, camera), '')
            # Without cameras of its own, a defect is of the whole episode.
            said = {f.check for f in verdict.findings if f.camera in (camera, '') or not camera}
            if kind:
                scores[kind].planted += 1
                found = bool(said & ({kind} | ALSO.get(kind, set())))
                scores[kind].found += found
                if not found:
                    scores[kind].notes.append(f'missed: {folder.name} {verdict.number} {camera}')
            for other in kinds:
                scores[other].clean += other != kind
            for false in said & set(kinds) - {kind} - IMPLIED.get(kind, set()):
                scores[false].false += 1
                text = next(
                    f.text
                    for f in verdict.findings
                    if f.check == false and (f.camera in (camera, '') or not camera)
                )
                scores[false].notes.append(
                    f'false {false} ({kind or "clean"}): {folder.name} {verdict.number} '
                    f'{camera}: {text}'
                )
    return scores


def pictures_scored(seed: int) -> dict[str, Score]:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / f'pictures_{seed}'
        return _score(folder, picture_dataset(folder, seed), list(PICTURES))


def joints_scored(seed: int) -> dict[str, Score]:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / f'joints_{seed}'
        return _score(folder, joint_dataset(folder, seed), list(JOINTS))


def bags_scored(seed: int) -> dict[str, Score]:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / f'bags_{seed}'
        found = _score(folder, bag_folder(folder, seed), list(BAGS))
        return {f'{kind}_in_bags': score for kind, score in found.items()}


def statistics_scored(seed: int) -> dict[str, Score]:
    """Score the one check that is about whole data sets: ten with and ten without a defect."""
    random = np.random.default_rng(seed)
    score = Score()
    with tempfile.TemporaryDirectory() as root:
        for number in range(20):
            folder = Path(root) / f'statistics_{seed}_{number}'
            scenes = [scene(random, cameras=()) for _ in range(int(random.integers(3, 7)))]
            write_dataset(folder, scenes, cameras=())
            if number < 10:
                spoil_statistics(folder, random)
            source = survey.opened([folder])
            judgement = judged(survey.surveyed(source, folder.name, lambda done, of: None, 1))
            found = any(each.check == 'statistics' for each in judgement.whole)
            if number < 10:
                score.planted += 1
                score.found += found
            else:
                score.clean += 1
                score.false += found
    return {'statistics': score}


def speed(folder: Path) -> tuple[float, float]:
    """Return frames a second of checking and of decoding alone, in one process, 640x480."""
    random = np.random.default_rng(SEED)
    made = scene(random, (480, 640))
    for camera, picture in made.cameras.items():
        # Drawing takes longer than all the rest: each drawn picture is shown, then once moved.
        drawn = [picture(index) for index in range(0, made.length, 2)]
        made.cameras[camera] = partial(_shown, drawn)
    write_dataset(folder, [made], (480, 640))
    cv2.setNumThreads(1)
    pieces = Dataset(folder).pieces()
    frames = sum(piece.frames for piece in pieces)
    taken: dict[str, list[float]] = {'check': [], 'decode': []}
    for _ in range(3):
        started = time.perf_counter()
        for piece in pieces:
            video.measured(piece)
        taken['check'].append(time.perf_counter() - started)
        started = time.perf_counter()
        for piece in pieces:
            for _ in video.decoded(piece.path, 0.0):
                pass
        taken['decode'].append(time.perf_counter() - started)
    return frames / min(taken['check']), frames / min(taken['decode'])


def _shown(drawn: list[np.ndarray], index: int) -> np.ndarray:
    return np.roll(drawn[index // 2], index % 2, axis=1)


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else SEED
    total: dict[str, Score] = defaultdict(Score)
    with tempfile.TemporaryDirectory() as root:
        checking, decoding = speed(Path(root) / 'speed')
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context('spawn')) as pool:
        jobs = [
            pool.submit(work, 100 * seed + i)
            for work, count in (
                (pictures_scored, 4), (joints_scored, 10), (bags_scored, 5), (statistics_scored, 2)
            )
            for i in range(count)
        ]  # fmt: skip
        for job in jobs:
            for kind, score in job.result().items():
                total[kind].add(score)
    found = []
    for kind, score in total.items():
        for note in score.notes:
            print(f'{kind}: {note}')
        of = f'{score.planted} planted, {score.clean} without'
        for name, value in (('recall', score.recall), ('precision', score.precision)):
            short = score.planted < PLANTS
            figure = at_least(f'{kind}_{name}', None if short else value, 0.95, '', required=True)
            found.append(replace(figure, reason=of))
    found.append(
        untargeted('checking', checking, 'frames/s', baseline=decoding,
                   baseline_name='decoding alone')
    )  # fmt: skip
    figures.show(f'Planted defects, seed {seed}', found)
    figures.write(Path('build') / 'bench' / 'checks.json', 'checks', found, seed=seed)
    sys.exit(bool(figures.failed(found)))


if __name__ == '__main__':
    main()
