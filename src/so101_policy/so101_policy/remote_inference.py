"""An inference on another machine as the policy node sees it: the methods of Inference, by topics.

Nothing here depends on the other machine's clock: what is measured is the time from a request to
its chunk, by this machine's clock, and the network is part of it.
"""

import time
import uuid
from array import array
from collections import deque
from collections.abc import Callable

from std_msgs.msg import String, UInt8MultiArray

from so101_node import topics
from so101_node.error import UserError
from so101_node.node import Node
from so101_node.samples import Samples
from so101_policy import checkpoint, inference_message
from so101_policy.checkpoint import Checkpoint
from so101_policy.inference import Chunk, InferenceEnded, Warm
from so101_policy.inference_message import Name
from so101_policy.observation import Observation
from so101_policy.schedule import Guidance


class RemoteInference:
    """Asks an inference node. One observation at a time: `busy` from `ask` until its chunk."""

    def __init__(self, node: Node, heard: Callable[[], None]) -> None:
        """`heard` is called, while `node` spins, whenever there is something to poll."""
        self.busy = False
        self.checkpoint: Checkpoint | None = None  # None until the other machine has said it
        self.round_trip = Samples()  # seconds from a request to its chunk
        self.network = Samples()  # the same, less the inference itself
        self.request_bytes = 0  # of the last request
        self._node = node
        self._heard = heard
        self._client = uuid.uuid4().hex
        self._number = 0
        self._episode = 0
        self._asked = 0.0  # when, by the monotonic clock
        self._answers: deque[Warm | Chunk | UserError] = deque()
        self._awaited = True  # whether the next hello of a warm inference is news
        self._session: str | None = None
        self._described = ''  # the checkpoint, as the other machine wrote it
        self._requests = node.publisher(topics.INFERENCE_REQUEST)
        self._subscriptions = [
            node.subscribe(topics.INFERENCE_ANSWER, self._take_answer),
            node.subscribe(topics.INFERENCE_HELLO, self._take_hello),
        ]

    def ask(self, observation: Observation, task: str, guidance: Guidance | None = None) -> None:
        """Send one observation, its images as JPEG. The prefix of `guidance`: dataset units."""
        assert not self.busy
        self.busy = True
        self._asked = time.monotonic()
        self._number += 1
        name = Name(self._client, self._number)
        data = inference_message.request(name, self._episode, observation, task, guidance).encode()
        self.request_bytes = len(data)
        self._requests.publish(_message(data))

    def reset(self) -> None:
        """Have the policy forget its past, before the next observation."""
        self._episode += 1

    def poll(self) -> Warm | Chunk | None:
        """Return the next answer or None.

        Raises InferenceEnded when an inference that was Warm said that it ended or began anew, and
        UserError when the other machine now has another checkpoint.
        """
        if not self._answers:
            return None
        answer = self._answers.popleft()
        if isinstance(answer, UserError):
            self.busy = False
            raise answer
        if isinstance(answer, Chunk):
            self.busy = False
        return answer

    def restart(self) -> None:
        """Forget what was asked. Warm comes again with the next sign of life of a warm inference.

        The process there is not touched: when it died, the node there starts another one.
        """
        self.busy = False
        self._number += 1  # no answer has this number yet
        self._answers.clear()
        self._awaited = True

    def close(self) -> None:
        """Leave the topics; the inference goes on."""
        self._node.destroy_publisher(self._requests)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _take_answer(self, message: UInt8MultiArray) -> None:
        try:
            name, chunk = inference_message.decode_answer(bytes(message.data))
        except UserError as error:
            self._report(error)
            return
        if not self.busy or name != Name(self._client, self._number):
            return  # to a question that was given up, or another's
        seconds = time.monotonic() - self._asked
        self.round_trip.add(seconds)
        self.network.add(seconds - chunk.seconds)
        self._number += 1  # whatever comes twice is ignored
        self._tell(chunk)

    def _take_hello(self, message: String) -> None:
        try:
            hello = inference_message.decode_hello(message.data)
            if hello.checkpoint != self._described:
                found = checkpoint.from_json(hello.checkpoint)
                if self.checkpoint is not None:
                    self._tell(
                        UserError(
                            f'the inference now has the checkpoint {found.path}, it had '
                            f'{self.checkpoint.path}; start the policy again'
                        )
                    )
                self.checkpoint, self._described = found, hello.checkpoint
        except UserError as error:
            self._report(error)
            return
        before, self._session = self._session, hello.session
        if hello.state == 'ended':
            self._end(hello.reason)
        elif before is not None and before != hello.session:
            self._end(hello.reason or 'it was begun anew, or two inference nodes run')
        if hello.state == 'warm' and self._awaited:
            self._awaited = False
            self._tell(Warm(hello.seconds, hello.guided))

    def _end(self, reason: str) -> None:
        error = InferenceEnded(f'the inference on the other machine: {reason}')
        if self._awaited:  # nobody relies on it yet
            self._node.get_logger().warning(str(error), throttle_duration_sec=1.0)
            return
        self._awaited = True
        self._tell(error)

    def _tell(self, answer: Warm | Chunk | UserError) -> None:
        self._answers.append(answer)
        self._heard()

    def _report(self, error: UserError) -> None:
        self._node.get_logger().warning(f'ignored: {error}', throttle_duration_sec=1.0)


def _message(data: bytes) -> UInt8MultiArray:
    # rclpy takes an array as it is, and checks each element of anything else.
    values = array('B')
    values.frombytes(data)
    return UInt8MultiArray(data=values)
