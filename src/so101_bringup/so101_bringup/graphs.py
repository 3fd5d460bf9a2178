"""Which graphs there are, and which nodes with which parameters each one runs: said once."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import gettempdir

from so101_bringup.cameras import camera_nodes, transform
from so101_bringup.wiring import (
    ROBOT,
    Argument,
    NodeSpec,
    Setting,
    Value,
    Wiring,
    executable,
    of_robot,
    share,
)
from so101_description.cameras import CAMERAS as CAMERA_NAMES
from so101_description.kinematics import BASE
from so101_description.units import dataset_to_radians
from so101_node.error import UserError
from so101_node.robot_file import SOURCES, CameraSetting, Robot, load
from so101_sim.mounting import calibration_path

# Hz. Teleop takes a leader that moves 0.2 rad from state to state for one that jumped, and sends
# the follower to where a leader will be in 10 ms, which is two of its periods at 200.
_LEAST_LEADER_RATE = 150

Values = Mapping[str, Value]


def _infer_nodes(values: Values) -> list[NodeSpec]:
    sim = bool(values['sim'])
    local = values['inference'] == 'local'
    checkpoint = _checkpoint(str(values['checkpoint']), sim, _present(values)) if local else ''
    port, calibration, nodes = _arm(values)
    return [
        *nodes,
        *_recorder(values, checkpoint or 'on another machine'),
        *_watching(values, 'infer'),
        _driver(port, calibration, sim, max_velocity=values['max_velocity']),
        _policy(values, checkpoint),
        *_session(values, port, source='policy', num_rollouts=values['num_rollouts']),
    ]


def _evaluate_nodes(values: Values) -> list[NodeSpec]:
    sim = bool(values['sim'])
    named = [text.strip() for text in str(values['checkpoints']).split(',') if text.strip()]
    checkpoints = [_checkpoint(text, sim, _present(values)) for text in named]
    if len(set(checkpoints)) < len(checkpoints) or not checkpoints:
        raise UserError(
            f'checkpoints:={values["checkpoints"]}: expected folders of different checkpoints, '
            'separated by commas'
        )
    given = str(values['recordings'])
    parent = _robot(values).recordings
    folder = given or f'{parent}/evaluation_{datetime.now():%Y%m%d_%H%M%S}'
    values = {**values, 'recordings': folder, 'record': True, 'inference': 'local'}
    port, calibration, nodes = _arm(values)
    return [
        *nodes,
        NodeSpec('so101_evaluation', 'reporter', 'reporter', {'directory': folder}),
        *_recorder(values, checkpoints[0]),
        *_watching(values, 'evaluate'),
        _driver(port, calibration, sim, max_velocity=values['max_velocity']),
        _policy(values, checkpoints[0]),
        *_session(
            values,
            port,
            source='policy',
            num_rollouts=values['num_rollouts'],
            checkpoints=checkpoints,
            places=values['places'],
            seed=values['seed'],
        ),
    ]


def _record_nodes(values: Values) -> list[NodeSpec]:
    from so101_episodes import demonstrations

    values = {**values, 'record': True}
    sim = bool(values['sim'])
    # A session that goes on finds the cube where an uninterrupted one would.
    there = demonstrations.count(Path(str(values['recordings'])), lambda _: None) if sim else 0
    port, calibration, nodes = _arm({**values, 'seed': int(values['seed']) + there})
    nodes += [*_recorder(values), *_watching(values, 'record')]
    if values['source'] == 'teleop':
        nodes += _led_arm(values, port, calibration, enabled=False)
    else:
        nodes.append(_driver(port, calibration, sim, max_velocity=values['max_velocity']))
    return nodes + _session(
        values,
        port,
        source=values['source'],
        num_episodes=values['num_episodes'],
        reset_time=values['reset_time'],
        directory=values['recordings'],
    )


def _replay_nodes(values: Values) -> list[NodeSpec]:
    if not values['episode']:
        raise UserError('episode:= is missing; give the folder of an episode')
    sim = bool(values['sim'])
    port, calibration, nodes = _arm(values)
    names = ('episode', 'speed', 'max_velocity', 'record', 'sim')
    return [
        *nodes,
        *_recorder(values),
        *_watching(values, 'replay', images=bool(nodes or values['record'])),
        _driver(port, calibration, sim, max_velocity=values['max_velocity']),
        NodeSpec(
            'so101_episodes',
            'replay',
            'replay',
            {
                **{name: values[name] for name in names},
                'port': port,
                'start_pause': _start_pause(sim),
                'home': _home(values),
            },
            ends_graph=True,
        ),
    ]


def _teleop_nodes(values: Values) -> list[NodeSpec]:
    port, calibration, nodes = _arm(values)
    watching = _watching(values, 'teleop', images=bool(nodes))
    return [*nodes, *_led_arm(values, port, calibration, enabled=True), *watching]


def _led_arm(values: Values, port: str, calibration: str, enabled: bool) -> list[NodeSpec]:
    """Return the arm, a leader arm, and teleoperation between them."""
    from so101_driver.teleop import JUMP, SILENCE

    sim = bool(values['sim'])
    leader_port = str(values['leader_port'])
    leader_calibration = str(values['leader_calibration'])
    nodes = []
    if sim:
        leader_port, leader_calibration = f'{port}_leader', calibration
        parameters: dict[str, Setting] = {
            'port': leader_port,
            'calibration': calibration,
            'hand': values['hand'],
            'home': _home(values),
            'seed': values['seed'],
        }
        nodes.append(NodeSpec('so101_sim', 'leader', 'sim_leader', parameters))
    elif leader_port == port:
        raise UserError(f'leader_port:={port}: that is the port of the other arm; give its own')
    teleop = {'start': values['start'], 'ramp_velocity': values['ramp_velocity'], 'port': port}
    return [
        *nodes,
        # Should teleop end, the arm must not go on to where it was sent last. And whatever held it
        # up, it must not leap to where the hand is by then: a hand's ways are short, 200 a second.
        _driver(
            port,
            calibration,
            sim,
            max_velocity=values['max_velocity'],
            max_jump=JUMP,
            command_timeout=SILENCE / 1e9,
        ),
        _driver(
            leader_port,
            leader_calibration,
            sim,
            namespace='leader',
            role='leader',
            rate=values['leader_rate'],
        ),
        NodeSpec('so101_driver', 'teleop', 'teleop', {**teleop, 'enabled': enabled}),
    ]


def _policy(values: Values, checkpoint: str) -> NodeSpec:
    names = ('mode', 'inference', 'max_velocity', 'on_mismatch')
    parameters: dict[str, Setting] = {name: values[name] for name in names}
    parameters['cameras'] = _present(values)
    parameters['untrained'] = values['sim']
    if checkpoint:
        parameters |= {'checkpoint': checkpoint, 'device': values['device']}
    else:
        # A network that is cut says nothing, and a model on a GPU takes a second at most.
        parameters['inference_timeout'] = 3.0
    return NodeSpec('so101_policy', 'policy', 'policy', parameters)


def _checkpoint(folder: str, sim: bool, cameras: list[str]) -> str:
    """Return the path of a checkpoint that fits, before any process starts. Raises UserError."""
    from so101_policy import checkpoint

    found = checkpoint.read(Path(folder))
    found.check_cameras(cameras)
    if not found.trained and not sim:
        raise UserError(
            f'checkpoint {found.path}: its weights are random, for simulation only; '
            'give a trained one, or sim:=true'
        )
    return str(found.path)


def _recorder(values: Values, checkpoint: str = '') -> list[NodeSpec]:
    if not values['record']:
        return []
    parameters = {
        'directory': values['recordings'],
        'checkpoint': checkpoint,
        'cameras': _present(values),
    }
    return [NodeSpec('so101_episodes', 'recorder', 'recorder', parameters)]


def _session(values: Values, port: str, **parameters: Value | list[str]) -> list[NodeSpec]:
    """Return the script of the run, and the keys by which a person takes part in it."""
    names = ('episode_time', 'task', 'direct_reset', 'record', 'sim', 'voice')
    session = NodeSpec(
        'so101_episodes',
        'session',
        'session',
        {
            **{name: values[name] for name in names},
            'port': port,
            'start_pause': _start_pause(bool(values['sim'])),
            'home': _home(values),
            'pause_between': 0.5 if values['sim'] else 2.0,
            **parameters,
        },
        ends_graph=True,
    )
    if not (terminal := _terminal()):
        return [session]
    return [NodeSpec('so101_episodes', 'keys', 'keys', {'terminal': terminal}), session]


def _start_pause(sim: bool) -> float:
    """Return the seconds before the arm moves: to step back, where somebody stands at a table."""
    return 0.5 if sim else 3.0


def _terminal() -> str:
    """Return the terminal that this was started from, whose keys the nodes do not have.

    Of a program in the background there is none: the keys are the shell's.
    """
    if not (sys.stdin and sys.stdin.isatty()):
        return ''
    try:
        foreground = os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:  # it is not this program's own
        foreground = False
    return os.ttyname(sys.stdin.fileno()) if foreground else ''


def _watching(values: Values, prefix: str, images: bool = True) -> list[NodeSpec]:
    """Return what judges the images, if there are to be any, shows the run, and films it."""
    nodes = []
    cameras = _present(values)
    if images:
        nodes.append(
            NodeSpec('so101_cameras', 'image_health', 'image_health', {'cameras': cameras})
        )
    if values['page']:
        page = {'port': values['page_port'], 'cameras': cameras}
        nodes.append(NodeSpec('so101_view', 'page', 'page', page))
    if values.get('rviz'):
        nodes += _rviz()
    if values.get('video'):
        parameters = {
            'directory': values['recordings'],
            'prefix': prefix,
            'microphone': values['microphone'],
            'cameras': cameras,
        }
        nodes.append(NodeSpec('so101_view', 'video', 'video', parameters))
    return nodes


def _rviz() -> list[NodeSpec]:
    """Return RViz and what it needs: the arm as measured, as told, and the chunk's way."""
    model: dict[str, Value] = {'robot_description': _urdf(), 'publish_frequency': 50.0}
    publisher = ('robot_state_publisher', 'robot_state_publisher')
    frames = ('--frame-id', BASE, '--child-frame-id', f'reference/{BASE}')
    return [
        NodeSpec(*publisher, 'robot_state_publisher', model),
        NodeSpec(
            *publisher,
            'reference_state_publisher',
            {**model, 'frame_prefix': 'reference/'},
            remappings={
                'joint_states': 'arm_controller/reference',
                'robot_description': 'reference/robot_description',
            },
        ),
        NodeSpec('tf2_ros', 'static_transform_publisher', 'reference_base', arguments=frames),
        NodeSpec('so101_view', 'gripper_path', 'gripper_path'),
        NodeSpec(
            'rviz2',
            'rviz2',
            'rviz',
            arguments=('-d', str(share('so101_view') / 'rviz' / 'so101.rviz')),
            may_end=True,
        ),
    ]


def _urdf() -> str:
    """Return the robot's model, by the Python that has its meshes: not always this one."""
    node = NodeSpec('so101_description', 'robot_description', 'robot_description')
    asked = subprocess.run(executable(node), stdout=subprocess.PIPE, text=True)
    if asked.returncode:
        raise UserError('robot_description failed; its last line says why')
    return asked.stdout


def _robot(values: Values) -> Robot:
    """Return what the robot file says; the defaults for a graph that does not read it."""
    return load(str(values[ROBOT.name])) if ROBOT.name in values else Robot()


def _home(values: Values) -> list[float]:
    """Return the robot's home pose, radians."""
    return dataset_to_radians(_robot(values).arm.home).tolist()


def _camera_settings(values: Values) -> dict[str, CameraSetting]:
    """Return the cameras to be started, as the robot file and the arguments say."""
    said = _robot(values).cameras
    return {
        name: replace(
            said.get(name, CameraSetting()),
            source=str(values[f'{name}_camera']),
            device=str(values[f'{name}_device']),
        )
        for name in _present(values)
    }


def _present(values: Values) -> list[str]:
    """Return the cameras that the robot has: of the overhead one, the argument says it."""
    said = _robot(values).cameras
    return [
        name
        for name in CAMERA_NAMES
        if (bool(values['overhead']) if name == 'overhead' else name in said)
    ]


def _cameras_nodes(values: Values) -> list[NodeSpec]:
    settings = _camera_settings(values)
    nodes = [node for name, said in settings.items() for node in camera_nodes(name, said)]
    if not nodes:
        raise UserError(
            'no camera has a source: say wrist_camera:=v4l2, or so in robot.yaml '
            '(./so101 robot makes one of what is plugged in)'
        )
    if values['transforms']:
        nodes += map(transform, settings)
    return nodes + _watching(values, 'cameras')


def _arm(values: Values) -> tuple[str, str, list[NodeSpec]]:
    """Return the arm's port and calibration, and the nodes before the driver.

    Those read the cameras; in simulation they simulate the arm and its cameras.
    """
    if not values['sim']:
        wanted = _camera_settings(values) if values['cameras'] else {}
        nodes = [node for name, said in wanted.items() for node in camera_nodes(name, said)]
        return str(values['port']), str(values['calibration']), nodes
    port = str(values['sim_port']) or _sim_port()
    calibration = str(calibration_path())
    parameters = {'port': port, 'calibration': calibration, 'seed': values['seed']}
    return (
        port,
        calibration,
        [
            NodeSpec('so101_sim', 'world', 'sim_world', parameters),
            NodeSpec('so101_sim', 'cameras', 'sim_cameras', {'look': values['look']}),
        ],
    )


def _driver(
    port: str, calibration: str, sim: bool, namespace: str = '', **parameters: Value
) -> NodeSpec:
    parameters |= {
        'port': port,
        'calibration': calibration,
        # A simulated arm has its port once its world is built.
        'port_timeout': 60.0 if sim else 2.0,
    }
    return NodeSpec('so101_driver', 'driver', 'driver', parameters, namespace=namespace)


def _sim_port() -> str:
    """Return a path of this user's and this run's own."""
    return f'{gettempdir()}/so101_sim_{os.getuid()}_{os.getpid()}'


_OVERHEAD = Argument(
    'overhead', True, 'whether the robot has its overhead camera', key='cameras.overhead'
)
_CAMERAS = (
    _OVERHEAD,
    *(
        argument
        for name in CAMERA_NAMES
        for argument in (
            replace(
                of_robot(f'{name}_camera', f'cameras.{name}.source'),
                description=f'who reads the {name} camera: {", ".join(SOURCES)}',
            ),
            replace(
                of_robot(f'{name}_device', f'cameras.{name}.device'),
                description=f'which {name} camera: a serial number, a path, or a video file',
            ),
        )
    ),
)
_ROBOT = (
    ROBOT,
    of_robot('port', 'arm.port'),
    of_robot('calibration', 'arm.calibration'),
    of_robot('max_velocity', 'arm.max_velocity'),
    Argument('cameras', True, 'start the cameras; false: they run already'),
    *_CAMERAS,
)
_SIMULATION = (
    Argument('sim', False, 'simulated arm and cameras instead of real ones'),
    Argument('sim_port', '', 'where the simulated arm has its port; empty: somewhere in /tmp'),
    Argument('seed', 0, 'of the cube positions in simulation, and of the order of trials', low=0),
    Argument(
        'look',
        'fixed',
        'light, colours and camera poses of the simulation: fixed, or varied with each episode',
        choices=('fixed', 'varied'),
    ),
)
_HAND = Argument(
    'hand',
    'expert',
    'what moves the leader arm in simulation: expert does the task in each episode, waves only '
    'shows that it is followed',
    choices=('expert', 'waves'),
)
_CHECKPOINT = of_robot('checkpoint', 'checkpoint')
_MODE = Argument(
    'mode',
    'rtc',
    'how chunks are executed: rtc (real-time chunking), ensemble or sync',
    choices=('rtc', 'ensemble', 'sync'),
)
_INFERENCE = Argument(
    'inference',
    'local',
    'local, or remote: by an inference node on another machine (docs/remote.md)',
    choices=('local', 'remote'),
)
_DEVICE = Argument('device', 'auto', 'where the model runs', choices=('auto', 'cpu', 'cuda'))
_ON_MISMATCH = Argument(
    'on_mismatch',
    'refuse',
    'refuse or warn when checkpoint, start pose, images or task do not fit',
    choices=('refuse', 'warn'),
)
_TASK = of_robot('task', 'task')
_EPISODE_TIME = of_robot('episode_time', 'episode_time')
_DIRECT_RESET = Argument(
    'direct_reset', False, 'go straight to the home pose instead of by the zero pose'
)
_VOICE = Argument('voice', False, 'say prompts aloud, by spd-say or espeak-ng')
_EPISODE = (_TASK, _EPISODE_TIME, _DIRECT_RESET, _VOICE)
_RECORD = Argument('record', True, 'record one bag per episode')
_RECORDINGS = of_robot('recordings', 'recordings')
_PAGE = Argument('page', False, 'a live view in the browser: cameras, joints, chunk, health')
_PAGE_PORT = Argument('page_port', 8101, 'where it is: http://localhost:8101', low=1024)
_RVIZ = Argument('rviz', False, 'show the robot in RViz, where it is installed')
_VIDEO = Argument('video', False, 'film the run: both cameras in one picture, an MP4 file')
_MICROPHONE = Argument(
    'microphone', '', "its sound: 'default', an ALSA device such as hw:1,0, or empty for none"
)
_WATCHING = (_PAGE, _PAGE_PORT, _RVIZ, _VIDEO, _MICROPHONE)
_START = Argument(
    'start',
    'follower_to_leader',
    'which arm goes to the other first: follower_to_leader or leader_to_follower',
    choices=('follower_to_leader', 'leader_to_follower'),
)
_LEADER = (
    of_robot('leader_port', 'leader.port'),
    of_robot('leader_calibration', 'leader.calibration'),
    Argument(
        'leader_rate',
        200.0,
        'times a second that the leader arm is read, at least 150',
        low=_LEAST_LEADER_RATE,
    ),
    _START,
    Argument('ramp_velocity', 0.5, 'speed of that way, and after a pause, rad/s', low=0.05),
)

INFER = Wiring(
    'infer',
    'Roll out a policy: home, run, home, as often as asked; one bag per rollout.',
    (
        _CHECKPOINT,
        _MODE,
        _INFERENCE,
        _DEVICE,
        _ON_MISMATCH,
        Argument('num_rollouts', 1, 'how many rollouts', low=1),
        *_EPISODE,
        _RECORD,
        _RECORDINGS,
        *_WATCHING,
        *_ROBOT,
        *_SIMULATION,
    ),
    _infer_nodes,
)

EVALUATE = Wiring(
    'evaluate',
    'Compare checkpoints: rollouts in shuffled order from places all over, and a report.',
    (
        replace(
            _CHECKPOINT, name='checkpoints', description='checkpoint folders, separated by commas'
        ),
        _MODE,
        _DEVICE,
        _ON_MISMATCH,
        Argument('num_rollouts', 20, 'how many rollouts of each checkpoint', low=1),
        Argument('places', 4, 'in how many places the object starts; 0: anywhere', low=0),
        *_EPISODE,
        Argument(
            'recordings',
            '',
            'folder of the episodes and the report; empty: recordings/evaluation_<date>_<time>',
        ),
        *_WATCHING,
        *_ROBOT,
        *_SIMULATION,
    ),
    _evaluate_nodes,
)

RECORD = Wiring(
    'record',
    'Record demonstrations, by a leader arm or whoever moves the arm; one bag per episode.',
    (
        Argument(
            'source',
            'teleop',
            'who moves the arm: teleop (a leader arm), or other (whoever publishes trajectories)',
            choices=('teleop', 'other'),
        ),
        Argument('num_episodes', 50, 'how many there are to be in the end', low=1),
        Argument(
            'reset_time',
            5.0,
            'seconds before each, to put the object back',
            low=0.0,
            in_simulation=0.0,
        ),
        *(
            # Nothing can be entangled there, and many demonstrations are to be had in an hour.
            replace(argument, in_simulation=True) if argument.name == 'direct_reset' else argument
            for argument in _EPISODE
        ),
        _RECORDINGS,
        replace(_PAGE, default=True),
        *_WATCHING[1:],
        *(
            # Back home after each episode, the follower stays where it is, the leader comes to it.
            # A simulated hand has carried it there meanwhile.
            replace(argument, default='leader_to_follower', in_simulation='follower_to_leader')
            if argument.name == 'start'
            else argument
            for argument in _LEADER
        ),
        *_ROBOT,
        *_SIMULATION,
        _HAND,
    ),
    _record_nodes,
)

REPLAY = Wiring(
    'replay',
    'Move the arm as in an episode: to its start, through its actions, and home.',
    (
        Argument('episode', '', 'folder of the episode, or of any bag of the same topics'),
        Argument('speed', 1.0, 'times as fast as recorded', low=0.1, high=2),
        replace(_RECORD, default=False),
        _RECORDINGS,
        *_WATCHING,
        *_ROBOT,
        *_SIMULATION,
    ),
    _replay_nodes,
)

TELEOP = Wiring(
    'teleop',
    'Move the arm by a leader arm that is moved by hand.',
    (
        *(*_LEADER, _PAGE, _PAGE_PORT, _RVIZ, *_ROBOT, *_SIMULATION),
        # Of no session, which would say when to begin.
        replace(_HAND, default='waves'),
    ),
    _teleop_nodes,
)

CAMERAS = Wiring(
    'cameras',
    'Both cameras alone, for several runs one after the other or to look at them.',
    (
        ROBOT,
        *_CAMERAS,
        Argument(
            'transforms',
            False,
            "publish where they are mounted, for programs without the robot's model",
        ),
        _PAGE,
        _PAGE_PORT,
    ),
    _cameras_nodes,
)

# What `so101 NAME` and `ros2 launch so101_bringup NAME.launch.py` run.
WIRINGS = {wiring.name: wiring for wiring in (INFER, RECORD, EVALUATE, REPLAY, TELEOP, CAMERAS)}
