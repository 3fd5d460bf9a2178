"""The recorder: every topic of the suite into one bag per episode, undecoded."""

import shutil
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from so101_episodes.bag import Channel, message_definitions
from so101_episodes.episode import new_name
from so101_episodes.recording import Recording
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.mailbox import Mailbox
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter
from so101_node.topics import (
    ACTION_CHUNK,
    CAMERAS,
    DIAGNOSTICS,
    EPISODE_DISCARD,
    EPISODE_FAIL,
    EPISODE_START,
    EPISODE_STOP,
    EPISODE_SUCCEED,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    REFERENCE,
    SIM_STATE,
    TASK,
    Topic,
)

RECORDED = (
    JOINT_STATES,
    REFERENCE,
    JOINT_TRAJECTORY,
    ACTION_CHUNK,
    TASK,
    DIAGNOSTICS,
    SIM_STATE,
    *(topic for camera in CAMERAS.values() for topic in (camera.compressed, camera.info)),
)


# Times the publishers' queues. States fill theirs in half a second, for which a busy machine does
# hold up the recorder; five seconds it does not.
PATIENCE = 10

# Seconds between two looks at what came: sixteen messages at a time.
_TAKE_PERIOD = 0.03


@dataclass(frozen=True)
class Parameters:
    directory: str = parameter('recordings', 'Folder of the episodes')
    checkpoint: str = parameter('', 'Checkpoint that drives the arm, noted in episode.json')
    min_free_mb: int = parameter(500, 'No episode starts with less free space than this', low=0)


class Recorder(Node):
    """Subscribed from its start, so that an episode's first messages wait for no discovery."""

    def __init__(self) -> None:
        super().__init__('recorder')
        self._settings = declare(self, Parameters)
        self._directory = Path(self._settings.directory)
        self._recording: Recording | None = None
        self._last: Recording | None = None
        self._last_task: tuple[bytes, Mapping[str, Any]] | None = None
        self._mailboxes = {
            Mailbox(self, topic._replace(qos=patient(topic.qos)), raw=True): topic
            for topic in RECORDED
        }
        self._channels = [_channel(mail.name, topic) for mail, topic in self._mailboxes.items()]
        self.create_timer(_TAKE_PERIOD, self._take)
        self._many_publishers = {self.resolve_topic_name(DIAGNOSTICS.name)}
        self._task_topic = self.resolve_topic_name(TASK.name)
        self.serve(EPISODE_START, self._start)
        self.serve(EPISODE_STOP, lambda _: self._finish('unlabelled'))
        self.serve(EPISODE_SUCCEED, lambda _: self._finish('success'))
        self.serve(EPISODE_FAIL, lambda _: self._finish('failure'))
        self.serve(EPISODE_DISCARD, self._discard)
        self._diagnostics = Diagnostics(self, self._statuses)

    def open(self) -> None:
        self._check_space()  # now, before anything moves, and again for each episode
        message_definitions()  # now, too: reading them would hold up the first episode

    def close(self) -> None:
        recording = self._recording
        if recording is not None and recording.writing.done():  # the disk refused
            recording.abandon()
        elif recording is not None:
            self._finish('unlabelled', reason='interrupted')

    def _take(self) -> None:
        """Take what came since the last look, in the order in which it came."""
        mail = [
            (info['received_timestamp'], mailbox.name, data, info)
            for mailbox in self._mailboxes
            for data, info in mailbox.take()
        ]
        for _, topic, data, info in sorted(mail, key=itemgetter(0)):
            if topic == self._task_topic:
                self._last_task = data, info
            if self._recording is not None:
                self._recording.add(topic, data, info)

    def _start(self, _: Any) -> tuple[bool, str]:
        if self._recording is not None:
            raise UserError(f'{self._recording.path} is being recorded; end it first')
        self._check_space()
        now = self._now()
        self._take()  # what came before belongs to no episode
        stamp = datetime.fromtimestamp(now / 1e9).strftime('%Y%m%d_%H%M%S')
        self._recording = self._last = Recording(
            self._directory,
            new_name(self._directory, stamp),
            self._channels,
            now,
            self._many_publishers,
        )
        self._recording.writing.add_done_callback(self._written)
        if self._last_task is not None:  # it was latched before, and holds for this episode
            data, info = self._last_task
            self._recording.add(self._task_topic, data, {**info, 'received_timestamp': now})
        return True, str(self._recording.path)

    def _written(self, writing: Future[None]) -> None:
        if (error := writing.exception()) is not None:
            self.end(error)

    def _finish(self, outcome: str, reason: str = '') -> tuple[bool, str]:
        path = self._taken().finish(
            ended=self._now(),
            task=self._task(),
            outcome=outcome,
            reason=reason,
            checkpoint=self._settings.checkpoint,
        )
        return True, str(path)

    def _discard(self, _: Any) -> tuple[bool, str]:
        recording = self._taken()
        recording.discard()
        return True, f'{recording.path} discarded'

    def _taken(self) -> Recording:
        """Return the recording, which takes no more messages from here on."""
        self._take()
        recording, self._recording = self._recording, None
        if recording is None:
            raise UserError(f'no episode is being recorded; {EPISODE_START.name} starts one')
        return recording

    def _task(self) -> str:
        return deserialize_message(self._last_task[0], TASK.type).data if self._last_task else ''

    def _now(self) -> int:
        return self.get_clock().now().nanoseconds

    def _check_space(self) -> None:
        """Raise UserError unless the directory, made when absent, has room for an episode."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._directory).free // 1_000_000
        except OSError as error:
            raise UserError(
                f'parameter directory: cannot use {self._directory}: {error.strerror}'
            ) from error
        if free < self._settings.min_free_mb:
            raise UserError(
                f'{self._directory} has {free} MB free, an episode needs '
                f'{self._settings.min_free_mb}: make room there, or choose another directory'
            )

    def _statuses(self) -> list[Status]:
        last = self._last
        lost = last.lost if last else 0
        values = {
            'state': 'recording' if self._recording else 'idle',
            'path': str(last.path) if last else '',
            'messages': last.messages if last else 0,
            'lost': lost,
        }
        message = f'{lost} messages lost' if lost else 'no message lost'
        return [Status('recorder/episode', Level.WARN if lost else Level.OK, message, values)]


def _channel(name: str, topic: Topic) -> Channel:
    return Channel(
        topic=name,
        type=topic.type_name,
        depth=topic.qos.depth,
        reliable=topic.qos.reliability == ReliabilityPolicy.RELIABLE,
        latched=topic.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    )


def patient(qos: QoSProfile) -> QoSProfile:
    """Return the profile with a queue for a recorder that is held up."""
    return QoSProfile(
        depth=PATIENCE * qos.depth, reliability=qos.reliability, durability=qos.durability
    )


def main() -> None:
    run(Recorder)


if __name__ == '__main__':
    main()
