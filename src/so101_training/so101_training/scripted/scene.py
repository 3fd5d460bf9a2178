"""One scripted episode: its motion, what its cameras deliver, its labels."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from so101_training.scripted.drawing import Picture, Studio
from so101_training.scripted.motion import Motion, Plan, moved

TASK = 'Pick up the cube and place it in the bowl'
CAMERAS = ('wrist', 'overhead')

Camera = Callable[[int], Picture]  # sample -> rgb8 picture


@dataclass
class Scene:
    """`cameras`: name -> the picture at each sample of the motion.

    `stamps`: of a bag's streams, seconds; `delays`: from the stamp to the receipt, seconds.
    """

    motion: Motion
    cameras: dict[str, Camera]
    task: str = TASK
    outcome: str = 'unlabelled'
    reason: str = ''
    stamps: dict[str, np.ndarray] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return len(self.motion.seconds)


def scene(
    random: np.random.Generator,
    size: tuple[int, int] = (120, 160),
    plan: Plan | None = None,
    cameras: tuple[str, ...] = CAMERAS,
) -> Scene:
    """Return an episode without a defect: rooms bright and dim, cameras noisy or not."""
    motion = moved(plan or Plan.drawn(random), random)
    studio = Studio(
        motion,
        size,
        random,
        light=float(
            random.uniform(0.75, 1.15) if random.random() < 0.8 else random.uniform(0.3, 0.5)
        ),
        noise=float(random.uniform(1, 4)),
        smear=float(random.uniform(0.0, 0.6)),
    )
    return Scene(motion, {camera: remembered(studio, camera) for camera in cameras})


def remembered(studio: Studio, camera: str) -> Camera:
    """Return the camera, whose last pictures are what they were when they are asked for again."""
    known: dict[int, Picture] = {}

    def picture(index: int) -> Picture:
        if index not in known:
            if len(known) > 60:
                known.pop(next(iter(known)))
            known[index] = studio.picture(camera, index)
        return known[index]

    return picture
