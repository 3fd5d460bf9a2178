"""A checkpoint loaded through LeRobot: one observation in, one chunk of actions out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.rtc import reanchor_relative_rtc_prefix
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from lerobot.policies.utils import prepare_observation_for_inference
from lerobot.processor import (
    NormalizerProcessorStep,
    RelativeActionsProcessorStep,
    TransitionKey,
    create_transition,
)
from numpy.typing import NDArray
from safetensors import safe_open

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_node.error import UserError
from so101_policy import temporary_files
from so101_policy.checkpoint import WEIGHTS, Checkpoint
from so101_policy.features import STATE, image_feature
from so101_policy.schedule import Guidance

# The first inference allocates and compiles, the second still fills caches.
WARM_UPS = 3


class LoadedPolicy:
    """The policy of one checkpoint with its pre- and postprocessor, on one device.

    `guided`: it can be tied to actions that are already decided, by LeRobot's real-time chunking.
    `lerobot` is LeRobot's own policy: it takes a `batch`, and its actions are normalised.
    """

    def __init__(self, checkpoint: Checkpoint, device: str, threads: int) -> None:
        """Load and warm up. `device` is cpu, cuda or auto: cuda when there is one.

        Raises UserError for a device that is absent, files that LeRobot does not accept, and a
        policy that predicts no chunks.
        """
        if device == 'auto':
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        elif device == 'cuda' and not torch.cuda.is_available():
            raise UserError('device cuda: torch finds no CUDA device; use device:=cpu or auto')
        torch.set_num_threads(threads)
        self.checkpoint = checkpoint
        self._device = torch.device(device)
        try:
            self._load(checkpoint)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise UserError(
                f'checkpoint {checkpoint.path}: LeRobot cannot load it: '
                f'{type(error).__name__}: {_first_lines(error)}'
            ) from error
        try:
            # The first chunk of an episode has nothing to be tied to, all others have.
            for guidance in (None, Guidance(np.zeros((1, 6)), 0, 1) if self.guided else None):
                for _ in range(WARM_UPS):
                    self.predict(
                        np.zeros((len(CAMERAS), *IMAGE_SHAPE), np.uint8),
                        np.zeros(6),
                        'warm up',
                        guidance,
                    )
        except NotImplementedError as error:
            raise UserError(
                f'checkpoint {checkpoint.path}: policy type {checkpoint.type} predicts no action '
                'chunks; use one that does, such as smolvla or act'
            ) from error
        self.reset()

    def predict(
        self,
        images: NDArray[np.uint8],
        state: NDArray[np.float64],
        task: str,
        guidance: Guidance | None = None,
    ) -> NDArray[np.float64]:
        """Return the chunk of actions, shape (T, 6), in dataset units.

        Images and state are those of `batch`; the prefix of `guidance`, which only a guided policy
        takes, is in dataset units too.
        """
        with torch.no_grad():
            batch = self.batch(images, state, task)
            ties = {} if guidance is None else self._ties(guidance, state)
            return self.unnormalised(self.lerobot.predict_action_chunk(batch, **ties))[0]

    def batch(
        self, images: NDArray[np.uint8], state: NDArray[np.float64], task: str
    ) -> dict[str, Any]:
        """Return an observation as LeRobot's policy takes it.

        `images` has shape (camera, height, width, 3), rgb8, cameras in the order of CAMERAS; those
        that the checkpoint does not use may hold anything. `state` has shape (6,), dataset units.
        """
        observation = {
            image_feature(camera): pixels
            for camera, pixels in zip(CAMERAS, images, strict=True)
            if camera in self.checkpoint.cameras
        }
        observation[STATE] = state.astype(np.float32)
        return self._before(
            prepare_observation_for_inference(observation, self._device, task=task)
        )

    def unnormalised(self, actions: torch.Tensor) -> NDArray[np.float64]:
        """Return actions of LeRobot's policy, shape (..., 6), in dataset units."""
        return self._after(actions).double().cpu().numpy()

    def reset(self) -> None:
        """Forget everything of the last episode."""
        self.lerobot.reset()
        self._before.reset()
        self._after.reset()

    def _ties(self, guidance: Guidance, state: NDArray[np.float64]) -> dict[str, Any]:
        """Return guidance as LeRobot takes it: the prefix as the model sees actions."""
        prefix = torch.as_tensor(guidance.prefix, dtype=torch.float32)
        if self._relative is not None and self._relative.enabled:
            prefix = reanchor_relative_rtc_prefix(
                prefix,
                torch.as_tensor(state, dtype=torch.float32),
                self._relative,
                self._normalizer,
                self._device,
            )
        elif self._normalizer is not None:
            action = create_transition(action=prefix.to(self._device))
            prefix = self._normalizer(action)[TransitionKey.ACTION]
        return {
            'prev_chunk_left_over': prefix.to(self._device),
            'inference_delay': guidance.delay,
            'execution_horizon': guidance.horizon,
        }

    def _step[T](self, kind: type[T]) -> T | None:
        return next((step for step in self._before.steps if isinstance(step, kind)), None)

    def _load(self, checkpoint: Checkpoint) -> None:
        options = [f'--device={self._device.type}']
        changes = {'device_processor': {'device': self._device.type}}
        if checkpoint.vlm is not None:
            # It has no weights: those that were trained on are all in the checkpoint.
            options += [f'--vlm_model_name={checkpoint.vlm}', '--load_vlm_weights=false']
            changes['tokenizer_processor'] = {'tokenizer_name': str(checkpoint.vlm)}
        with temporary_files.removed():
            config = PreTrainedConfig.from_pretrained(checkpoint.path, cli_overrides=options)
        policy_class = get_policy_class(config.type)
        # strict: otherwise weights that the file lacks stay random, without a word.
        self.lerobot = policy_class.from_pretrained(checkpoint.path, config=config, strict=True)
        _keep_precision(self.lerobot, checkpoint.path / WEIGHTS)
        self.lerobot.requires_grad_(False)
        known = set(checkpoint.preprocessor_steps)
        self._before, self._after = make_pre_post_processors(
            config,
            pretrained_path=str(checkpoint.path),
            preprocessor_overrides={k: v for k, v in changes.items() if k in known},
        )
        self._normalizer = self._step(NormalizerProcessorStep)
        self._relative = self._step(RelativeActionsProcessorStep)
        self.guided = self.lerobot.supports_rtc()
        if self.guided:
            self.lerobot.config.rtc_config = RTCConfig()
            self.lerobot.init_rtc_processor()


def _keep_precision(policy: torch.nn.Module, weights: Path) -> None:
    """Give parameters that were saved in bfloat16 that type again, as in training.

    LeRobot makes them so only where it loads the vision-language model's own weights.
    """
    with safe_open(weights, 'pt') as file:
        names = set(file.keys())
        for name, parameter in policy.named_parameters():
            if name in names and file.get_slice(name).get_dtype() == 'BF16':
                parameter.data = parameter.data.to(torch.bfloat16)


def _first_lines(error: BaseException) -> str:
    """Return two lines as one: torch's first only says that there is an error."""
    return ' '.join(line.strip() for line in str(error).strip().splitlines()[:2])
