"""A checkpoint that does not fit is refused with a reason, before anything is loaded."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from so101_node.error import UserError
from so101_policy import checkpoint

Copy = Callable[[Path], Path]


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        checkpoint.read(folder)
    text = str(error.value)
    assert text.count('\n') <= 1
    return text


def test_a_good_one_is_described(smolvla: Path) -> None:
    found = checkpoint.read(smolvla)
    assert (found.type, found.chunk_size, found.fps, found.trained) == ('smolvla', 50, 30.0, False)
    assert found.vlm == smolvla / 'vlm'


def test_one_of_another_policy_type_is_described_and_counts_as_trained(act: Path) -> None:
    found = checkpoint.read(act)
    assert (found.type, found.chunk_size, found.fps, found.trained) == ('act', 20, None, True)


def test_the_folder_of_a_training_run_will_do(smolvla: Path, tmp_path: Path) -> None:
    (tmp_path / 'checkpoints' / 'last').mkdir(parents=True)
    (tmp_path / 'checkpoints' / 'last' / 'pretrained_model').symlink_to(smolvla)
    assert checkpoint.read(tmp_path).path == smolvla
    assert checkpoint.read(tmp_path / 'checkpoints' / 'last').path == smolvla


def test_reading_needs_neither_torch_nor_ros(smolvla: Path) -> None:
    script = (
        'import sys; from pathlib import Path; from so101_policy import checkpoint;'
        f'checkpoint.read(Path({str(smolvla)!r}));'
        "print([name for name in ('torch', 'lerobot', 'rclpy') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True, timeout=30
    )
    assert run.stdout.strip() == '[]', run.stderr


def test_a_missing_folder(tmp_path: Path) -> None:
    assert 'nowhere: no such folder' in refusal(tmp_path / 'nowhere')


def test_a_folder_without_a_checkpoint(tmp_path: Path) -> None:
    assert 'no config.json in it' in refusal(tmp_path)


@pytest.mark.parametrize(
    'name',
    [
        'model.safetensors',
        'policy_preprocessor.json',
        'policy_postprocessor.json',
        'policy_preprocessor_step_5_normalizer_processor.safetensors',
    ],
)
def test_a_missing_file_is_named(smolvla: Path, copy_of: Copy, name: str) -> None:
    folder = copy_of(smolvla)
    (folder / name).unlink()
    assert f'{name} is missing' in refusal(folder)


@pytest.mark.parametrize('kept', [0, 5, 300, 100_000])
def test_truncated_weights(smolvla: Path, copy_of: Copy, kept: int) -> None:
    folder = copy_of(smolvla)
    weights = folder / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:kept])
    assert f'model.safetensors: {"not a whole" if kept < 9e4 else "100000 bytes"}' in refusal(
        folder
    )


def test_broken_json(smolvla: Path, copy_of: Copy) -> None:
    folder = copy_of(smolvla)
    (folder / 'config.json').write_text('{"type": "smolvla",')
    assert 'config.json: not JSON' in refusal(folder)


def test_other_cameras_are_named_with_those_of_the_robot(smolvla: Path, copy_of: Copy) -> None:
    folder = copy_of(smolvla)

    def change(config: dict[str, Any]) -> None:
        features = config['input_features']
        features['observation.images.camera1'] = features.pop('observation.images.wrist')

    edit(folder / 'config.json', change)
    text = refusal(folder)
    assert 'Missing here: observation.images.wrist;' in text
    assert 'not on the robot: observation.images.camera1.' in text
    assert 'The robot has observation.images.overhead, observation.images.wrist;' in text


def test_cameras_that_the_preprocessor_renames_are_the_robots(
    smolvla: Path, copy_of: Copy
) -> None:
    folder = copy_of(smolvla)
    edit(
        folder / 'config.json',
        lambda c: c['input_features'].update(
            {'observation.images.camera1': c['input_features'].pop('observation.images.wrist')}
        ),
    )
    edit(
        folder / 'policy_preprocessor.json',
        lambda c: c['steps'][0]['config']['rename_map'].update(
            {'observation.images.wrist': 'observation.images.camera1'}
        ),
    )
    assert checkpoint.read(folder).type == 'smolvla'


@pytest.mark.parametrize(
    ('features', 'name'),
    [('input_features', 'observation.state'), ('output_features', 'action')],
)
def test_another_number_of_joints(smolvla: Path, copy_of: Copy, features: str, name: str) -> None:
    folder = copy_of(smolvla)
    edit(folder / 'config.json', lambda c: c[features][name].update(shape=[7]))
    assert f'{name} has shape [7], the robot has [6]' in refusal(folder)


def test_another_image_size_for_a_policy_that_does_not_resize(act: Path, copy_of: Copy) -> None:
    folder = copy_of(act)
    edit(
        folder / 'config.json',
        lambda c: c['input_features']['observation.images.wrist'].update(shape=[3, 240, 320]),
    )
    assert 'observation.images.wrist has shape [3, 240, 320]' in refusal(folder)


@pytest.mark.parametrize(
    ('pipeline', 'feature'), [('pre', 'observation.state'), ('post', 'action')]
)
def test_statistics_under_another_name_are_refused_because_lerobot_skips_them(
    smolvla: Path, copy_of: Copy, pipeline: str, feature: str
) -> None:
    folder = copy_of(smolvla)
    statistics = next(folder.glob(f'policy_{pipeline}processor_step_*.safetensors'))
    renamed = feature[:-1] + '_'
    statistics.write_bytes(statistics.read_bytes().replace(feature.encode(), renamed.encode()))
    text = refusal(folder)
    assert f'{statistics.name}: no {feature}.mean, which MEAN_STD needs' in text
    assert f'{renamed}.mean' in text


def test_a_feature_that_the_normalizer_does_not_know(smolvla: Path, copy_of: Copy) -> None:
    folder = copy_of(smolvla)
    edit(
        folder / 'policy_preprocessor.json',
        lambda c: c['steps'][5]['config']['features'].pop('observation.state'),
    )
    assert 'normalizer_processor does not know observation.state' in refusal(folder)


def test_a_step_that_is_not_lerobots_is_not_imported(smolvla: Path, copy_of: Copy) -> None:
    folder = copy_of(smolvla)
    edit(
        folder / 'policy_preprocessor.json',
        lambda c: c['steps'].append({'class': 'subprocess.Popen', 'config': {'args': 'true'}}),
    )
    assert 'step subprocess.Popen is not part of LeRobot' in refusal(folder)
