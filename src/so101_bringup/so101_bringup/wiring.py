"""Which nodes run, with which parameters, and which arguments there are: said once.

The launch files and the `so101` command both read it. It imports neither torch nor
LeRobot: on a robot PC the launch system reads it with the system's Python.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir

from ament_index_python.packages import get_package_share_directory

from so101_node.error import UserError
from so101_node.lifetime import END_WITH_PARENT

Value = bool | int | float | str

# Hz. Teleop takes a leader that moves 0.2 rad from state to state for one that jumped, and sends
# the follower to where a leader will be in 10 ms, which is two of its periods at 200.
_LEAST_LEADER_RATE = 150


@dataclass(frozen=True)
class Argument:
    """A launch argument; its text is converted to the type of `default`."""

    name: str
    default: Value
    description: str
    low: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def default_text(self) -> str:
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)

    def value(self, text: str) -> Value:
        """Convert and check what the user wrote. Raises UserError."""
        if isinstance(self.default, bool):
            if text.lower() not in ('true', 'false'):
                raise UserError(f'{self.name}:={text}: expected true or false')
            return text.lower() == 'true'
        if self.choices and text not in self.choices:
            raise UserError(f'{self.name}:={text}: expected {" or ".join(self.choices)}')
        if isinstance(self.default, str):
            return str(Path(text).expanduser()) if text.startswith('~') else text
        try:
            value = type(self.default)(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            kind = 'a whole number' if isinstance(self.default, int) else 'a number'
            raise UserError(f'{self.name}:={text}: expected {kind}')
        if self.low is not None and value < self.low:
            raise UserError(f'{self.name}:={text}: expected at least {self.low:g}')
        return value


@dataclass(frozen=True)
class NodeSpec:
    """One process. The end of the node with `ends_graph` ends all the others.

    Nodes are started in their order and stopped in the reverse one: first what moves the arm, last
    what the arm hangs on. `namespace` is '' or a name, such as 'leader'.
    """

    package: str
    executable: str
    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    ends_graph: bool = False
    namespace: str = ''

    @property
    def label(self) -> str:
        """The node's name with its namespace: unique in a graph."""
        return f'{self.namespace}/{self.name}' if self.namespace else self.name


@dataclass(frozen=True)
class Wiring:
    """Arguments, and the nodes that they lead to."""

    name: str
    description: str
    arguments: tuple[Argument, ...]
    nodes: Callable[[Mapping[str, Value]], list[NodeSpec]]

    def values(self, given: Mapping[str, str]) -> dict[str, Value]:
        """Return the value of every argument. Raises UserError for an unknown or wrong one."""
        unknown = set(given) - {argument.name for argument in self.arguments}
        if unknown:
            known = ', '.join(argument.name for argument in self.arguments)
            raise UserError(f'unknown argument {", ".join(sorted(unknown))}; known: {known}')
        return {
            argument.name: argument.value(given.get(argument.name, argument.default_text))
            for argument in self.arguments
        }


def environment() -> dict[str, str]:
    """Return what the nodes that this process starts need in their environment.

    What the user has set stays; sourcing the workspace sets the same (so101_node/hook).
    """
    profile = _share('so101_node') / 'config' / 'fastdds.xml'
    needed = {
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(profile),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }
    missing = {name: text for name, text in needed.items() if name not in os.environ}
    return {**missing, END_WITH_PARENT: str(os.getpid())}


def _infer_nodes(values: Mapping[str, Value]) -> list[NodeSpec]:
    sim = bool(values['sim'])
    policy = {name: values[name] for name in ('mode', 'inference', 'max_velocity', 'on_mismatch')}
    policy['untrained'] = sim
    if values['inference'] == 'remote':
        # A network that is cut says nothing, and a model on a GPU takes a second at most.
        policy['inference_timeout'] = 3.0
        made_by = 'on another machine'
    else:
        made_by = _checkpoint(str(values['checkpoint']), sim)
        policy |= {'checkpoint': made_by, 'device': values['device']}
    port, calibration, nodes = _arm(values)
    if values['record']:
        nodes.append(
            NodeSpec(
                'so101_episodes',
                'recorder',
                'recorder',
                {'directory': str(values['recordings']), 'checkpoint': made_by},
            )
        )
    rollout_arguments = ('num_rollouts', 'episode_time', 'task', 'direct_reset', 'record', 'sim')
    nodes += [
        _driver(port, calibration, sim, max_velocity=values['max_velocity']),
        NodeSpec('so101_policy', 'policy', 'policy', policy),
        NodeSpec(
            'so101_episodes',
            'rollout',
            'rollout',
            {
                **{name: values[name] for name in rollout_arguments},
                'port': port,
                # On a table, time to step back; in simulation nobody stands there.
                'start_pause': 0.5 if sim else 3.0,
                'pause_between': 0.5 if sim else 2.0,
            },
            ends_graph=True,
        ),
    ]
    return nodes


def _checkpoint(folder: str, sim: bool) -> str:
    """Return the path of a checkpoint that fits, before any process starts. Raises UserError."""
    from so101_policy import checkpoint

    found = checkpoint.read(Path(folder))
    if not found.trained and not sim:
        raise UserError(
            f'checkpoint {found.path}: its weights are random, for simulation only; '
            'give a trained one, or sim:=true'
        )
    return str(found.path)


def _teleop_nodes(values: Mapping[str, Value]) -> list[NodeSpec]:
    from so101_driver.teleop import JUMP, SILENCE

    sim = bool(values['sim'])
    port, calibration, nodes = _arm(values)
    leader_port = str(values['leader_port'])
    leader_calibration = str(values['leader_calibration'])
    if sim:
        leader_port, leader_calibration = f'{port}_leader', calibration
        parameters = {'port': leader_port, 'calibration': calibration, 'seed': values['seed']}
        nodes.append(NodeSpec('so101_sim', 'leader', 'sim_leader', parameters))
    elif leader_port == port:
        raise UserError(f'leader_port:={port}: that is the port of the other arm; give its own')
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
        NodeSpec(
            'so101_driver',
            'teleop',
            'teleop',
            {'start': values['start'], 'ramp_velocity': values['ramp_velocity'], 'port': port},
        ),
    ]


def _arm(values: Mapping[str, Value]) -> tuple[str, str, list[NodeSpec]]:
    """Return the arm's port and calibration, and the nodes that simulate it and its cameras."""
    if not values['sim']:
        return str(values['port']), str(values['calibration']), []
    port = str(values['sim_port']) or _sim_port()
    calibration = str(_share('so101_sim') / 'config' / 'calibration.json')
    parameters = {'port': port, 'calibration': calibration, 'seed': values['seed']}
    return (
        port,
        calibration,
        [
            NodeSpec('so101_sim', 'world', 'sim_world', parameters),
            NodeSpec('so101_sim', 'cameras', 'sim_cameras'),
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


def _share(package: str) -> Path:
    return Path(get_package_share_directory(package))


_PORT = Argument('port', '/dev/ttyACM0', 'serial port of the arm')
_CALIBRATION = Argument('calibration', '', "LeRobot's calibration file of the arm")
_MAX_VELOCITY = Argument(
    'max_velocity', 3.0, 'limit of the velocity of every joint, rad/s', low=0.1
)
_SIMULATION = (
    Argument('sim', False, 'simulated arm and cameras instead of real ones'),
    Argument('sim_port', '', 'where the simulated arm has its port; empty: somewhere in /tmp'),
    Argument('seed', 0, 'of the cube positions in simulation', low=0),
)

INFER = Wiring(
    'infer',
    'Roll out a policy: home, run, home, as often as asked; one bag per rollout.',
    (
        Argument(
            'checkpoint',
            'outputs/train/checkpoints/last/pretrained_model',
            'LeRobot policy checkpoint folder (SmolVLA, ACT ...)',
        ),
        Argument(
            'mode',
            'rtc',
            'how chunks are executed: rtc (real-time chunking), ensemble or sync',
            choices=('rtc', 'ensemble', 'sync'),
        ),
        Argument(
            'inference',
            'local',
            'local, or remote: by an inference node on another machine (docs/remote.md)',
            choices=('local', 'remote'),
        ),
        Argument('device', 'auto', 'where the model runs', choices=('auto', 'cpu', 'cuda')),
        Argument(
            'on_mismatch',
            'refuse',
            'refuse or warn when checkpoint, start pose, images or task do not fit',
            choices=('refuse', 'warn'),
        ),
        Argument('task', 'Pick up the cube and place it in the bowl', 'what the policy is told'),
        Argument('num_rollouts', 1, 'how many rollouts', low=1),
        Argument('episode_time', 10.0, 'seconds of each rollout', low=0.1),
        Argument(
            'direct_reset', False, 'go straight to the home pose instead of by the zero pose'
        ),
        Argument('record', True, 'record one bag per rollout'),
        Argument('recordings', 'recordings', 'folder of the bags'),
        _PORT,
        _CALIBRATION,
        _MAX_VELOCITY,
        *_SIMULATION,
    ),
    _infer_nodes,
)

TELEOP = Wiring(
    'teleop',
    'Move the arm by a leader arm that is moved by hand.',
    (
        Argument('leader_port', '/dev/ttyACM1', 'serial port of the leader arm'),
        Argument('leader_calibration', '', "LeRobot's calibration file of the leader arm"),
        Argument(
            'leader_rate',
            200.0,
            'times a second that the leader arm is read, at least 150',
            low=_LEAST_LEADER_RATE,
        ),
        Argument(
            'start',
            'follower_to_leader',
            'which arm goes to the other first: follower_to_leader or leader_to_follower',
            choices=('follower_to_leader', 'leader_to_follower'),
        ),
        Argument('ramp_velocity', 0.5, 'speed of that way, and after a pause, rad/s', low=0.05),
        _PORT,
        _CALIBRATION,
        _MAX_VELOCITY,
        *_SIMULATION,
    ),
    _teleop_nodes,
)

# What `so101 NAME` and `ros2 launch so101_bringup NAME.launch.py` run.
WIRINGS = {wiring.name: wiring for wiring in (INFER, TELEOP)}
