"""A checkpoint that does not fit is refused with a reason, before anything is loaded."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from safetensors.numpy import load_file, save_file

from so101_description.joints import JOINTS
from so101_node.error import UserError
from so101_policy import checkpoint

Copy = Callable[[Path], Path]

# A dataset of this arm, in dataset units.
LOW = [-60.0, -104.0, -30.0, -40.0, 60.0, 2.0]
HIGH = [60.0, 40.0, 96.0, 90.0, 120.0, 80.0]
TASKS = ['Pick up the cube', 'Open the drawer']

# Written by LeRobot's own classes, as its training does at a checkpoint: ImageNet's statistics in
# the place of the images' own.
_TRAINED = """
import sys
import numpy as np
import torch
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
from lerobot.utils.constants import IMAGENET_STATS

folder, dataset, low, high = sys.argv[1], sys.argv[2], *map(eval, sys.argv[3:])
images = ['observation.images.wrist', 'observation.images.overhead']
config = ACTConfig(
    device='cpu', push_to_hub=False, chunk_size=20, n_action_steps=20, dim_model=32, n_heads=2,
    dim_feedforward=64, n_encoder_layers=1, n_vae_encoder_layers=1, latent_dim=4,
    pretrained_backbone_weights=None,
    input_features={
        **{name: PolicyFeature(FeatureType.VISUAL, (3, 480, 640)) for name in images},
        'observation.state': PolicyFeature(FeatureType.STATE, (6,)),
    },
    output_features={'action': PolicyFeature(FeatureType.ACTION, (6,))},
)
data = np.random.default_rng(0).uniform(low, high, (1000, 6))
data[0], data[1] = low, high
quantiles = {f'q{q:02}': np.quantile(data, q / 100, axis=0) for q in (1, 10, 50, 90, 99)}
joints = {
    'min': data.min(0), 'max': data.max(0), 'mean': data.mean(0), 'std': data.std(0),
    'count': np.array([1000]), **quantiles,
}
pixels = {'min': np.zeros((3, 1, 1)), 'max': np.ones((3, 1, 1)), 'count': np.array([1000])}
pixels |= {name: torch.tensor(values) for name, values in IMAGENET_STATS.items()}
statistics = {'observation.state': joints, 'action': joints, **dict.fromkeys(images, pixels)}
statistics['timestamp'] = {'mean': np.array([3.0]), 'std': np.array([1.0])}
ACTPolicy(config).save_pretrained(folder)
run = TrainPipelineConfig(dataset=DatasetConfig('me/cubes', root=dataset), policy=config)
run.save_pretrained(folder)
for processor in make_pre_post_processors(config, dataset_stats=statistics):
    processor.save_pretrained(folder)
"""


@pytest.fixture(scope='session')
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as LeRobot's training saves it, its dataset not at hand. Not to be changed."""
    folder = tmp_path_factory.mktemp('saved') / 'pretrained_model'
    arguments = [str(folder), '/nowhere', repr(LOW), repr(HIGH)]
    subprocess.run([sys.executable, '-c', _TRAINED, *arguments], check=True, timeout=100)
    return folder


@pytest.fixture
def trained(saved: Path, copy_of: Copy, tmp_path: Path) -> Path:
    """The same with its dataset's description, in `<folder>/../dataset`."""
    folder = copy_of(saved)
    dataset = tmp_path / 'dataset'
    edit(folder / 'train_config.json', lambda c: c['dataset'].update(root=str(dataset)))
    (dataset / 'meta').mkdir(parents=True)
    names = [f'{joint}.pos' for joint in JOINTS]
    vector = {'dtype': 'float32', 'shape': [6], 'names': names}
    image = {'dtype': 'video', 'shape': [480, 640, 3], 'names': ['height', 'width', 'channels']}
    features = {'action': vector, 'observation.state': vector} | dict.fromkeys(
        ['observation.images.wrist', 'observation.images.overhead'], image
    )
    (dataset / 'meta/info.json').write_text(json.dumps({'fps': 25, 'features': features}))
    tensors = load_file(next(folder.glob('policy_preprocessor_step_*.safetensors')))
    statistics: dict[str, dict[str, Any]] = {}
    for key, values in tensors.items():
        feature, _, name = key.rpartition('.')
        statistics.setdefault(feature, {})[name] = values.tolist()
    statistics['observation.images.wrist'].update(
        mean=[[[0.31]], [[0.32]], [[0.33]]], std=[[[0.2]], [[0.2]], [[0.2]]]
    )
    (dataset / 'meta/stats.json').write_text(json.dumps(statistics))
    write_tasks(dataset, 'task')
    return folder


def write_tasks(dataset: Path, column: str) -> None:
    table = pyarrow.table({'task_index': [0, 1], column: TASKS})
    pyarrow.parquet.write_table(table, dataset / 'meta/tasks.parquet')


def change_statistics(folder: Path, pipeline: str, changes: dict[str, Any]) -> None:
    """Set statistics in the file of one pipeline, pre or post; None removes one."""
    path = next(folder.glob(f'policy_{pipeline}processor_step_*.safetensors'))
    tensors = load_file(path) | {k: np.array(v, np.float32) for k, v in changes.items() if v}
    save_file({k: v for k, v in tensors.items() if changes.get(k, v) is not None}, path)


def change_joints(folder: Path, low: list[float], high: list[float], *features: str) -> None:
    """Give features the statistics of evenly spread data, in both pipelines."""
    a, b = np.array(low), np.array(high)
    found = {'min': a, 'max': b, 'mean': (a + b) / 2, 'std': (b - a) / 3.46, 'q01': a, 'q99': b}
    changes = {f'{f}.{name}': v.tolist() for f in features for name, v in found.items()}
    for pipeline in ('pre', 'post'):
        change_statistics(folder, pipeline, changes)


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
    assert found.cameras == ('wrist', 'overhead')
    found.check_cameras(('overhead', 'wrist', 'another'))
    with pytest.raises(UserError, match='needs the overhead camera, but there is only wrist;'):
        found.check_cameras(['wrist'])


def test_one_that_uses_fewer_cameras_than_the_robot_has_is_given_those(one_eyed: Path) -> None:
    found = checkpoint.read(one_eyed)
    assert found.cameras == ('wrist',)
    found.check_cameras(['wrist'])


def test_one_that_uses_no_camera_is_refused(one_eyed: Path, copy_of: Copy) -> None:
    folder = copy_of(one_eyed)
    edit(folder / 'config.json', lambda c: c['input_features'].pop('observation.images.wrist'))
    assert 'the cameras differ' in refusal(folder)


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
    assert 'no such folder' in refusal(Path('\0'))
    assert 'File name too long' in refusal(tmp_path / ('x' * 300))


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


def test_one_as_lerobot_saves_it_passes_and_tells_its_training(saved: Path) -> None:
    found = checkpoint.read(saved)
    assert not found.doubts
    assert (found.fps, found.tasks, found.trained) == (None, (), True)
    assert found.state is not None
    span = found.state.span()
    assert span is not None
    assert span.measured
    np.testing.assert_allclose([span.low, span.high], [LOW, HIGH])
    # They are ImageNet's: of the training images nothing is known.
    assert not found.images


@pytest.mark.parametrize('column', ['task', '__index_level_0__'])
def test_a_dataset_at_hand_tells_fps_tasks_and_brightness(trained: Path, column: str) -> None:
    write_tasks(trained.parent / 'dataset', column)
    found = checkpoint.read(trained)
    assert not found.doubts
    assert (found.fps, list(found.tasks)) == (25.0, TASKS)
    assert list(found.images) == ['wrist']
    assert found.images['wrist'].values['mean'] == (0.31, 0.32, 0.33)


def test_the_note_comes_before_the_dataset(trained: Path) -> None:
    image = {'mean': [0.5, 0.5, 0.5], 'std': [0.1, 0.1, 0.1]}
    note = {'fps': 50, 'tasks': ['Sort'], 'statistics': {'observation.images.overhead': image}}
    (trained / 'so101.json').write_text(json.dumps(note))
    found = checkpoint.read(trained)
    assert (found.fps, found.tasks) == (50.0, ('Sort',))
    assert set(found.images) == {'wrist', 'overhead'}


@pytest.mark.parametrize(
    ('note', 'text'),
    [
        ({'fps': 0}, 'fps is 0'),
        ({'fps': True}, 'fps is True, expected int or float'),
        ({'trained': 1}, 'trained is 1, expected bool'),
        ({'tasks': 'Sort'}, "tasks is 'Sort', expected list"),
        ({'joints': list(JOINTS[::-1])}, 'another order'),
        ({'statistics': {'observation.state': {'mean': [1.0]}}}, 'mean: 1 numbers, expected 6'),
        ({'statistics': {'action': {'max': ['a'] * 6}}}, 'expected numbers'),
    ],
)
def test_a_broken_note(trained: Path, note: dict[str, Any], text: str) -> None:
    (trained / 'so101.json').write_text(json.dumps(note))
    assert text in refusal(trained)


def test_joints_in_another_order_than_the_robots(trained: Path) -> None:
    def swap(info: dict[str, Any]) -> None:
        names = info['features']['observation.state']['names']
        names[0], names[1] = names[1], names[0]

    edit(trained.parent / 'dataset/meta/info.json', swap)
    text = refusal(trained)
    assert 'observation.state of training holds shoulder_lift.pos, shoulder_pan.pos' in text
    assert 'another order' in text


def test_joints_of_other_names_are_doubted(trained: Path) -> None:
    edit(
        trained.parent / 'dataset/meta/info.json',
        lambda c: c['features']['action'].update(names=[f'motor_{i}' for i in range(6)]),
    )
    assert ['action of training holds motor_0' in d for d in checkpoint.read(trained).doubts] == [
        True
    ]


def test_images_of_another_size_are_doubted(trained: Path) -> None:
    edit(
        trained.parent / 'dataset/meta/info.json',
        lambda c: c['features']['observation.images.wrist'].update(shape=[360, 640, 3]),
    )
    (doubt,) = checkpoint.read(trained).doubts
    assert 'observation.images.wrist of training has 640x360 pixels, the camera gives' in doubt


def test_a_dataset_that_has_changed_is_doubted(trained: Path) -> None:
    edit(
        trained.parent / 'dataset/meta/stats.json',
        lambda c: c['action'].update(mean=[m + 5 for m in c['action']['mean']]),
    )
    (doubt,) = checkpoint.read(trained).doubts
    assert doubt.startswith('action is normalised by other statistics than those of its dataset')


@pytest.mark.parametrize('name', ['info.json', 'stats.json', 'tasks.parquet'])
def test_a_broken_dataset_keeps_no_policy_from_running(trained: Path, name: str) -> None:
    (trained.parent / 'dataset/meta' / name).write_bytes(b'{')
    (doubt,) = checkpoint.read(trained).doubts
    assert f'{name}: not ' in doubt


@pytest.mark.parametrize('number', ['nan', 'inf'])
def test_statistics_that_are_not_finite(trained: Path, number: str) -> None:
    change_statistics(trained, 'pre', {'observation.state.mean': [0.0] * 5 + [float(number)]})
    assert 'observation.state.mean is not finite' in refusal(trained)


def test_a_joint_that_never_moved(trained: Path) -> None:
    change_statistics(trained, 'pre', {'observation.state.std': [9.0, 9.0, 9.0, 9.0, 0.0, 9.0]})
    assert 'std of observation.state is 0 for wrist_roll' in refusal(trained)


def test_a_mean_outside_of_the_extremes(trained: Path) -> None:
    change_statistics(trained, 'pre', {'observation.state.mean': [70.0, 0, 0, 0, 90, 20]})
    assert 'observation.state: mean 70 is above max 60' in refusal(trained)


def test_statistics_in_bfloat16_are_read(trained: Path) -> None:
    path = next(trained.glob('policy_preprocessor_step_*.safetensors'))
    header: dict[str, Any] = {}
    content = b''
    for name, values in load_file(path).items():
        start = len(content)
        content += (values.astype('<f4').view('<u4') >> 16).astype('<u2').tobytes()
        bounds = [start, len(content)]
        header[name] = {'dtype': 'BF16', 'shape': list(values.shape), 'data_offsets': bounds}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, 'little') + text + content)
    found = checkpoint.read(trained).state
    assert found is not None
    np.testing.assert_allclose(found.values['min'], LOW, rtol=0.01)


def test_action_statistics_that_differ_before_and_after(trained: Path) -> None:
    change_statistics(trained, 'post', {'action.std': [1.0] * 6})
    text = refusal(trained)
    assert 'policy_preprocessor.json: std of action is ' in text
    assert 'but 1, 1, 1, 1, 1, 1 in policy_postprocessor.json' in text


def test_state_and_action_in_radians(trained: Path) -> None:
    features = ('observation.state', 'action')
    change_joints(trained, [-1.5] * 5 + [0.0], [1.6] * 5 + [1.2], *features)
    assert 'within 1.60 in every arm joint: radians' in refusal(trained)


def test_servo_ticks(trained: Path) -> None:
    change_joints(trained, [900.0] * 6, [3100.0] * 6, 'observation.state', 'action')
    assert 'shoulder_pan in observation.state of training stands at 2000.0' in refusal(trained)


def test_action_in_other_units_than_the_state(trained: Path) -> None:
    low, high = [*LOW[:1], 50.0, *LOW[2:]], [*HIGH[:1], 100.0, *HIGH[2:]]
    change_joints(trained, LOW, [60.0, 0.0, *HIGH[2:]], 'observation.state')
    change_joints(trained, low, high, 'action')
    assert 'shoulder_lift of training was sent to 50.0 to 100.0, but stood at -104.0 to 0.0' in (
        refusal(trained)
    )


def test_what_may_be_percent_is_doubted(trained: Path) -> None:
    low = [-60.0, -100.0, *LOW[2:]]
    change_joints(trained, low, [60.0, 40.0, 96, 90, 99, 80], 'observation.state', 'action')
    (trained / 'train_config.json').unlink()
    doubts = checkpoint.read(trained).doubts
    assert ['use_degrees=false' in doubt for doubt in doubts] == [True, True]


def test_a_gripper_in_other_units_is_doubted(trained: Path) -> None:
    low, high = [*LOW[:5], 0.0], [*HIGH[:5], 1.0]
    change_joints(trained, low, high, 'observation.state', 'action')
    (trained / 'train_config.json').unlink()
    doubts = checkpoint.read(trained).doubts
    assert ['the gripper in' in doubt for doubt in doubts] == [True, True]


def test_cameras_renamed_to_those_of_a_base_model_pass(smolvla: Path, copy_of: Copy) -> None:
    """Fine-tuned from a model of three cameras on a dataset of two, as LeRobot saves that."""
    folder = copy_of(smolvla)
    own = {'wrist': [0.2, 0.3, 0.4], 'overhead': [0.5, 0.6, 0.7]}
    renames = {
        f'observation.images.{c}': f'observation.images.camera{i}' for i, c in enumerate(own, 1)
    }

    def rename(config: dict[str, Any]) -> None:
        inputs = config['input_features']
        for name in renames:
            del inputs[name]
        image = {'type': 'VISUAL', 'shape': [3, 256, 256]}
        inputs.update({f'observation.images.camera{i}': image for i in (1, 2, 3)})

    edit(folder / 'config.json', rename)
    edit(
        folder / 'policy_preprocessor.json',
        lambda c: c['steps'][0]['config'].update(rename_map=renames),
    )
    change_statistics(
        folder,
        'pre',
        {f'observation.images.{c}.mean': mean for c, mean in own.items()}
        | {f'observation.images.{c}.std': [0.2] * 3 for c in own},
    )
    images = checkpoint.read(folder).images
    assert {c: of.values['mean'] for c, of in images.items()} == {
        c: pytest.approx(mean) for c, mean in own.items()
    }
    # Without the renaming, the same model would see nothing.
    edit(
        folder / 'policy_preprocessor.json',
        lambda c: c['steps'][0]['config'].update(rename_map={}),
    )
    assert 'Missing here: observation.images.overhead, observation.images.wrist; not on the' in (
        refusal(folder)
    )


def test_a_description_in_json_is_the_same(trained: Path, smolvla: Path) -> None:
    for folder in (trained, smolvla):
        found = checkpoint.read(folder)
        assert checkpoint.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    'change',
    [
        {'path': None},
        {'type': 1},
        {'cameras': []},
        {'cameras': ['wrist', 'chest']},
        {'cameras': 'wrist'},
        {'chunk_size': 0},
        {'chunk_size': '50'},
        {'fps': -1},
        {'trained': 'yes'},
        {'vlm': 3},
        {'tasks': [1]},
        {'preprocessor_steps': None},
        {'statistics': []},
        {'statistics': {'action': {'mean': [1, 2]}}},
        {'statistics': {'action': {'mean': [float('nan')] * 6}}},
        {'doubts': 'none'},
    ],
)
def test_a_broken_description_is_refused(smolvla: Path, change: dict[str, Any]) -> None:
    values = json.loads(checkpoint.read(smolvla).to_json()) | change
    with pytest.raises(UserError, match='the description of a checkpoint'):
        checkpoint.from_json(json.dumps(values))


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"path": "x"}', 'null'])
def test_what_is_no_description(text: str) -> None:
    with pytest.raises(UserError, match='the description of a checkpoint'):
        checkpoint.from_json(text)
