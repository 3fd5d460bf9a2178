import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from so101_policy import checkpoint, untrained_smolvla
from so101_policy.loaded_policy import LoadedPolicy


def test_a_checkpoint_that_was_trained_from_a_models_own_weights_loads_offline(
    tmp_path: Path,
) -> None:
    untrained_smolvla.build(tmp_path / 'tiny')
    # As LeRobot saves one of smolvla_base: the vision-language model in bfloat16, and told to load
    # that model's own weights first, which vlm/ does not have.
    weights = tmp_path / 'tiny' / checkpoint.WEIGHTS
    saved = {
        name: tensor.bfloat16() if '.vlm.' in name else tensor
        for name, tensor in load_file(weights).items()
    }
    save_file(saved, weights, metadata={'format': 'pt'})
    config = tmp_path / 'tiny' / checkpoint.CONFIG
    config.write_text(json.dumps(json.loads(config.read_text()) | {'load_vlm_weights': True}))

    policy = LoadedPolicy(checkpoint.read(tmp_path / 'tiny'), 'cpu', 1)

    loaded = dict(policy.lerobot.named_parameters())
    assert {loaded[name].dtype for name in saved if '.vlm.' in name and name in loaded} == {
        torch.bfloat16
    }
    assert all(loaded[name].dtype == saved[name].dtype for name in saved if name in loaded)
    chunk = policy.predict(np.zeros((2, 480, 640, 3), np.uint8), np.zeros(6), 'go')
    assert np.isfinite(chunk).all()
