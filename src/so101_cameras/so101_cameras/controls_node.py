"""The node that holds exposure, gain, white balance and focus of a camera that another node reads.

ROS's usb_cam sets them by names that kernels since 5.14 do not have, and never restores them.
"""

from dataclasses import dataclass

from so101_cameras.sources.control_watch import ControlWatch
from so101_cameras.sources.kernel import Kernel
from so101_cameras.sources.source import Settings, SourceError
from so101_node.diagnostics import Diagnostics, Level, Status
from so101_node.error import UserError
from so101_node.node import Node, run
from so101_node.parameters import declare, parameter


@dataclass(frozen=True)
class Parameters(Settings):
    device: str = parameter(
        '', 'Serial number, USB port (1-2) or path of the camera; empty for the only one'
    )


class ControlsNode(Node):
    def __init__(self, kernel: Kernel | None = None) -> None:
        """`kernel` has the V4L2 cameras; the running one if None."""
        super().__init__('controls')
        given = declare(self, Parameters)
        self._watch = ControlWatch(given.device, given, kernel=kernel)
        self._problem = ''
        self._diagnostics = Diagnostics(self, self._statuses)
        self.create_timer(1.0, self._look)

    def open(self) -> None:
        self._look()

    def close(self) -> None:
        self._watch.close()

    def _look(self) -> None:
        applied = self._watch.applied
        try:
            problem = '; '.join(self._watch.look())
        except SourceError as error:
            problem = str(error)
        except UserError as error:
            return self.end(error)
        if problem and problem != self._problem:
            self.get_logger().error(problem)
        self._problem = problem
        if self._watch.applied > applied:
            self.get_logger().info(f'{self._watch.camera}: set')
        return None

    def _statuses(self) -> list[Status]:
        watch = self._watch
        level = Level.OK if not self._problem else Level.WARN if watch.camera else Level.ERROR
        values: dict[str, str | int] = {'camera': watch.camera, 'applied': watch.applied}
        return [Status(f'{self.get_name()}/settings', level, self._problem or 'as asked', values)]


def main() -> None:
    run(ControlsNode)


if __name__ == '__main__':
    main()
