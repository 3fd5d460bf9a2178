"""An inference on another machine, played by a test: what the policy node is told of it."""

import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String, UInt8MultiArray

from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_node import topics
from so101_node.error import UserError
from so101_node.node import Node
from so101_policy import checkpoint
from so101_policy.inference import Chunk, InferenceEnded, Warm
from so101_policy.inference_message import Hello, Name, Request, decode_request, encode_answer
from so101_policy.observation import Observation
from so101_policy.remote_inference import RemoteInference
from so101_policy.schedule import Guidance

OBSERVATION = Observation(
    dict.fromkeys(CAMERAS, np.zeros(IMAGE_SHAPE, np.uint8)), np.arange(6.0), captured=0
)
CHUNK = Chunk(np.ones((5, 6)), 0.01)


class Machines:
    """A RemoteInference, and the topics of the machine that it asks."""

    def __init__(self, described: str) -> None:
        rclpy.init()
        self.robot, self.other = Node('robot'), Node('other')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.robot)
        self._executor.add_node(self.other)
        self.bells = 0
        self.remote = RemoteInference(self.robot, self._ring)
        self.requests: list[Request] = []
        self._answered = 0
        self.robot.subscribe(topics.INFERENCE_ANSWER, self._count)
        self.other.subscribe(topics.INFERENCE_REQUEST, self._take)
        self._hellos = self.other.publisher(topics.INFERENCE_HELLO)
        self._answers = self.other.publisher(topics.INFERENCE_ANSWER)
        self.hello = Hello('one', 'warm', 2.5, True, '', described)
        self.wait(
            lambda: (
                self._hellos.get_subscription_count()
                and self._answers.get_subscription_count() == 2
                and self.other.count_publishers(topics.INFERENCE_REQUEST.name)
            )
        )

    def close(self) -> None:
        self._executor.shutdown()
        self.remote.close()
        self.robot.destroy_node()
        self.other.destroy_node()
        rclpy.shutdown()

    def wait(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline
            self._executor.spin_once(timeout_sec=0.05)

    def answer_of(self, number: int, chunk: Chunk = CHUNK) -> None:
        self.answer_bytes(encode_answer(Name(self.requests[-1].name.client, number), chunk))

    def answer_bytes(self, data: bytes) -> None:
        """Publish it, and let it arrive: of those that wait, the topic keeps the newest."""
        before = self._answered
        self._answers.publish(UInt8MultiArray(data=array('B', data)))
        self.wait(lambda: self._answered > before)
        for _ in range(5):  # the other subscription has it too
            self._executor.spin_once(timeout_sec=0.02)

    def say(self, **changes: str) -> None:
        self.hello = replace(self.hello, **changes)
        self._hellos.publish(String(data=self.hello.encode()))

    def heard(self) -> Warm | Chunk | None:
        """What can be polled once the bell rings."""
        self.wait(lambda: self.bells)
        self.bells -= 1
        return self.remote.poll()

    def asked(self, guidance: Guidance | None = None) -> Request:
        """The request that comes when the robot asks."""
        before = len(self.requests)
        self.remote.ask(OBSERVATION, 'put it in the bowl', guidance)
        self.wait(lambda: len(self.requests) > before)
        return self.requests[-1]

    def _ring(self) -> None:
        self.bells += 1

    def _count(self, _: UInt8MultiArray) -> None:
        self._answered += 1

    def _take(self, message: UInt8MultiArray) -> None:
        self.requests.append(decode_request(bytes(message.data)))


@pytest.fixture
def machines(smolvla: Path) -> Iterator[Machines]:
    found = Machines(checkpoint.read(smolvla).to_json())
    yield found
    found.close()


def test_a_warm_inference_is_asked_and_its_checkpoint_is_known(
    machines: Machines, smolvla: Path
) -> None:
    assert machines.remote.checkpoint is None
    machines.say()
    assert machines.heard() == Warm(2.5, True)
    assert machines.remote.checkpoint is not None
    assert machines.remote.checkpoint.path == smolvla
    asked = machines.asked(Guidance(np.ones((3, 6)), 1, 2))
    assert machines.remote.busy
    assert asked.task == 'put it in the bowl'
    assert asked.state.tolist() == OBSERVATION.state.tolist()
    assert asked.guidance is not None
    machines.answer_of(asked.name.number)
    chunk = machines.heard()
    assert isinstance(chunk, Chunk)
    assert chunk.actions.tolist() == CHUNK.actions.tolist()
    assert not machines.remote.busy
    assert len(machines.remote.round_trip) == len(machines.remote.network) == 1


def test_answers_that_are_old_or_doubled_or_broken_are_ignored(machines: Machines) -> None:
    machines.say()
    machines.heard()
    old = machines.asked().name.number
    machines.remote.restart()
    assert not machines.remote.busy
    machines.say()
    assert isinstance(machines.heard(), Warm), 'a sign of life after the restart'
    new = machines.asked().name.number
    assert new > old
    wrong = replace(CHUNK, actions=-CHUNK.actions)
    machines.answer_of(old, wrong)
    machines.answer_bytes(b'noise')
    machines.answer_of(new)
    chunk = machines.heard()
    assert isinstance(chunk, Chunk)
    assert chunk.actions.tolist() == CHUNK.actions.tolist()
    machines.answer_of(new)
    last = machines.asked().name.number
    machines.answer_of(last)
    assert isinstance(machines.heard(), Chunk)
    assert machines.remote.poll() is None


def test_a_reset_begins_another_episode(machines: Machines) -> None:
    machines.say()
    machines.heard()
    first = machines.asked()
    machines.answer_of(first.name.number)
    machines.heard()
    machines.remote.reset()
    assert machines.asked().episode != first.episode


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'state': 'ended', 'reason': 'its node was stopped'}, 'its node was stopped'),
        ({'session': 'two', 'reason': 'out of memory'}, 'out of memory'),
        ({'session': 'two'}, 'begun anew'),
    ],
)
def test_an_inference_that_ends_or_begins_anew_says_so_and_is_asked_again(
    machines: Machines, changes: dict[str, str], text: str
) -> None:
    machines.say()
    machines.heard()
    machines.asked()
    machines.say(**{'state': 'loading', **changes})
    with pytest.raises(InferenceEnded, match=text):
        machines.heard()
    machines.remote.restart()
    machines.say(state='warm')
    assert isinstance(machines.heard(), Warm)
    machines.answer_of(machines.asked().name.number)
    assert isinstance(machines.heard(), Chunk)


def test_an_inference_that_never_was_warm_is_waited_for(machines: Machines) -> None:
    machines.say(state='ended', reason='device cuda: torch finds no CUDA device')
    machines.say(session='two', state='loading', reason='')
    machines.say(state='warm')
    assert isinstance(machines.heard(), Warm)


def test_another_checkpoint_is_refused(machines: Machines) -> None:
    machines.say()
    machines.heard()
    machines.say(checkpoint=machines.hello.checkpoint.replace('smolvla', 'other'))
    with pytest.raises(UserError, match='start the policy again'):
        machines.heard()
