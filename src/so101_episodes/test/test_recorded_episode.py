"""What is read of a bag, whoever recorded it, and what is refused."""

import shutil
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from ruamel.yaml import YAML

from so101_cameras.image import to_jpeg
from so101_description.joints import HOME, JOINTS
from so101_episodes.episode import Episode
from so101_episodes.recorded_episode import Frame, Reading, RecordedEpisode
from so101_node.error import UserError

STORE = get_typestore(Stores.ROS2_JAZZY)
START = 1_700_000_000_000_000_000
TICK = 33_333_333
LATENCY = 4_000_000  # ns from stamp to receipt

IMAGES = {'wrist': '/wrist_camera/color/image_raw', 'overhead': '/overhead_camera/image_raw'}
STATES = '/joint_states'
REFERENCE = '/arm_controller/reference'
TRAJECTORY = '/arm_controller/joint_trajectory'

# Topic, type, nanoseconds of receipt, fields.
Message = tuple[str, str, int, dict]


def header(stamp: int) -> object:
    time = STORE.types['builtin_interfaces/msg/Time']
    seconds, rest = divmod(stamp, 1_000_000_000)
    return STORE.types['std_msgs/msg/Header'](stamp=time(sec=seconds, nanosec=rest), frame_id='')


def joints(
    topic: str, stamp: int, pose: Sequence[float], names: Sequence[str] = JOINTS
) -> Message:
    nothing = np.zeros(0)
    fields = {
        'header': header(stamp),
        'name': list(names),
        'position': np.array(pose),
        'velocity': nothing,
        'effort': nothing,
    }
    return topic, 'sensor_msgs/msg/JointState', stamp + LATENCY, fields


def image(camera: str, stamp: int, level: int, raw: bool) -> Message:
    pixels = np.full((48, 64, 3), level, np.uint8)
    fields = {'header': header(stamp)}
    if raw:
        fields |= {'height': 48, 'width': 64, 'encoding': 'rgb8', 'is_bigendian': 0, 'step': 192}
        fields['data'] = pixels.reshape(-1)
        return IMAGES[camera], 'sensor_msgs/msg/Image', stamp + LATENCY, fields
    fields |= {'format': 'jpeg', 'data': np.frombuffer(to_jpeg(pixels), np.uint8)}
    topic = IMAGES[camera] + '/compressed'
    return topic, 'sensor_msgs/msg/CompressedImage', stamp + LATENCY, fields


def trajectory(received: int, stamp: int, poses: Sequence[float], delay: int = 0) -> Message:
    """A trajectory of all joints at the same angle, a point each TICK from `delay` on."""
    duration = STORE.types['builtin_interfaces/msg/Duration']
    point = STORE.types['trajectory_msgs/msg/JointTrajectoryPoint']
    nothing = np.zeros(0)
    points = [
        point(
            np.full(6, pose), nothing, nothing, nothing, duration(sec=0, nanosec=delay + i * TICK)
        )
        for i, pose in enumerate(poses)
    ]
    fields = {'header': header(stamp), 'joint_names': list(JOINTS), 'points': points}
    return TRAJECTORY, 'trajectory_msgs/msg/JointTrajectory', received, fields


def seen(raw: bool = False) -> list[Message]:
    """What the policy would see in four ticks."""
    stamps = [START + i * TICK for i in range(4)]
    frames = [image(camera, t, 50 + i, raw) for i, t in enumerate(stamps) for camera in IMAGES]
    return frames + [joints(STATES, t + 1000, HOME + 0.01 * i) for i, t in enumerate(stamps)]


def write(
    folder: Path,
    messages: list[Message],
    plugin: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    writer = Writer(folder, version=9, storage_plugin=plugin)
    if compression != CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=STORE)
            for topic, kind in {topic: kind for topic, kind, _, _ in messages}.items()
        }
        for topic, kind, received, fields in sorted(messages, key=lambda message: message[2]):
            data = STORE.serialize_cdr(STORE.types[kind](**fields), kind)
            writer.write(connections[topic], received, data)
    return folder


@pytest.mark.parametrize('raw', [False, True], ids=['jpeg', 'raw'])
@pytest.mark.parametrize(
    ('plugin', 'compression'),
    [
        (StoragePlugin.MCAP, CompressionMode.NONE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.MCAP, CompressionMode.FILE),
        (StoragePlugin.SQLITE3, CompressionMode.NONE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
    ],
)
def test_any_bag_is_read(
    tmp_path: Path, plugin: StoragePlugin, compression: CompressionMode, raw: bool
) -> None:
    reference = [joints(REFERENCE, START + i * TICK, HOME + 0.1 * i) for i in range(4)]
    bag = write(tmp_path / 'bag', seen(raw) + reference, plugin, compression)
    episode = RecordedEpisode(bag)
    actions = episode.actions()
    assert actions.source == 'arm_controller/reference'
    assert actions.series.times.tolist() == [START + i * TICK for i in range(4)]
    np.testing.assert_allclose(actions.series.values, [HOME + 0.1 * i for i in range(4)])
    assert episode.task == ''
    seen_there = episode.observations()
    assert seen_there.images == 8
    assert {type(event) for event in seen_there.first} == {Frame, Reading}
    assert len(seen_there.first) == 3

    events = list(seen_there.events())
    assert [received for received, _ in events] == sorted(r for *_, r, _ in seen(raw))
    frames = [event for _, event in events if isinstance(event, Frame)]
    assert sorted((f.camera, f.stamp) for f in frames) == sorted(
        (camera, START + i * TICK) for i in range(4) for camera in IMAGES
    )
    for frame in frames:
        level = 50 + (frame.stamp - START) // TICK
        assert np.abs(frame.pixels.astype(int) - level).max() <= (0 if raw else 2)
    readings = [event for _, event in events if isinstance(event, Reading)]
    assert [r.positions for r in readings] == [tuple(HOME + 0.01 * i) for i in range(4)]


def test_joints_may_come_in_any_order(tmp_path: Path) -> None:
    other = [5, 3, 1, 0, 2, 4]
    names = [JOINTS[i] for i in other]
    reference = [joints(REFERENCE, START + i * TICK, HOME[other], names) for i in range(2)]
    actions = RecordedEpisode(write(tmp_path / 'bag', seen() + reference)).actions()
    np.testing.assert_allclose(actions.series.values, [HOME, HOME])


def test_without_a_reference_the_trajectories_say_what_was_executed(tmp_path: Path) -> None:
    first = trajectory(START, START + TICK, [0.1, 0.2, 0.3, 0.4])
    second = trajectory(START + TICK, START + 3 * TICK, [0.7, 0.8])
    now = trajectory(START + 10 * TICK, 0, [0.9])  # a stamp of zero: from when it came
    actions = RecordedEpisode(write(tmp_path / 'bag', [*seen(), first, second, now])).actions()
    assert actions.source == 'arm_controller/joint_trajectory'
    assert not actions.sampled
    assert ((actions.series.times - START) // TICK).tolist() == [1, 2, 3, 4, 10]
    expected = np.outer([0.1, 0.2, 0.7, 0.8, 0.9], np.ones(6))
    np.testing.assert_allclose(actions.series.values, expected)


def test_a_trajectory_begins_where_the_arm_is(tmp_path: Path) -> None:
    first = trajectory(START, START, [0.0, 0.2])
    within = trajectory(START + 1, START + TICK // 2, [0.5], delay=TICK)
    after = trajectory(START + TICK, START + 4 * TICK, [0.9], delay=TICK)
    unsound = trajectory(START + 2 * TICK, START + 2 * TICK, [])
    bag = write(tmp_path / 'bag', [first, within, after, unsound])
    series = RecordedEpisode(bag).actions().series
    assert ((series.times - START) / TICK).tolist() == pytest.approx([0, 0.5, 1.5, 4, 5])
    np.testing.assert_allclose(series.values[:, 0], [0, 0.1, 0.5, 0.5, 0.9], atol=1e-6)


def test_without_commands_it_is_what_was_measured(tmp_path: Path) -> None:
    actions = RecordedEpisode(write(tmp_path / 'bag', seen())).actions()
    assert (actions.source, actions.commanded) == ('joint_states', False)
    np.testing.assert_allclose(actions.series.values, [HOME + 0.01 * i for i in range(4)])


def test_the_task_is_the_episodes_else_the_last_that_was_published(tmp_path: Path) -> None:
    told = ('/policy/task', 'std_msgs/msg/String', START, {'data': 'stack the cubes'})
    bag = write(tmp_path / 'bag', [*seen(), told])
    assert RecordedEpisode(bag).task == 'stack the cubes'
    Episode(
        complete=True,
        kind='',
        task='sort the cubes',
        outcome='success',
        reason='',
        checkpoint='',
        place='',
        started=START,
        ended=START + 4 * TICK,
        duration_s=4 * TICK / 1e9,
        salvaged=False,
        topics={},
        marks=(),
        figures={},
        arm={},
        cameras={},
        software={},
    ).save(bag)
    assert RecordedEpisode(bag).task == 'sort the cubes'


@pytest.mark.parametrize(
    ('without', 'said'),
    [
        ('wrist_camera', 'no images of the wrist camera, neither on wrist_camera/color/image_raw'),
        ('overhead', 'no images of the overhead camera'),
        ('joint_states', 'no message on joint_states'),
    ],
)
def test_a_bag_that_lacks_something_is_refused_with_its_topic(
    tmp_path: Path, without: str, said: str
) -> None:
    bag = write(tmp_path / 'bag', [message for message in seen() if without not in message[0]])
    with pytest.raises(UserError, match=said):
        RecordedEpisode(bag).observations()


def test_nothing_is_required_that_is_not_asked_for(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', [m for m in seen() if 'overhead' not in m[0]])
    episode = RecordedEpisode(bag)
    assert len(episode.actions().series.times) == 4
    assert episode.observations(['wrist']).images == 4
    assert episode.observations([]).images == 0
    only = write(tmp_path / 'only', [joints(REFERENCE, START + i, HOME) for i in range(2)])
    assert len(RecordedEpisode(only).actions().series.times) == 2


def test_one_action_is_no_motion(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', [*seen(), joints(REFERENCE, START, HOME)])
    with pytest.raises(UserError, match='/arm_controller/reference says one action'):
        RecordedEpisode(bag).actions()


def test_stamps_of_another_clock_are_refused(tmp_path: Path) -> None:
    other = joints(REFERENCE, 5_000_000_000, HOME)
    topic, kind, _, fields = other
    bag = write(tmp_path / 'bag', [*seen(), (topic, kind, START, fields)])
    with pytest.raises(UserError, match=r'stamped 5\.000 s .* the same clock'):
        RecordedEpisode(bag).actions()


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_an_action_that_is_not_finite_is_refused(tmp_path: Path, bad: float) -> None:
    bag = write(tmp_path / 'bag', [*seen(), joints(REFERENCE, START, [bad, *HOME[1:]])])
    with pytest.raises(UserError, match=r'arm_controller/reference: .* not finite'):
        RecordedEpisode(bag).actions()


def test_a_topic_of_another_type_is_refused(tmp_path: Path) -> None:
    text = (REFERENCE, 'std_msgs/msg/String', START, {'data': ''})
    bag = write(tmp_path / 'bag', [*seen(), text])
    with pytest.raises(
        UserError, match=r'is a std_msgs/msg/String, expected sensor_msgs/msg/Joint'
    ):
        RecordedEpisode(bag).actions()


def test_no_bag_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='no such folder'):
        RecordedEpisode(tmp_path / 'nowhere')
    with pytest.raises(UserError, match=r'is no bag: it has no metadata\.yaml'):
        RecordedEpisode(tmp_path)


@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_a_bag_whose_recorder_was_killed_says_how_to_mend_it(
    tmp_path: Path, plugin: StoragePlugin
) -> None:
    bag = write(tmp_path / 'bag', seen(), plugin)
    (bag / 'metadata.yaml').unlink()
    with pytest.raises(UserError, match=f'was killed; .*: ros2 bag reindex {bag}$'):
        RecordedEpisode(bag)
    partial = tmp_path / '.partial' / 'bag'
    partial.parent.mkdir()
    bag.rename(partial)
    with pytest.raises(UserError, match='the next recorder of that directory salvages it'):
        RecordedEpisode(partial)


def test_a_bag_in_a_namespace_is_read(tmp_path: Path) -> None:
    messages = seen() + [joints(REFERENCE, START + i * TICK, HOME) for i in range(4)]
    led = [joints('/leader/joint_states', START + i * TICK, HOME + 1) for i in range(4)]
    moved = [(f'/robot{topic}', *rest) for topic, *rest in messages + led]
    episode = RecordedEpisode(write(tmp_path / 'bag', moved))
    np.testing.assert_allclose(episode.actions().series.values, [HOME] * 4)
    readings = [e for _, e in episode.observations().events() if isinstance(e, Reading)]
    assert [r.positions for r in readings] == [tuple(HOME + 0.01 * i) for i in range(4)]


def test_of_two_robots_none_is_chosen(tmp_path: Path) -> None:
    two = [(f'/{robot}{topic}', *rest) for robot in ('left', 'right') for topic, *rest in seen()]
    episode = RecordedEpisode(write(tmp_path / 'two', two))
    with pytest.raises(UserError, match='could be /left/joint_states or /right/joint_states'):
        episode.actions()
    here = RecordedEpisode(write(tmp_path / 'here', two + seen()))
    assert here.observations().images == 8  # those without a namespace


@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_a_bag_in_several_files_is_read(tmp_path: Path, plugin: StoragePlugin) -> None:
    """As `ros2 bag record --max-bag-duration` splits it."""
    messages = seen() + [joints(REFERENCE, START + i * TICK, HOME + i) for i in range(4)]
    messages.sort(key=itemgetter(2))
    half = len(messages) // 2
    first = write(tmp_path / 'bag', messages[:half], plugin)
    second = write(tmp_path / 'second', messages[half:], plugin)
    join(first, second)
    episode = RecordedEpisode(first)
    np.testing.assert_allclose(episode.actions().series.values, [HOME + i for i in range(4)])
    received = [received for received, _ in episode.observations().events()]
    assert received == sorted(received)
    assert len(received) == 12


def join(bag: Path, other: Path) -> None:
    """Make the files of `other` the second part of `bag`."""
    yaml = YAML()
    parts = [yaml.load(folder / 'metadata.yaml') for folder in (bag, other)]
    whole, more = (part['rosbag2_bagfile_information'] for part in parts)
    counts = {
        topic['topic_metadata']['name']: topic for topic in whole['topics_with_message_count']
    }
    for topic in more['topics_with_message_count']:
        counts[topic['topic_metadata']['name']]['message_count'] += topic['message_count']
    [name] = more['relative_file_paths']
    (other / name).rename(bag / name)
    whole['relative_file_paths'].append(name)
    whole['files'] += more['files']
    whole['message_count'] += more['message_count']
    end = more['starting_time']['nanoseconds_since_epoch'] + more['duration']['nanoseconds']
    start = whole['starting_time']['nanoseconds_since_epoch']
    whole['duration']['nanoseconds'] = end - start
    yaml.dump(parts[0], bag / 'metadata.yaml')


@pytest.mark.parametrize('plugin', list(StoragePlugin))
@pytest.mark.parametrize('left', [0.0, 0.1, 0.5, 0.9, 0.99])
def test_a_bag_that_was_cut_is_refused(tmp_path: Path, plugin: StoragePlugin, left: float) -> None:
    bag = write(tmp_path / 'bag', seen(), plugin)
    [file] = [f for f in bag.iterdir() if f.suffix != '.yaml']
    data = file.read_bytes()
    file.write_bytes(data[: int(left * len(data))])
    with pytest.raises(UserError, match=str(bag)) as refused:
        list(RecordedEpisode(bag).observations().events())
    assert '\n' not in str(refused.value)


def test_a_bag_that_was_cut_between_two_reads_is_refused(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', seen())
    episode = RecordedEpisode(bag).observations()
    shutil.rmtree(bag)
    with pytest.raises(UserError, match=str(bag)):
        list(episode.events())
