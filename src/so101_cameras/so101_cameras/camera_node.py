"""The node that is a camera: reads one source, publishes its frames as they come."""

import time
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

from so101_cameras import intrinsics
from so101_cameras.capture import Capture
from so101_cameras.publisher import CameraPublisher, camera_info
from so101_cameras.sources.kernel import Kernel
from so101_cameras.sources.source import DamagedFrame, Delivery, Frame, Settings, Source
from so101_cameras.sources.v4l2 import V4l2Source
from so101_cameras.stream_status import StreamStatus
from so101_description.cameras import CAMERAS, IMAGE_SHAPE
from so101_node.diagnostics import Diagnostics
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter

# Seconds that the camera may take to let go of at the end.
_CLOSING = 5.0


@dataclass(frozen=True)
class Parameters(Settings):
    camera: str = parameter(
        'wrist', 'Which camera of the robot it is: its topics', choices=tuple(CAMERAS)
    )
    source: str = parameter(
        'v4l2',
        'What gives the frames: a USB camera, an Intel RealSense, a video or LeRobot dataset',
        choices=('v4l2', 'realsense', 'video'),
    )
    device: str = parameter(
        '',
        'Which one: serial number, USB port (1-2), a path such as /dev/v4l/by-id/..., or empty '
        'for the only camera; of a video its file, or the folder of a dataset',
    )
    width: int = parameter(IMAGE_SHAPE[1], 'Width of the images, pixels', low=16, high=4096)
    height: int = parameter(IMAGE_SHAPE[0], 'Height of the images, pixels', low=16, high=4096)
    fps: float = parameter(30.0, 'Frames per second', low=1, high=240)
    loop: bool = parameter(True, 'Play a video again and again; false: the node ends with it')
    episode: int = parameter(0, 'Which episode of a dataset is played', low=0, high=1_000_000)
    camera_info: str = parameter(
        '', 'File of intrinsics that camera_calibration wrote; empty: those the camera itself has'
    )


def source_of(settings: Parameters, kernel: Kernel) -> Source:
    """Return the source that the parameters name; V4L2 cameras are those of `kernel`.

    What only one kind of source needs is imported for that one.
    """
    device, width, height = settings.device, settings.width, settings.height
    match settings.source:
        case 'realsense':
            from so101_cameras.sources.realsense import RealSenseSource

            return RealSenseSource(device, width, height, settings.fps, settings)
        case 'video':
            from so101_cameras.sources.video import VideoSource

            return VideoSource(
                device,
                width,
                height,
                loop=settings.loop,
                camera=settings.camera,
                episode=settings.episode,
            )
        case 'v4l2':
            return V4l2Source(device, width, height, settings.fps, settings, kernel=kernel)
        case source:
            raise ValueError(f'no source {source}: parameter source has a choice too many')


class CameraNode(Node):
    def __init__(self, kernel: Kernel | None = None) -> None:
        """`kernel` has the V4L2 cameras; the running one if None."""
        super().__init__('camera')
        self._settings = settings = declare(self, Parameters)
        self._calibrated = None
        if settings.camera_info:
            self._calibrated = intrinsics.load(
                Path(settings.camera_info), settings.width, settings.height
            )
        self._publisher = CameraPublisher(
            self,
            settings.camera,
            camera_info(
                self._calibrated or intrinsics.uncalibrated(settings.width, settings.height)
            ),
        )
        self._capture = Capture(
            source_of(settings, kernel or Kernel()), self._deliver, self._opened, self._failed
        )
        self._status = StreamStatus(
            f'{settings.camera}_camera/stream', self._capture.stream, settings.fps
        )
        self._diagnostics = Diagnostics(self, lambda: [self._status.status(time.monotonic())])
        self._thread = futures.ThreadPoolExecutor(1, 'capture')
        self._running: futures.Future[None] | None = None

    def open(self) -> None:
        self._running = self._thread.submit(self._capture.run)
        self._running.add_done_callback(lambda _: self.end())

    def close(self) -> None:
        """Wait until the camera is let go of; raises what its thread ended with."""
        self._capture.stop()
        if self._running is None:
            return
        try:
            self._running.result(_CLOSING)
        except TimeoutError as error:
            raise UserError(
                "the camera's driver does not answer: unplug the camera and plug it in again; its "
                'former settings are restored at the next start'
            ) from error

    def _deliver(self, frame: Frame) -> None:
        try:
            self._publisher.publish(frame.image, frame.captured)
        except ValueError as error:
            raise DamagedFrame(str(error), frame.number) from error

    def _opened(self, delivery: Delivery) -> None:
        if delivery.intrinsics and not self._calibrated:
            self._publisher.info = camera_info(delivery.intrinsics)
        rate = f' at {delivery.rate:g} Hz' if delivery.rate else ''
        self.get_logger().info(
            f'{delivery.device}, {delivery.link}: {delivery.width}x{delivery.height} '
            f'{delivery.encoding}{rate}'
        )
        for warning in delivery.warnings:
            self.get_logger().warning(warning)

    def _failed(self, reason: str) -> None:
        self.get_logger().error(reason)


def main() -> None:
    run(CameraNode)


if __name__ == '__main__':
    main()
