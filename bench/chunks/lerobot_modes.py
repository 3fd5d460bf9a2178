"""How LeRobot 0.6.1 executes chunks: its own queues, aggregation, ensembling and guidance.

LeRobot's threads and sockets are replaced by events of the simulated clock; what decides about
actions is LeRobot's code, called in the order in which its loops call it. Durations are those of
inferences, one after the other, in ticks.
"""

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from queue import Queue
from threading import Event, Lock
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from lerobot.policies.act.modeling_act import ACTTemporalEnsembler
from lerobot.policies.rtc import ActionQueue, LatencyTracker
from lerobot.policies.rtc.configuration_rtc import RTCConfig
from torch import Tensor

from chunks.method import RATE, Array, Method, Observation, Policy, Sent
from so101_description.joints import JOINTS


def _import_async() -> tuple[Any, Any, Any]:
    """Import LeRobot's async inference; it takes over the root logger and makes a folder logs."""
    root = logging.getLogger()
    handlers, level, here = list(root.handlers), root.level, Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            from lerobot.async_inference import configs, policy_server, robot_client
        finally:
            os.chdir(here)
            for handler in set(root.handlers) - set(handlers):
                root.removeHandler(handler)
                handler.close()
            for handler in handlers:
                root.addHandler(handler)
            root.setLevel(level)
    for name in ('robot_client', 'policy_server'):
        logging.getLogger(name).setLevel(logging.ERROR)
    return configs, policy_server, robot_client


configs, policy_server, robot_client = _import_async()
logging.getLogger('lerobot.policies.rtc.action_queue').setLevel(logging.ERROR)

# The weight of an action in temporal ensembling, exp(-m i): that of ACT's authors.
_AGEING = 0.01


class SyncQueue:
    """One loop that observes, selects an action and sends it; it stands while it infers.

    As lerobot/rollout/strategies: a loop that took longer than a tick goes on at once.
    """

    def __init__(self, policy: Policy, durations: Iterator[float]) -> None:
        self.changes: list[int] = []
        self._policy = policy
        self._durations = durations
        self._next = 0.0  # when the loop runs again, ticks
        self._sends: Sent = []

    def tick(self, tick: int, observation: Observation) -> Sent:
        while self._next < tick + 1:
            start = self._next
            infers = self._policy.infers()
            action = self._policy.select(observation)
            sent = start + (next(self._durations) if infers else 0.0)
            if infers:
                self.changes.append(math.ceil(sent - 0.5))
            self._sends.append((sent, self._policy.unnormalised(action)))
            self._next = max(start + 1, sent)
        due = [(time - tick, action) for time, action in self._sends if time < tick + 1]
        self._sends = self._sends[len(due) :]
        return due


class _Client(robot_client.RobotClient):  # type: ignore[misc,name-defined]
    """LeRobot's client without a robot and a socket: `observation` in, `command` out."""

    observation: Observation

    def __init__(self, aggregate: str, server: Any) -> None:
        self.config = SimpleNamespace(aggregate_fn=configs.get_aggregate_function(aggregate))
        self.robot = SimpleNamespace(
            observation_features={f'{joint}.pos': float for joint in JOINTS},
            action_features={f'{joint}.pos': float for joint in JOINTS},
            get_observation=self._observe,
            send_action=self._send,
        )
        self._server = server
        server.lerobot_features = robot_client.map_robot_keys_to_lerobot_features(self.robot)
        self.shutdown_event = Event()
        self.latest_action_lock = Lock()
        self.latest_action = -1
        self.action_chunk_size = -1
        self._chunk_size_threshold = 0.5  # RobotClientConfig's default
        self.action_queue: Queue[Any] = Queue()
        self.action_queue_lock = Lock()
        self.action_queue_size: list[int] = []
        self.fps_tracker = robot_client.FPSTracker(target_fps=RATE)
        self.must_go = Event()
        self.must_go.set()
        self.command: dict[str, float] | None = None

    def send_observation(self, obs: Any) -> bool:
        self._server._enqueue_observation(obs)
        return True

    def _observe(self) -> dict[str, Any]:
        named = zip(JOINTS, self.observation.state, strict=True)
        positions = {f'{joint}.pos': value for joint, value in named}
        return {'observation': self.observation, **positions}

    def _send(self, action: dict[str, float]) -> dict[str, float]:
        self.command = action
        return action


class AsyncQueue:
    """LeRobot's robot client and policy server, with one of its four aggregate functions."""

    def __init__(self, policy: Policy, durations: Iterator[float], aggregate: str) -> None:
        self.changes: list[int] = []
        self._policy = policy
        self._durations = durations
        self._server = policy_server.PolicyServer(policy_server.PolicyServerConfig(fps=int(RATE)))
        self._client = _Client(aggregate, self._server)
        self._done = math.inf
        self._answer: list[Any] = []

    def tick(self, tick: int, observation: Observation) -> Sent:
        client = self._client
        answered = False
        while self._done <= tick:
            client.action_chunk_size = max(client.action_chunk_size, len(self._answer))
            client._aggregate_action_queues(self._answer, client.config.aggregate_fn)
            client.must_go.set()
            answered = True
            now, self._done = self._done, math.inf
            self._infer(now)
        client.observation, client.command = observation, None
        if client.actions_available():
            client.control_loop_action()
        if client._ready_to_send_observation():
            client.control_loop_observation(task='')
        if self._done == math.inf:
            self._infer(tick)
        if client.command is None:
            return []
        if answered:
            self.changes.append(tick)
        return [(0.0, _array(client.command))]

    def _infer(self, now: float) -> None:
        """Do what PolicyServer.GetActions does, if there is an observation."""
        server = self._server
        if server.observation_queue.empty():
            return
        obs = server.observation_queue.get()
        server._predicted_timesteps.add(obs.get_timestep())
        server.last_processed_obs = obs
        chunk = self._policy.predict(obs.get_observation()['observation'])
        actions = list(torch.as_tensor(self._policy.unnormalised(chunk)))
        self._answer = server._time_action_chunk(0.0, actions, obs.get_timestep())
        # The server sleeps until its default inference latency has passed.
        self._done = now + max(next(self._durations), server.config.inference_latency * RATE)


def _array(values: dict[str, float]) -> Array:
    return np.array([values[f'{joint}.pos'] for joint in JOINTS])


class Ensemble:
    """ACT's temporal ensembling in LeRobot's class, inferring all the time.

    LeRobot calls it with a chunk in every tick. Where an inference takes longer, each chunk here
    enters at the tick at which it comes, without the actions that are past by then.
    """

    def __init__(self, policy: Policy, durations: Iterator[float]) -> None:
        self.changes: list[int] = []
        self._policy = policy
        self._durations = durations
        self._ensembler = ACTTemporalEnsembler(_AGEING, policy.chunk_size)
        self._observed = 0
        self._done = math.inf
        self._chunk = torch.empty(0)

    def tick(self, tick: int, observation: Observation) -> Sent:
        if self._done == math.inf:
            self._infer(tick, observation)
        action = None
        if self._done < tick + 0.5:  # an inference of no time serves the tick it observed
            current = self._chunk[None, tick - self._observed :]
            if current.shape[1]:
                self.changes.append(tick)
                action = self._enter(current)
            self._done = math.inf
            if self._observed < tick:
                self._infer(tick, observation)
        if action is None:
            action = self._pop()
        return [] if action is None else [(0.0, self._policy.unnormalised(action[0]))]

    def _infer(self, tick: int, observation: Observation) -> None:
        self._observed = tick
        self._chunk = self._policy.predict(observation)
        self._done = tick + next(self._durations)

    def _enter(self, chunk: Tensor) -> Tensor:
        """Let LeRobot's class average what overlaps, where the first action is due now."""
        ensembler = self._ensembler
        actions, counts = ensembler.ensembled_actions, ensembler.ensembled_actions_count
        if actions is None or not actions.shape[1]:
            ensembler.ensembled_actions = None
            first, rest = chunk, chunk[:, :0]
            kept, kept_counts = chunk[:, :0], None
        else:
            overlap = min(actions.shape[1], chunk.shape[1] - 1)
            first, rest = chunk[:, : overlap + 1], chunk[:, overlap + 1 :]
            kept, kept_counts = actions[:, overlap + 1 :], counts[overlap + 1 :]
            ensembler.ensembled_actions = actions[:, :overlap].clone()
            ensembler.ensembled_actions_count = counts[:overlap]
        action = ensembler.update(first)
        counts = ensembler.ensembled_actions_count[: ensembler.ensembled_actions.shape[1]]
        ensembler.ensembled_actions = torch.cat((ensembler.ensembled_actions, rest, kept), 1)
        ones = counts.new_ones((rest.shape[1], 1))
        tail = [] if kept_counts is None else [kept_counts]
        ensembler.ensembled_actions_count = torch.cat((counts, ones, *tail))
        return action

    def _pop(self) -> Tensor | None:
        ensembler = self._ensembler
        actions = ensembler.ensembled_actions
        if actions is None or not actions.shape[1]:
            return None
        ensembler.ensembled_actions = actions[:, 1:]
        ensembler.ensembled_actions_count = ensembler.ensembled_actions_count[1:]
        return actions[:, 0]


class RealTimeChunking:
    """What rollout/inference/rtc.py does in its thread, beside a loop that takes actions."""

    def __init__(self, policy: Policy, durations: Iterator[float], horizon: int) -> None:
        self.changes: list[int] = []
        self._policy = policy
        self._durations = durations
        self._horizon = horizon
        self._queue = ActionQueue(RTCConfig(execution_horizon=horizon))
        self._latencies = LatencyTracker()
        self._now = 0.0  # of the thread, ticks
        self._merge: tuple[Tensor, int, int] | None = None
        self._changed = False

    def tick(self, tick: int, observation: Observation) -> Sent:
        action = self._queue.get()
        if action is not None and self._changed:
            self.changes.append(tick)
            self._changed = False
        while self._now < tick + 1:  # the thread sees this tick's observation
            self._run(observation)
        return [] if action is None else [(0.0, action.numpy())]

    def _run(self, observation: Observation) -> None:
        """Do the thread's next step, at self._now."""
        if self._merge is not None:
            chunk, delay, index = self._merge
            processed = torch.as_tensor(self._policy.unnormalised(chunk))
            self._queue.merge(chunk, processed, delay, index)
            self._merge, self._changed = None, True
        if self._queue.qsize() > 30:  # rtc_queue_threshold's default
            self._now += 0.01 * RATE  # _RTC_IDLE_SLEEP_S
            return
        index = self._queue.get_action_index()
        left_over = self._queue.get_left_over()
        latency = self._latencies.max()
        delay = math.ceil(latency * RATE) if latency else 0
        if left_over is not None:
            left_over = _fitted(left_over, self._horizon)
        chunk = self._policy.predict(
            observation,
            inference_delay=delay,
            prev_chunk_left_over=left_over,
            execution_horizon=self._horizon,  # which LeRobot has in the policy's configuration
        )
        ticks = next(self._durations)
        self._latencies.add(ticks / RATE)
        self._merge = chunk, math.ceil(ticks), index
        self._now += ticks


def _fitted(actions: Tensor, steps: int) -> Tensor:
    """Do what _normalize_prev_actions_length in LeRobot's rtc.py does: cut, or pad with zeros."""
    return torch.cat((actions[:steps], actions.new_zeros(max(0, steps - len(actions)), 6)))


METHODS: dict[str, Callable[[Policy, Iterator[float]], Method]] = {
    'sync queue': SyncQueue,
    **{
        f'async {name}': partial(AsyncQueue, aggregate=name)
        for name in configs.AGGREGATE_FUNCTIONS
    },
    'temporal ensembling': Ensemble,
    'RTC, horizon 10': partial(RealTimeChunking, horizon=10),
    'RTC, horizon 25': partial(RealTimeChunking, horizon=25),
}
"""By the names that tables and plots give them. Those that are `GUIDED` guide the policy."""

GUIDED = tuple(name for name in METHODS if name.startswith('RTC'))
