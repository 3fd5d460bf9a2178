"""The Robot of session.py: the arm, what moves it, what records it, and the simulated world."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point
from rclpy.client import Client
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, String

from so101_episodes.arm_client import SERVICE_TIMEOUT, ArmClient
from so101_episodes.notes import Notes
from so101_episodes.session import Source, Unusable
from so101_node.error import UserError
from so101_node.node import Node
from so101_node.topics import (
    DIAGNOSTICS,
    EPISODE_DISCARD,
    EPISODE_FAIL,
    EPISODE_NOTES,
    EPISODE_START,
    EPISODE_STOP,
    EPISODE_SUCCEED,
    POLICY_CHECKPOINT,
    POLICY_ENABLE,
    POLICY_RESET,
    SIM_PLACE,
    SIM_RESET,
    SIM_STATE,
    SIM_SUCCESS,
    TELEOP_ENABLE,
)

_ENABLE = {Source.POLICY: POLICY_ENABLE, Source.TELEOP: TELEOP_ENABLE}

# A place may arrive after the reset that was to use it: the next one does.
_PLACEMENTS = 5
_PLACE_TIME = 0.5  # s; the world is published 30 times a second
_PLACE_TOLERANCE = 0.003  # m; a cube is 25 mm wide

# Seconds that the source has to be held in, on the way out.
_LAST_PATIENCE = 1.0


class SessionRobot(ArmClient):
    """Its methods are for the script's thread; `close` is for the node's."""

    def __init__(
        self,
        node: Node,
        source: Source,
        sim: bool,
        port: str,
        arm_timeout: float,
        policy_timeout: float,
        tolerance: float,
    ) -> None:
        """Timeouts in seconds, `tolerance` in radians: see ArmClient."""
        super().__init__(node, port, arm_timeout, tolerance)
        self._source = source
        self._policy_timeout = policy_timeout
        self._enable = node.client(_ENABLE[source]) if source in _ENABLE else None
        if source is Source.POLICY:
            self._policy_reset = node.client(POLICY_RESET)
            self._asked = node.publisher(POLICY_CHECKPOINT)
        self._notes = node.publisher(EPISODE_NOTES)
        self._start = node.client(EPISODE_START)
        self._end = {
            'success': node.client(EPISODE_SUCCEED),
            'failure': node.client(EPISODE_FAIL),
            'unlabelled': node.client(EPISODE_STOP),
        }
        self._discard = node.client(EPISODE_DISCARD)
        self._labelling: Future | None = None
        self._success = False
        self._world = b''  # the last sim/state, serialized
        if sim:
            self._place = node.publisher(SIM_PLACE)
            self._world_reset = node.client(SIM_RESET)
            node.subscribe(SIM_SUCCESS, self._judge)
            node.subscribe(SIM_STATE, self._see, raw=True)
        self._policy: Mapping[str, str] = {}  # what it and teleoperation say of themselves
        self._teleop: Mapping[str, str] = {}
        node.subscribe(DIAGNOSTICS, self._hear)
        self._leading = False
        self._recording = False

    def close(self, discard: bool) -> None:
        """Stop the script and the source; discard the episode, or leave it to the recorder."""
        self.stop()
        if (executor := self._node.executor) is None:
            return
        last: list[Future] = []
        if self._leading and self._enable is not None:
            last.append(self._enable.call_async(_ENABLE[self._source].type.Request(data=False)))
        if self._recording and discard:
            last.append(self._discard.call_async(EPISODE_DISCARD.type.Request()))
        deadline = time.monotonic() + _LAST_PATIENCE
        for future in last:
            left = max(0.0, deadline - time.monotonic())
            executor.spin_until_future_complete(future, timeout_sec=left)

    def now(self) -> float:
        return time.monotonic()

    def wait_for_policy(self, unless: Callable[[], bool]) -> None:
        assert self._enable is not None
        ready, timeout = self._enable.service_is_ready, self._policy_timeout
        if not self.wait(lambda: unless() or ready(), timeout):
            raise UserError(
                f'no service {POLICY_ENABLE.name} after {timeout:g} s (policy_timeout): the '
                'policy does not run, or its first inference takes longer; see the policy'
            )

    def checkpoint(self) -> str:
        return self._policy.get('checkpoint', '')

    def use_checkpoint(self, path: str, unless: Callable[[], bool]) -> None:
        self._asked.publish(String(data=path))

        def state() -> str:
            return self._policy.get('state', '') if self.checkpoint() == path else ''

        timeout = self._policy_timeout
        if not self.wait(lambda: unless() or state() in ('ready', 'running', 'failed'), timeout):
            raise Unusable(f'the policy is not ready with it after {timeout:g} s (policy_timeout)')
        if state() == 'failed':
            raise Unusable(self._policy.get('reason', ''))

    def reset_policy(self) -> None:
        self.call(self._policy_reset, POLICY_RESET.type.Request())

    def lead(self, on: bool) -> None:
        self._leading = self._leading or on
        if self._enable is not None:
            self._teleop = {}  # what it said before is not of this time
            self.call(self._enable, _ENABLE[self._source].type.Request(data=on))
        self._leading = on

    def hindrance(self) -> str:
        if self._source is not Source.TELEOP:
            return ''
        state, reason = self._teleop.get('state', ''), self._teleop.get('reason', '')
        if state == 'off' and reason:
            raise UserError(f'teleoperation ended: {reason}')
        if state == 'following':
            return ''
        if state == 'leading':
            return 'the leader arm moves to the pose of the other one; take it when it is limp'
        if state == 'ramping':
            return 'the arm moves to the pose of the leader'
        return reason or f'nothing is heard of teleoperation on {DIAGNOSTICS.name}'

    def reset_world(self, spot: tuple[float, float] | None) -> None:
        if spot is None:
            self._reset_world()
            return
        for _ in range(_PLACEMENTS):
            self._place.publish(Point(x=spot[0], y=spot[1]))
            self._reset_world()
            if self.wait(lambda: self._lies_at(spot), _PLACE_TIME):
                return
        raise UserError(
            f'{SIM_RESET.name} does not put the object where {SIM_PLACE.name} says: '
            f'({spot[0]:.3f}, {spot[1]:.3f}); see sim_world'
        )

    def succeeded(self) -> bool:
        return self._success

    def start_episode(self, notes: Notes) -> str:
        if self._labelling is not None:
            self.wait(self._labelling.done, SERVICE_TIMEOUT)
        self._notes.publish(String(data=json.dumps(asdict(notes))))
        path = self.call(self._start, EPISODE_START.type.Request())
        self._recording = True
        return path

    def end_episode(self, outcome: str) -> str:
        return self._close_recording(self._end[outcome])

    def discard_episode(self) -> None:
        self._close_recording(self._discard)

    def label(self, outcome: str) -> None:
        self._labelling = self._end[outcome].call_async(EPISODE_STOP.type.Request())
        self._labelling.add_done_callback(self._labelled)

    def _close_recording(self, client: Client) -> str:
        path = self.call(client, EPISODE_STOP.type.Request())
        self._recording = False
        return path

    def _labelled(self, done: Future) -> None:
        if not done.result().success:
            print(f'the label is not recorded: {done.result().message}', flush=True)

    def _reset_world(self) -> None:
        self.call(self._world_reset, SIM_RESET.type.Request())
        self._success, self._world = False, b''

    def _lies_at(self, spot: tuple[float, float]) -> bool:
        if not self._world:
            return False
        state = deserialize_message(self._world, JointState)
        found = dict(zip(state.name, state.position, strict=False))
        return all(
            abs(found.get(f'cube.{axis}', float('inf')) - wanted) < _PLACE_TOLERANCE
            for axis, wanted in zip('xy', spot, strict=True)
        )

    def _judge(self, message: Bool) -> None:
        self._success = message.data

    def _see(self, data: bytes) -> None:
        self._world = data

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == 'policy/inference':
                self._policy = {pair.key: pair.value for pair in status.values}
            elif status.name == 'teleop/arms':
                self._teleop = {pair.key: pair.value for pair in status.values}
