"""Arguments are said once, checked once, and lead to the nodes of the graph."""

from dataclasses import replace
from pathlib import Path

import pytest

from so101_bringup.graphs import CAMERAS, EVALUATE, INFER, RECORD, REPLAY, TELEOP, WIRINGS
from so101_bringup.wiring import ROBOT, Argument, Wiring, share
from so101_description.joints import HOME
from so101_episodes.episode import Episode
from so101_node import robot_file
from so101_node.error import UserError
from so101_node.robot_file import Robot
from so101_policy.schedule import Mode


@pytest.fixture(autouse=True)
def no_robot_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(robot_file.VARIABLE, raising=False)


def test_an_unknown_argument_names_the_known_ones() -> None:
    with pytest.raises(UserError, match='unknown argument chekpoint; known: checkpoint, '):
        INFER.values({'chekpoint': 'x'})


@pytest.mark.parametrize(
    ('argument', 'text', 'message'),
    [
        (Argument('n', 1, ''), 'x', 'n:=x: expected a whole number'),
        (Argument('t', 1.0, ''), 'x', 't:=x: expected a number'),
        (Argument('t', 1.0, ''), 'inf', 't:=inf: expected a number'),
        (Argument('n', 1, '', low=1), '0', 'n:=0: expected at least 1'),
        (Argument('b', True, ''), 'yes', 'b:=yes: expected true or false'),
        (Argument('m', 'x', '', choices=('x', 'y')), 'z', 'm:=z: expected x or y'),
    ],
)
def test_a_wrong_value_is_refused(argument: Argument, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        argument.value(text)


def test_values_have_the_type_of_their_default() -> None:
    values = INFER.values({'num_rollouts': '3', 'sim': 'True', 'episode_time': '2'})
    assert (values['num_rollouts'], values['sim'], values['episode_time']) == (3, True, 2.0)
    assert values['record'] is True


def test_a_missing_checkpoint_is_found_before_any_node_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='nowhere'):
        INFER.nodes(INFER.values({'checkpoint': str(tmp_path / 'nowhere')}))


def test_a_policy_on_another_machine_needs_no_checkpoint_here() -> None:
    values = INFER.values({'checkpoint': '/nowhere', 'inference': 'remote', 'mode': 'sync'})
    policy = next(node for node in INFER.nodes(values) if node.name == 'policy')
    assert 'checkpoint' not in policy.parameters
    assert policy.parameters['inference'] == 'remote'
    assert policy.parameters['mode'] == 'sync'
    assert policy.parameters['untrained'] is False


def test_teleop_is_the_same_driver_twice_and_what_moves_one_by_the_other() -> None:
    nodes = {node.label: node for node in TELEOP.nodes(TELEOP.values({'port': 'f'}))}
    assert list(nodes) == ['driver', 'leader/driver', 'teleop']
    assert nodes['driver'].parameters['port'] == nodes['teleop'].parameters['port'] == 'f'
    assert nodes['driver'].parameters['command_timeout'] == 0.25
    assert nodes['driver'].parameters['max_jump'] == 0.2
    leader = nodes['leader/driver']
    assert (leader.namespace, leader.parameters['role']) == ('leader', 'leader')
    assert leader.parameters['port'] == '/dev/ttyACM1'


def test_teleop_in_simulation_starts_both_arms_first_and_never_a_real_one() -> None:
    nodes = TELEOP.nodes(TELEOP.values({'sim': 'true', 'sim_port': '/tmp/a', 'leader_port': 'x'}))
    assert [node.label for node in nodes[:3]] == ['sim_world', 'sim_cameras', 'sim_leader']
    ports = {node.label: node.parameters.get('port') for node in nodes}
    assert ports['driver'] == ports['sim_world'] == '/tmp/a'
    assert ports['leader/driver'] == ports['sim_leader'] == '/tmp/a_leader'


def test_in_simulation_the_expert_demonstrates_from_home_and_nobody_waits(tmp_path: Path) -> None:
    robot = tmp_path / 'robot.yaml'
    robot.write_text('arm: {home: [0, -90, 90, 50, 90, 5]}')
    given = {'sim': 'true', 'robot': str(robot)}
    nodes = {node.label: node for node in RECORD.nodes(RECORD.values(given))}
    leader, session = nodes['sim_leader'].parameters, nodes['session'].parameters
    assert leader['hand'] == 'expert'
    assert leader['home'] == session['home']
    assert (session['reset_time'], session['direct_reset']) == (0.0, True)
    assert nodes['teleop'].parameters['start'] == 'follower_to_leader'
    given |= {'hand': 'waves', 'reset_time': '3', 'direct_reset': 'false'}
    nodes = {node.label: node for node in RECORD.nodes(RECORD.values(given))}
    session = nodes['session'].parameters
    assert (session['reset_time'], session['direct_reset']) == (3.0, False)
    assert nodes['sim_leader'].parameters['hand'] == 'waves'
    teleop = {node.label: node for node in TELEOP.nodes(TELEOP.values({'sim': 'true'}))}
    assert teleop['sim_leader'].parameters['hand'] == 'waves'


def test_a_simulated_session_that_goes_on_finds_the_cube_at_the_next_place(tmp_path: Path) -> None:
    values = RECORD.values({'sim': 'true', 'seed': '40', 'recordings': str(tmp_path / 'there')})
    seeds = []
    for number in range(3):
        nodes = {node.label: node.parameters for node in RECORD.nodes(values)}
        seeds.append((nodes['sim_world']['seed'], nodes['sim_leader']['seed']))
        folder = tmp_path / 'there' / str(number)
        folder.mkdir(parents=True)
        replace(Episode.begun(1, 'demonstration', 'Fold', '', ''), complete=True).save(folder)
    assert seeds == [(40, 40), (41, 40), (42, 40)]


@pytest.mark.parametrize('wiring', [RECORD, TELEOP])
def test_the_look_is_for_the_simulated_cameras(wiring: Wiring) -> None:
    for look in ('fixed', 'varied'):
        nodes = wiring.nodes(wiring.values({'sim': 'true', 'look': look}))
        (cameras,) = [node for node in nodes if node.label == 'sim_cameras']
        assert cameras.parameters['look'] == look
    with pytest.raises(UserError, match='look:=odd: expected fixed or varied'):
        wiring.values({'look': 'odd'})


def test_a_leader_that_is_read_too_rarely_is_refused() -> None:
    with pytest.raises(UserError, match='leader_rate:=100: expected at least 150'):
        TELEOP.values({'leader_rate': '100'})


def test_both_arms_on_one_port_is_refused() -> None:
    with pytest.raises(UserError, match='leader_port:=/dev/a: that is the port of the other arm'):
        TELEOP.nodes(TELEOP.values({'port': '/dev/a', 'leader_port': '/dev/a'}))


def test_demonstrations_are_led_by_an_arm_or_by_whoever_publishes() -> None:
    led = {node.label: node for node in RECORD.nodes(RECORD.values({}))}
    assert led['teleop'].parameters['enabled'] is False  # the session says when
    assert led['driver'].parameters['command_timeout'] == 0.25
    assert led['session'].parameters['source'] == 'teleop'
    assert led['session'].ends_graph
    other = {node.label: node for node in RECORD.nodes(RECORD.values({'source': 'other'}))}
    assert not {'teleop', 'leader/driver'} & set(other)
    assert other['session'].parameters['num_episodes'] == 50


def test_where_episodes_go_and_are_counted_is_one_folder() -> None:
    nodes = {node.label: node for node in RECORD.nodes(RECORD.values({'recordings': '/r'}))}
    assert nodes['recorder'].parameters['directory'] == '/r'
    assert nodes['session'].parameters['directory'] == '/r'


def test_an_evaluation_has_a_folder_of_its_own_and_every_checkpoint(checkpoint: Path) -> None:
    values = EVALUATE.values({'checkpoints': str(checkpoint), 'sim': 'true'})
    nodes = {node.label: node for node in EVALUATE.nodes(values)}
    folder = nodes['reporter'].parameters['directory']
    assert str(folder).startswith('recordings/evaluation_')
    assert nodes['recorder'].parameters['directory'] == folder
    assert nodes['session'].parameters['checkpoints'] == [str(checkpoint)]


@pytest.mark.parametrize('text', ['', ',', '{0},{0}'])
def test_an_evaluation_of_nothing_or_of_one_twice_is_refused(text: str, checkpoint: Path) -> None:
    values = EVALUATE.values({'checkpoints': text.format(checkpoint), 'sim': 'true'})
    with pytest.raises(UserError, match='expected folders of different checkpoints'):
        EVALUATE.nodes(values)


def test_a_replay_says_what_it_misses() -> None:
    with pytest.raises(UserError, match='episode:= is missing'):
        REPLAY.nodes(REPLAY.values({}))


def test_the_film_and_the_page_are_there_when_asked_for(checkpoint: Path) -> None:
    def names(**given: str) -> set[str]:
        values = INFER.values({'checkpoint': str(checkpoint), 'sim': 'true', **given})
        return {node.name for node in INFER.nodes(values)}

    assert not {'page', 'video'} & names()
    assert {'page', 'video'} <= names(page='true', video='true')


def test_rviz_shows_the_arm_as_measured_and_as_it_was_told() -> None:
    nodes = {node.name: node for node in TELEOP.nodes(TELEOP.values({'rviz': 'true'}))}
    assert str(nodes['robot_state_publisher'].parameters['robot_description']).startswith('<')
    assert nodes['reference_state_publisher'].parameters['frame_prefix'] == 'reference/'
    assert nodes['reference_state_publisher'].remappings['joint_states'].endswith('reference')
    assert Path(nodes['rviz'].arguments[1]).is_file()


ROBOT_FILE = """
arm: {port: /dev/arm, calibration: mine, max_velocity: 1.5, home: [0, 0, 0, 0, 0, 50]}
leader: {port: /dev/hand}
cameras:
  wrist: {source: realsense, device: 0130, exposure: 8000}
task: Shut the box
recordings: /data
"""


def test_the_robot_file_is_in_place_of_the_defaults_and_behind_what_is_given() -> None:
    Path('robot.yaml').write_text(ROBOT_FILE)
    values = TELEOP.values({'max_velocity': '2'})
    assert (values['port'], values['leader_port'], values['max_velocity']) == (
        '/dev/arm',
        '/dev/hand',
        2.0,
    )
    assert values['overhead'] is False  # the robot has none
    assert (values['wrist_camera'], values['wrist_device']) == ('realsense', '0130')


def test_a_robot_file_may_stand_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    Path('mine.yaml').write_text('task: mine')
    Path('other.yaml').write_text('task: other')
    monkeypatch.setenv(robot_file.VARIABLE, 'mine.yaml')
    assert RECORD.values({})['task'] == 'mine'
    assert RECORD.values({'robot': 'other.yaml'})['task'] == 'other'
    with pytest.raises(UserError, match=r'robot file nowhere\.yaml'):
        RECORD.values({'robot': 'nowhere.yaml'})


def test_a_graph_starts_the_cameras_of_the_robot_file_and_goes_to_its_home() -> None:
    Path('robot.yaml').write_text(ROBOT_FILE)
    nodes = {node.label: node for node in RECORD.nodes(RECORD.values({}))}
    assert nodes['wrist_camera'].parameters['exposure'] == 8000
    assert 'overhead_camera' not in nodes
    assert nodes['session'].parameters['home'] == pytest.approx([0, 0, 0, 0, 0, 0.785398])
    assert nodes['recorder'].parameters['directory'] == '/data'
    running = RECORD.nodes(RECORD.values({'cameras': 'false'}))
    assert 'wrist_camera' not in {node.label for node in running}


def test_a_simulation_starts_no_real_camera_and_has_no_real_port() -> None:
    Path('robot.yaml').write_text(ROBOT_FILE)
    values = RECORD.values({'sim': 'true', 'sim_port': '/tmp/a'})
    nodes = {node.label: node for node in RECORD.nodes(values)}
    assert 'wrist_camera' not in nodes
    assert nodes['driver'].parameters['port'] == '/tmp/a'


def test_an_evaluation_is_put_below_the_recordings_of_the_robot_file(checkpoint: Path) -> None:
    Path('robot.yaml').write_text(f'{ROBOT_FILE}checkpoint: {checkpoint}')
    values = EVALUATE.values({'sim': 'true', 'overhead': 'true'})
    nodes = {node.label: node for node in EVALUATE.nodes(values)}
    assert str(nodes['reporter'].parameters['directory']).startswith('/data/evaluation_')
    assert nodes['session'].parameters['checkpoints'] == [str(checkpoint)]


@pytest.mark.parametrize(
    ('wiring', 'given', 'judged'),
    [
        (INFER, {'inference': 'remote', 'overhead': 'false'}, True),
        (RECORD, {'overhead': 'false'}, True),
        (TELEOP, {}, False),
        (TELEOP, {'sim': 'true', 'overhead': 'false'}, True),
        (TELEOP, {'wrist_camera': 'v4l2', 'overhead': 'false'}, True),
        (REPLAY, {'episode': 'e'}, False),
        (REPLAY, {'episode': 'e', 'record': 'true', 'overhead': 'false'}, True),
    ],
)
def test_images_are_judged_wherever_there_are_some(
    wiring: Wiring, given: dict[str, str], judged: bool
) -> None:
    nodes = {node.label: node for node in wiring.nodes(wiring.values(given))}
    assert ('image_health' in nodes) is judged
    if judged:
        assert nodes['image_health'].parameters == {'cameras': ['wrist']}


def test_cameras_alone() -> None:
    with pytest.raises(UserError, match='no camera has a source: say wrist_camera:=v4l2'):
        CAMERAS.nodes(CAMERAS.values({}))
    values = CAMERAS.values({'wrist_camera': 'v4l2', 'transforms': 'true', 'page': 'true'})
    names = [node.label for node in CAMERAS.nodes(values)]
    assert names == [
        *('wrist_camera', 'wrist_camera_transform', 'overhead_camera_transform'),
        *('image_health', 'page'),
    ]


@pytest.mark.parametrize('wiring', WIRINGS.values(), ids=WIRINGS)
def test_the_default_of_an_argument_is_that_of_its_key(wiring: Wiring) -> None:
    robot = Robot()
    assert ROBOT in wiring.arguments
    for argument in wiring.arguments:
        if argument.key:
            assert argument.said(robot) == argument.default


def test_the_robot_file_to_copy_says_the_defaults() -> None:
    robot = robot_file.read(share('so101_bringup') / 'config' / 'robot.yaml')
    defaults = Robot()
    assert robot.arm == defaults.arm
    assert robot.leader == defaults.leader
    assert robot.cameras == defaults.cameras
    for name in ('task', 'episode_time'):
        assert robot.at(name) == defaults.at(name)
    for name in ('checkpoint', 'recordings'):
        assert robot.at(name).endswith(defaults.at(name))


def test_without_a_robot_file_home_is_the_suites() -> None:
    nodes = {node.label: node for node in RECORD.nodes(RECORD.values({}))}
    assert nodes['session'].parameters['home'] == pytest.approx(HOME)


def test_the_modes_to_choose_from_are_the_policys() -> None:
    (mode,) = (argument for argument in INFER.arguments if argument.name == 'mode')
    assert set(mode.choices) == set(Mode)
