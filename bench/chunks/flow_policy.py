"""A policy whose flow is known in closed form, run by LeRobot's SmolVLA code.

For an observation, the actions that training data would hold are a mixture of Gaussians over whole
chunks: a component for each way around an obstacle, and around it what demonstrations differ by.
The velocity field of flow matching for such data is an expectation that can be written down, so
what is judged is the execution of chunks and not the training of a network.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lerobot.policies.common.flow_matching import euler_integrate
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
from torch import Tensor, nn

from chunks.method import RATE, Array
from chunks.world import CHUNK, SIDE, TICKS, Modes, Motion

# Standard deviations, degrees, of what one chunk differs by from the next one for the same state:
_OFFSET = 1.5  # of the whole chunk, each joint by itself
_DRIFT = 2.0  # grown by the end of the chunk, each joint by itself
_SPEED = 0.1  # of the speed, all joints together
_TREMOR = 0.05  # of every action by itself: half an encoder step, in data and in the network

_RETURN = 0.5  # s: the time constant with which chunks lead from where the arm is to the motion
_TELLING = 3.0  # degrees beside the middle way that tell which way was taken


def _statistics() -> tuple[Array, Array]:
    """Return mean and standard deviation of actions, (6,), of a data set of 50 episodes."""
    actions = []
    for seed in range(1000, 1050):
        motion = Motion(seed)
        random = np.random.default_rng(seed)
        modes = tuple(random.choice((-1, 1), len(motion.decisions)).tolist())
        actions.append(motion.reference(modes)[:TICKS])
    return np.concatenate(actions).mean(axis=0), np.concatenate(actions).std(axis=0)


MEAN, STD = _statistics()


def normalised(actions: Array) -> Tensor:
    """Return actions (..., 6) in dataset units as the policy has them."""
    return torch.as_tensor((actions - MEAN) / STD, dtype=torch.float32)


def unnormalised(actions: Tensor) -> Array:
    """Return actions (..., 6) of the policy in dataset units."""
    return actions.double().numpy() * STD + MEAN


@dataclass(frozen=True)
class Seen:
    """An observation: `tick` stands for what images show, `state` (6,) is in dataset units."""

    tick: int
    state: Array


class FlowPolicy(SmolVLAPolicy):
    """SmolVLA with another network; its queue, its sampling and its guidance are LeRobot's.

    `guided`: by real-time chunking, which LeRobot's queue of a policy has no use for.
    """

    def __init__(self, motion: Motion, seed: int, guided: bool) -> None:
        nn.Module.__init__(self)
        self.config = SmolVLAConfig(device='cpu')
        if guided:
            self.config.rtc_config = RTCConfig()
        self.init_rtc_processor()
        self.reset()
        self._motion = motion
        self._seed = seed
        self._count = 0

    @property
    def chunk_size(self) -> int:
        return self.config.chunk_size

    def infers(self) -> bool:
        return self._check_get_actions_condition()

    def select(self, observation: Seen) -> Tensor:
        return self.select_action(vars(observation))[0]

    def predict(self, observation: Seen, **guidance: Any) -> Tensor:
        return self.predict_action_chunk(vars(observation), **guidance)[0]

    def unnormalised(self, actions: Tensor) -> Array:
        return unnormalised(actions)

    def _get_action_chunk(
        self, batch: dict[str, Any], noise: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        random = torch.Generator().manual_seed(self._seed * 100_000 + self._count)
        self._count += 1
        shape = (1, self.config.chunk_size, 6)
        noise = torch.randn(shape, generator=random)
        error = torch.randn(shape, generator=random) * _WHITE
        field = _Field(self._motion, batch['tick'], batch['state'], error)
        return euler_integrate(
            field,
            noise,
            self.config.num_steps,
            rtc_processor=self.rtc_processor,
            rtc_enabled=self._rtc_enabled(),
            **kwargs,
        )


_AHEAD = np.arange(CHUNK)
_BACK = np.exp(-_AHEAD / (RATE * _RETURN))
_WHITE = float(_TREMOR / STD.mean())


class _Field:
    """The velocity of x = t noise + (1 - t) actions, (1, CHUNK, 6), normalised."""

    def __init__(self, motion: Motion, tick: int, state: Array, error: Tensor) -> None:
        means, spreads, weights = [], [], []
        for modes in motion.open_modes(tick):
            reference = motion.reference(modes)
            chunk = reference[tick : tick + CHUNK]
            astray = state - motion.follower(modes)[tick]
            means.append(chunk + np.outer(_BACK, astray))
            velocity = np.gradient(reference, axis=0)[tick : tick + CHUNK]
            spreads.append((velocity * (_SPEED * _AHEAD)[:, None] / STD).reshape(-1, 1))
            weights.append(_likelihood(motion, modes, tick, state))
        self._mean = normalised(np.array(means)).flatten(1) + error.flatten(1)
        self._weight = torch.tensor(weights, dtype=torch.float32)
        spread = np.array([np.concatenate((_STEADY, each), axis=1) for each in spreads])
        basis, scale = _principal(torch.as_tensor(spread, dtype=torch.float32))
        self._basis = basis
        self._scale = scale

    def __call__(self, x: Tensor, time: Tensor) -> Tensor:
        t = float(time[0])
        away = x.reshape(1, -1) - (1 - t) * self._mean  # (modes, 6 CHUNK)
        white = t**2 + (1 - t) ** 2 * _WHITE**2
        along = (1 - t) ** 2 * self._scale
        part = (away[:, None] @ self._basis)[:, 0]
        shrunk = along / (white + along) * part
        square = ((away**2).sum(1) - (shrunk * part).sum(1)) / white
        size = torch.log1p(along / white).sum(1)
        lot = torch.softmax(self._weight - (square + size) / 2, 0)
        inside = self._scale * part / (white + along) - _WHITE**2 / white * shrunk
        found = self._mean + (1 - t) * (
            _WHITE**2 / white * away + (self._basis @ inside[:, :, None])[:, :, 0]
        )
        return (x - (lot @ found).reshape(x.shape)) / t


def _likelihood(motion: Motion, modes: Modes, tick: int, state: Array) -> float:
    """Return the logarithm of how well the state tells that this way was taken."""
    beside = float((state - motion.follower(tuple(0 for _ in modes))[tick]) @ SIDE)
    expected = sum(
        mode * each.lagging[tick] for mode, each in zip(modes, motion.decisions, strict=True)
    )
    return -((beside - expected) ** 2) / (2 * _TELLING**2)


def _principal(spread: Tensor) -> tuple[Tensor, Tensor]:
    """Return directions (modes, n, r) and variances (modes, r) of spreads (modes, n, r)."""
    values, vectors = torch.linalg.eigh(spread.transpose(1, 2) @ spread)
    values = values.clamp(min=1e-9)
    return spread @ (vectors / values.sqrt()[:, None]), values


def _steady() -> Array:
    """Return the spread that every chunk has: offsets and drifts, (6 CHUNK, 12), normalised."""
    offsets = np.tile(np.diag(_OFFSET / STD), (CHUNK, 1, 1))
    drifts = np.diag(_DRIFT / STD) * (_AHEAD / CHUNK)[:, None, None]
    return np.concatenate((offsets, drifts), axis=2).reshape(6 * CHUNK, 12)


_STEADY = _steady()
