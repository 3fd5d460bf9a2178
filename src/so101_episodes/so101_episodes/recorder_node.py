"""The recorder: every topic of the suite into one bag per episode, undecoded."""

import shutil
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from rclpy import task
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.serde import SerdeError
from std_msgs.msg import String

from so101_episodes import salvage
from so101_episodes.bag import Channel, message_definitions
from so101_episodes.claim import alone
from so101_episodes.episode import Episode, Mark, new_name
from so101_episodes.joint_reader import JointReader, stamp
from so101_episodes.notes import Notes
from so101_episodes.recording import Recording
from so101_episodes.stream_watch import StreamWatch
from so101_episodes.summary import described
from so101_node.clocks import Clocks
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.mailbox import Mailbox
from so101_node.node import Answer, Node, run
from so101_node.parameters import declare, parameter
from so101_node.topics import (
    ACTION_CHUNK,
    CAMERAS,
    DIAGNOSTICS,
    EPISODE_DISCARD,
    EPISODE_FAIL,
    EPISODE_NOTES,
    EPISODE_REASON,
    EPISODE_START,
    EPISODE_STOP,
    EPISODE_SUCCEED,
    JOINT_STATES,
    JOINT_TRAJECTORY,
    LEADER_STATES,
    REFERENCE,
    SIM_STATE,
    TASK,
    Topic,
)

# Topics with several publishers. The middleware numbers each one's messages, and rclpy does not
# say whose a message is, so what is lost of them cannot be counted.
MANY_PUBLISHERS = (DIAGNOSTICS, JOINT_TRAJECTORY)

# Times the publishers' queues. States fill theirs in half a second, for which a busy machine does
# hold up the recorder; five seconds it does not.
PATIENCE = 10

# Seconds between two looks at what came: sixteen messages at a time.
_TAKE_PERIOD = 0.03

_LONGEST_REASON = 1000  # letters

_JPEG = 'sensor_msgs/msg/CompressedImage'

_NONE = f'no episode is being recorded; {EPISODE_START.name} starts one'


@dataclass(frozen=True)
class Parameters:
    directory: str = parameter('recordings', 'Folder of the episodes')
    checkpoint: str = parameter(
        '', 'Checkpoint that drives the arm: for episode.json, when episodes/notes has none'
    )
    cameras: list[str] = parameter(
        list(CAMERAS), 'Cameras that the robot has', choices=tuple(CAMERAS)
    )
    min_free_mb: int = parameter(500, 'No episode starts with less free space than this', low=0)


@dataclass
class _Live:
    """The episode being recorded; `started` in nanoseconds of system time, `began` monotonic."""

    recording: Recording
    watch: StreamWatch
    started: int
    began: int
    reason: str = ''


def recorded(cameras: Collection[str]) -> tuple[Topic, ...]:
    """Return the topics of an episode with these cameras."""
    return (
        JOINT_STATES,
        REFERENCE,
        JOINT_TRAJECTORY,
        LEADER_STATES,
        ACTION_CHUNK,
        TASK,
        DIAGNOSTICS,
        SIM_STATE,
        *(CAMERAS[name].compressed for name in cameras),
        *(CAMERAS[name].info for name in cameras),
    )


class Recorder(Node):
    """Subscribed from its start, so that an episode's first messages wait for no discovery.

    What takes its time is done in threads: at the desk, episodes are finished and labelled, one
    after the other; beside it, those that a killed recorder left are salvaged.
    """

    def __init__(self) -> None:
        super().__init__('recorder')
        self._settings = declare(self, Parameters)
        self._directory = Path(self._settings.directory)
        self._live: _Live | None = None
        self._last: _Live | None = None
        self._finished: Path | None = None  # the last one, which can be labelled again
        self._ending: Future[Answer] | None = None  # of the last one to be finished
        self._alarm = False  # a mark began that /diagnostics did not tell yet
        self._notes = Notes()
        self._last_task: tuple[bytes, Mapping[str, Any]] | None = None
        self._looked = 0  # at the mailboxes, monotonic nanoseconds
        self._joint_reader = JointReader()
        self._desk = ThreadPoolExecutor(1, thread_name_prefix='desk')
        self._salvager = ThreadPoolExecutor(1, thread_name_prefix='salvage')
        self._stopping = threading.Event()

        self._cameras = self._settings.cameras
        self._mailboxes = {
            Mailbox(self, topic._replace(qos=patient(topic.qos)), raw=True): topic
            for topic in recorded(self._cameras)
        }
        self._channels = [_channel(mail.name, topic) for mail, topic in self._mailboxes.items()]
        name_of = self.resolve_topic_name
        self._many_publishers = {name_of(topic.name) for topic in MANY_PUBLISHERS}
        self._task_topic = name_of(TASK.name)
        self._joints_topic = name_of(JOINT_STATES.name)
        self._image_topics = {
            name_of(CAMERAS[camera].compressed.name): camera for camera in self._cameras
        }
        self.create_timer(_TAKE_PERIOD, self._take)
        self.subscribe(EPISODE_NOTES, self._take_notes)
        self.subscribe(EPISODE_REASON, self._take_reason)
        self.serve(EPISODE_START, self._start)
        self.serve(EPISODE_STOP, lambda _: self._end('unlabelled'))
        self.serve(EPISODE_SUCCEED, lambda _: self._label('success'))
        self.serve(EPISODE_FAIL, lambda _: self._label('failure'))
        self.serve(EPISODE_DISCARD, self._discard)
        self._diagnostics = Diagnostics(self, self._statuses)

    def open(self) -> None:
        self._check_space()  # now, before anything moves, and again for each episode
        message_definitions()  # now, too: reading them would hold up the first episode
        self._salvager.submit(self._salvage).add_done_callback(self._salvaged)

    def close(self) -> None:
        self._stopping.set()
        waiting = self._ending if self._ending and not self._ending.done() else None
        if self._live is not None and self._live.recording.writing.done():  # the disk refused
            self._live.recording.abandon()
        elif self._live is not None:
            live = self._taken()
            waiting = self._finish(live, 'unlabelled', live.reason or 'interrupted')
        self._desk.shutdown()
        self._salvager.shutdown()
        if waiting is not None:
            waiting.result()  # who asked for it hears nothing any more

    # What comes in.

    def _take(self) -> None:
        """Take what came since the last look, in the order in which it came."""
        clocks = Clocks.read()
        now, system = clocks
        mail = [
            (info['received_timestamp'], mailbox.name, data, info)
            for mailbox in self._mailboxes
            for data, info in mailbox.take()
        ]
        mail.sort(key=itemgetter(0))
        live = self._live
        for received, topic, data, info in mail:
            if topic == self._task_topic:
                self._last_task = data, info
            if live is not None:
                live.recording.add(topic, data, info)
                # By the monotonic clock: since the last look, also when the other one was set.
                arrived = min(max(clocks.steady_of(received), self._looked), now)
                self._show(live.watch, topic, arrived, data)
        self._looked = now
        if live is not None:
            self._warn(live.watch.look(now, system))

    def _show(self, watch: StreamWatch, topic: str, arrived: int, data: bytes) -> None:
        with suppress(ValueError, SerdeError):  # what cannot be decoded is in the bag as it is
            if topic == self._joints_topic:
                watch.joint_state(arrived)
                watch.pose(arrived, self._joint_reader.read(data))
            elif topic in self._image_topics:
                message: Any = message_definitions().deserialize_cdr(data, _JPEG)
                jpeg = message.data.tobytes()
                watch.image(self._image_topics[topic], arrived, stamp(data), jpeg)

    def _warn(self, begun: Sequence[Mark]) -> None:
        for mark in begun:
            self.get_logger().warning(f'{mark.text}; it is marked, the episode goes on')
        if begun:
            self._alarm = True
            self._diagnostics.publish()

    def _take_notes(self, message: String) -> None:
        try:
            self._notes = Notes.parse(message.data)
        except UserError as error:
            self.get_logger().warning(f'{EPISODE_NOTES.name}: {error}; it stays {self._notes}')

    def _take_reason(self, message: String) -> None:
        reason = message.data
        if len(reason) > _LONGEST_REASON:
            self.get_logger().warning(
                f'a reason of {len(reason)} letters on {EPISODE_REASON.name}, at most '
                f'{_LONGEST_REASON} are kept'
            )
            reason = reason[:_LONGEST_REASON]
        if self._live is not None:
            self._live.reason = reason
        else:
            change = self._desk.submit(self._change, lambda of: replace(of, reason=reason))
            change.add_done_callback(self._changed)

    # Services.

    def _start(self, _: Any) -> Answer:
        if self._live is not None:
            raise UserError(f'{self._live.recording.path} is being recorded; end it first')
        self._check_space()
        self._take()  # what came before belongs to no episode
        now, system = Clocks.read()
        time_of_day = datetime.fromtimestamp(system / 1e9).strftime('%Y%m%d_%H%M%S')
        draft = self._draft(system)
        try:
            with alone(self._directory):
                name = new_name(self._directory, time_of_day)
                recording = Recording(
                    self._directory, name, self._channels, draft, self._many_publishers
                )
        except OSError as error:
            raise self._unusable(error) from error
        recording.writing.add_done_callback(self._worked)
        watch = StreamWatch(self._cameras, self._joints_topic, now, system)
        self._live = self._last = _Live(recording, watch, system, now)
        self._looked = now
        if self._last_task is not None:  # it was latched before, and holds for this episode
            data, info = self._last_task
            recording.add(self._task_topic, data, {**info, 'received_timestamp': system})
        return True, str(recording.path)

    async def _label(self, outcome: str) -> Answer:
        if self._live is not None:
            return await self._end(outcome)
        return await _outcome(
            self._desk.submit(self._change, lambda of: replace(of, outcome=outcome))
        )

    async def _end(self, outcome: str) -> Answer:
        live = self._taken()
        return await _outcome(self._finish(live, outcome, live.reason))

    async def _discard(self, _: Any) -> Answer:
        recording = self._taken().recording
        await _outcome(self._desk.submit(recording.discard))
        return True, f'{recording.path} discarded'

    def _taken(self) -> _Live:
        """Return what was recorded; it takes no more messages from here on."""
        if self._live is None:
            raise UserError(_NONE)
        self._take()
        live, self._live = self._live, None
        return live

    # At the desk.

    def _finish(self, live: _Live, outcome: str, reason: str) -> Future[Answer]:
        now, system = Clocks.read()
        episode = replace(
            self._draft(live.started),
            outcome=outcome,
            reason=reason,
            ended=system,
            duration_s=(now - live.began) * 1e-9,
            marks=live.watch.marks(now),
        )

        def finish() -> Answer:
            self._finished = live.recording.finish(episode, described)
            return True, str(self._finished)

        self._ending = self._desk.submit(finish)
        return self._ending

    def _change(self, changed: Callable[[Episode], Episode]) -> Answer:
        """Rewrite the episode.json of the last episode."""
        if self._finished is None:
            raise UserError(_NONE)
        try:
            changed(Episode.load(self._finished)).save(self._finished)
        except OSError as error:
            raise UserError(
                f'cannot write {self._finished}: {error.strerror}; its label stays as it was'
            ) from error
        return True, str(self._finished)

    def _changed(self, change: Future[Answer]) -> None:
        error = change.exception()
        if isinstance(error, UserError):
            self.get_logger().warning(f'{EPISODE_REASON.name}: {error}')
        else:
            self._worked(change)

    def _salvaged(self, work: Future[None]) -> None:
        """What is wrong with an old episode must not end the recording of a new one."""
        if (error := work.exception()) is not None:
            self.get_logger().error(f'salvaging stopped: {error!r}; what was left stays as it is')

    def _salvage(self) -> None:
        log = self.get_logger()
        with suppress(salvage.Stopped):
            salvage.salvage(self._directory, log.info, log.warning, self._stopping.is_set)

    def _worked(self, work: Future[Any]) -> None:
        if (error := work.exception()) is not None:
            self.end(error)

    # What is known.

    def _draft(self, started: int) -> Episode:
        """Return what is known by now of the episode that began at `started`."""
        task = deserialize_message(self._last_task[0], TASK.type).data if self._last_task else ''
        checkpoint = self._notes.checkpoint or self._settings.checkpoint
        return Episode.begun(started, self._notes.kind, task, checkpoint, self._notes.place)

    def _check_space(self) -> None:
        """Raise UserError unless the directory, made when absent, has room for an episode."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._directory).free // 1_000_000
        except OSError as error:
            raise self._unusable(error) from error
        if free < self._settings.min_free_mb:
            raise UserError(
                f'{self._directory} has {free} MB free, an episode needs '
                f'{self._settings.min_free_mb}: make room there, or choose another directory'
            )

    def _unusable(self, error: OSError) -> UserError:
        return UserError(f'parameter directory: cannot use {self._directory}: {error.strerror}')

    def _statuses(self) -> list[Status]:
        live, last = self._live, self._last
        lost = last.recording.lost if last else 0
        values = {
            'state': 'recording' if live else 'idle',
            'path': str(last.recording.path) if last else '',
            'messages': last.recording.messages if last else 0,
            'lost': lost,
            'marks': last.watch.number if last else 0,
            'mark': last.watch.latest if last else '',
        }
        alarm, self._alarm = self._alarm or bool(live and live.watch.lasting), False
        texts = [last.watch.latest] if last and alarm else []
        texts.append(f'{lost} messages lost' if lost else 'no message lost')
        level = Level.WARN if lost or alarm else Level.OK
        return [Status('recorder/episode', level, '; '.join(texts), values)]


async def _outcome[T](work: Future[T]) -> T:
    """Wait for a thread's work; other callbacks are called meanwhile."""
    done = task.Future()
    work.add_done_callback(done.set_result)
    return (await done).result()


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
