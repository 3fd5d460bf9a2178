import shutil
from pathlib import Path

import pytest
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig

from so101_node.error import UserError
from so101_policy.checkpoint import NOTE
from so101_policy.features import STATE
from so101_training.training import starting_policy

BOTH = ('wrist', 'overhead')
WRIST, OVERHEAD = (f'observation.images.{camera}' for camera in BOTH)


def config(*images: str) -> ACTConfig:
    """A policy that sees images of these names, 64 pixels wide."""
    seen = {name: PolicyFeature(FeatureType.VISUAL, (3, 64, 64)) for name in images}
    return ACTConfig(device='cpu', input_features=seen)


@pytest.mark.parametrize(
    'images',
    [
        [],
        [f'observation.images.camera{i}' for i in (1, 2, 3)],
        ['observation.image', 'observation.image2', 'observation.images.empty_camera_0'],
    ],
)
def test_placeholders_give_way_to_the_datasets_cameras(images: list[str]) -> None:
    assert starting_policy.cameras(config(*images), BOTH, (), {}) == BOTH
    assert starting_policy.cameras(config(*images), ('wrist',), ('overhead',), {}) == ('wrist',)


def test_a_policy_of_this_robot_sees_what_it_saw() -> None:
    assert starting_policy.cameras(config(WRIST), BOTH, (), {}) == ('wrist',)
    both = config(WRIST, OVERHEAD)
    assert starting_policy.cameras(both, BOTH, (), {}) == BOTH
    assert starting_policy.cameras(both, ('wrist',), ('overhead',), {}) == ('wrist',)


@pytest.mark.parametrize(
    ('images', 'present', 'lacking'),
    [
        ((WRIST, OVERHEAD), ('wrist',), OVERHEAD),
        ((WRIST, 'observation.images.front'), BOTH, 'observation.images.front'),
    ],
)
def test_a_camera_that_is_not_there_is_named_with_both_lists(
    images: tuple[str, ...], present: tuple[str, ...], lacking: str
) -> None:
    with pytest.raises(UserError) as raised:
        starting_policy.cameras(config(*images), present, (), {})
    assert f'the policy sees {lacking};' in str(raised.value)
    assert 'the dataset gives ' in str(raised.value)
    assert all(f'observation.images.{camera}' in str(raised.value) for camera in present)


def test_weights_come_from_a_trained_checkpoint_only(tiny_policy: Path, tmp_path: Path) -> None:
    policy = config(WRIST)
    assert starting_policy.base('act', policy) is None
    policy.pretrained_path = tiny_policy
    assert starting_policy.base(str(tiny_policy), policy) is None
    trained = shutil.copytree(tiny_policy, tmp_path / 'trained')
    (trained / NOTE).write_text('{"trained": true}')
    assert starting_policy.base(str(trained), policy) == str(trained)
    assert starting_policy.base('lerobot/smolvla_base', policy) == 'lerobot/smolvla_base'


def test_renamed_cameras_keep_the_policys_names_and_sizes() -> None:
    renames = {WRIST: 'observation.images.camera1'}
    policy = config('observation.images.camera1', 'observation.images.camera2')
    assert starting_policy.cameras(policy, ('wrist',), (), renames) == ('wrist',)
    features = starting_policy.input_features(policy, ('wrist',), renames)
    assert features['observation.images.camera1'].shape == (3, 64, 64)
    assert set(features) == {'observation.images.camera1', STATE}
    policy.input_features = features
    assert starting_policy.seen(policy, renames) == ('wrist',)


def test_a_rename_of_a_camera_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r'rename_map names observation\.images\.front'):
        starting_policy.cameras(config(), BOTH, (), {'observation.images.front': 'camera1'})


def test_a_new_policy_is_given_the_robots_images() -> None:
    features = starting_policy.input_features(config(), BOTH, {})
    assert {name: feature.shape for name, feature in features.items()} == {
        WRIST: (3, 480, 640),
        OVERHEAD: (3, 480, 640),
        STATE: (6,),
    }


def test_it_starts_from_a_folder_a_type_or_a_name(tiny_policy: Path) -> None:
    assert starting_policy.words(str(tiny_policy)) == [
        f'--policy.path={tiny_policy}',
        f'--policy.vlm_model_name={tiny_policy}/vlm',
    ]
    assert starting_policy.words('act') == ['--policy.type=act']
    with pytest.raises(UserError, match='hf download lerobot/smolvla_base'):
        starting_policy.words('lerobot/smolvla_base')  # tests are offline
    with pytest.raises(UserError, match='the nearest type is smolvla'):
        starting_policy.words('smolvlaa')
    with pytest.raises(UserError, match='no such folder'):
        starting_policy.words('./none/there')
