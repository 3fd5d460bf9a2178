"""A camera's stream on /diagnostics: what is wrong with it, and what to do."""

from so101_cameras.image_rate import SLOW
from so101_cameras.stream import Stream
from so101_node.diagnostics import Level, Status

# Seconds without a frame that are an error.
_OLD = 1.0

# Seconds after which the driver of a device that owes an answer has hung.
_HUNG = 5.0


class StreamStatus:
    """Call `status` once a period: losses are those since the last call."""

    def __init__(self, name: str, stream: Stream, rate: float) -> None:
        """`name` is the status's own, `rate` what was asked for in hertz."""
        self._name = name
        self._stream = stream
        self._rate = rate
        self._counted = stream.counts

    def status(self, now: float) -> Status:
        """Return it at `now`, in seconds of the stream's clock."""
        stream = self._stream
        delivery, counts = stream.delivery, stream.counts
        level, message = self._judged(now)
        self._counted = counts
        values: dict[str, str | float | int | bool] = {'connected': delivery is not None}
        if delivery:
            values |= {
                'device': delivery.device,
                'link': delivery.link,
                'width': delivery.width,
                'height': delivery.height,
                'format': delivery.encoding,
                'rate_hz': stream.rate(now),
                'age_ms': stream.age(now) * 1e3,
                'latency_p50_ms': stream.latency.percentile(50) * 1e3,
                'latency_p95_ms': stream.latency.percentile(95) * 1e3,
            }
        values |= {'asked_rate_hz': self._rate} | vars(counts)
        return Status(self._name, level, message, values)

    def _judged(self, now: float) -> tuple[Level, str]:
        stream, before = self._stream, self._counted
        delivery, counts = stream.delivery, stream.counts
        if (owed := stream.owed(now)) > _HUNG:
            return Level.ERROR, (
                f"the camera's driver has not answered for {owed:.0f} s: unplug the camera, plug "
                'it in again, and restart this node'
            )
        if delivery is None:
            return Level.ERROR, stream.reason
        age, damaged = stream.age(now), counts.damaged - before.damaged
        damage = f'{damaged} damaged ones ({stream.damage})' if damaged else ''
        if age > _OLD:
            others = f', but {damage}' if damaged else ''
            return Level.ERROR, f'no frame for {age:.1f} s{others}: check the cable'
        if damaged:
            return Level.WARN, (
                f'among the frames {damage}: check the cable, or use another USB port'
            )
        if counts.lost > before.lost:
            return Level.WARN, (
                f'{counts.lost - before.lost} frames lost: the computer or the USB bus is busy'
            )
        rate = stream.rate(now)
        if 0 < rate < SLOW * self._rate:
            return Level.WARN, (
                f'{rate:.1f} Hz of {self._rate:g}: more light, a shorter exposure, or another USB '
                'port'
            )
        if delivery.warnings:
            return Level.WARN, '; '.join(delivery.warnings)
        return Level.OK, f'{rate:.1f} Hz'
