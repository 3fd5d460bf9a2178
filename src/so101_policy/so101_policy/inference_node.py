"""The inference node: a policy for a robot on another machine, see RemoteInference.

It runs where the GPU is, and holds nothing that moves.
"""

import os
import time
import uuid
from array import array
from dataclasses import dataclass
from pathlib import Path

from rclpy.duration import Duration
from std_msgs.msg import String, UInt8MultiArray

from so101_node import topics
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.samples import Samples
from so101_policy import checkpoint, inference_message
from so101_policy.inference import Chunk, Inference, InferenceEnded, Warm
from so101_policy.inference_message import Hello, Name, Request

# Seconds between two signs of life.
HELLO_PERIOD = 0.5

# Seconds for the last hello to arrive.
_FAREWELL = 1.0


@dataclass(frozen=True)
class Parameters:
    checkpoint: str = parameter('', 'Folder of a LeRobot checkpoint, or of a training run')
    device: str = parameter('auto', 'Where the model runs', choices=('auto', 'cpu', 'cuda'))
    threads: int = parameter(0, 'CPU threads of the model; 0: half of the cores', low=0)
    inference_timeout: float = parameter(
        30.0, 'Seconds after which an inference is given up and begun anew', low=0.1
    )


class InferenceNode(Node):
    def __init__(self) -> None:
        super().__init__('inference')
        self._settings = declare(self, Parameters)
        if not self._settings.checkpoint:
            raise UserError('parameter checkpoint: none given; give the folder of a checkpoint')
        self._checkpoint = checkpoint.read(Path(self._settings.checkpoint))
        self._described = self._checkpoint.to_json()
        self._inference: Inference | None = None
        self._session = uuid.uuid4().hex
        self._warm: Warm | None = None
        self._reason = ''  # why the last session ended
        self._fatal = ''  # why this node ends
        self._next: Request | None = None  # the newest one, while another is inferred
        self._name: Name | None = None  # of the request being inferred
        self._asked_at: float | None = None  # when its inference began, by the monotonic clock
        self._episode: tuple[str, int] | None = None  # of the last request: client, episode

        # Reported on /diagnostics.
        self._inference_time = Samples()  # seconds
        self._served = 0
        self._replaced = 0  # by a newer one before their turn came
        self._bad = 0  # not what a robot sends

        self._hellos = self.publisher(topics.INFERENCE_HELLO)
        self._answers = self.publisher(topics.INFERENCE_ANSWER)
        self.subscribe(topics.INFERENCE_REQUEST, self._take)
        self.create_timer(HELLO_PERIOD, self._say_hello)
        Diagnostics(self, lambda: [self._status()])

    def open(self) -> None:
        heard = self.create_guard_condition(self._answered)
        threads = self._settings.threads or max(1, (os.cpu_count() or 1) // 2)
        self._inference = Inference(
            self._checkpoint, self._settings.device, threads, heard.trigger
        )
        self._say_hello()

    def close(self) -> None:
        if self._inference is not None:
            self._inference.close()
        self._hello('ended', self._fatal or 'its node was stopped')
        self._hellos.wait_for_all_acked(Duration(seconds=_FAREWELL))

    # Requests.

    def _take(self, message: UInt8MultiArray) -> None:
        try:
            asked = inference_message.decode_request(bytes(message.data))
        except UserError as error:
            self._report(error)
            return
        self._replaced += self._next is not None
        self._next = asked
        self._serve()

    def _serve(self) -> None:
        """Start the inference of the newest request, if none is under way."""
        assert self._inference is not None
        asked = self._next
        if asked is None or self._warm is None or self._inference.busy:
            return
        self._next = None
        try:
            self._checkpoint.check_cameras(asked.jpegs)
            observation = asked.observation()
        except UserError as error:
            self._report(error)
            return
        episode = (asked.name.client, asked.episode)
        if episode != self._episode:
            self._inference.reset()
            self._episode = episode
        self._name = asked.name
        self._asked_at = time.monotonic()
        self._inference.ask(observation, asked.task, asked.guidance)

    def _report(self, error: UserError) -> None:
        self._bad += 1
        self.get_logger().warning(f'ignored: {error}', throttle_duration_sec=1.0)

    # Answers.

    def _answered(self) -> None:
        assert self._inference is not None
        try:
            while answer := self._inference.poll():
                if isinstance(answer, Warm):
                    self._warm = answer
                    self._say_hello()
                else:
                    self._answer(answer)
                self._serve()
        except InferenceEnded as error:
            self.get_logger().warning(f'{error}; it is started again')
            self._begin_anew(str(error))
        except UserError as error:
            self._fatal = str(error)
            self.end(error)

    def _answer(self, chunk: Chunk) -> None:
        self._asked_at = None
        assert self._name is not None
        data = array('B')
        data.frombytes(inference_message.encode_answer(self._name, chunk))
        self._answers.publish(UInt8MultiArray(data=data))
        self._inference_time.add(chunk.seconds)
        self._served += 1

    def _begin_anew(self, reason: str) -> None:
        assert self._inference is not None
        self._session = uuid.uuid4().hex
        self._warm = None
        self._reason = reason
        self._next = None  # whoever asked hears that it is forgotten
        self._asked_at = None
        self._episode = None
        self._inference.restart()
        self._say_hello()

    # Health.

    def _say_hello(self) -> None:
        timeout = self._settings.inference_timeout
        if self._asked_at is not None and time.monotonic() - self._asked_at > timeout:
            self._begin_anew(f'no chunk for {timeout:g} s')
        self._hello('warm' if self._warm else 'loading', self._reason)

    def _hello(self, state: str, reason: str) -> None:
        seconds, guided = (self._warm.seconds, self._warm.guided) if self._warm else (0.0, False)
        hello = Hello(self._session, state, seconds, guided, reason[:500], self._described)
        self._hellos.publish(String(data=hello.encode()))

    def _status(self) -> Status:
        values: dict[str, str | float | int | bool] = {
            'checkpoint': str(self._checkpoint.path),
            'served': self._served,
            'replaced': self._replaced,
            'bad': self._bad,
        }
        for q in (50, 95):
            values[f'inference_p{q}_ms'] = 1e3 * self._inference_time.percentile(q)
        message = 'ready' if self._warm else 'loading'
        level = Level.OK
        if self._bad or self._reason:
            level = Level.WARN
            message += f'; {self._bad} requests were ignored' if self._bad else ''
            message += f'; before: {self._reason}' if self._reason else ''
        return Status('inference/requests', level, message, values)


def main() -> None:
    run(InferenceNode)


if __name__ == '__main__':
    main()
