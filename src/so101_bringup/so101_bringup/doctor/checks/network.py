"""How much of a burst the kernel keeps for the nodes."""

from collections.abc import Iterator

from so101_bringup.doctor.finding import Finding, skipped, sound, warning
from so101_bringup.doctor.subject import Subject

AREA = 'network'

SMALL_BUFFER = warning(
    'network.small_buffer',
    'The kernel grants sockets less than the DDS profile asks for. Images on this computer do not '
    'mind; bursts between computers, as in remote inference, get lost.',
    "echo 'net.core.{name}=4194304' | sudo tee /etc/sysctl.d/60-so101-{name}.conf && "
    'sudo sysctl --system',
)

# Bytes: receiveBufferSize and sendBufferSize of so101_node/config.
_ASKED = 1_048_576


def find(subject: Subject) -> Iterator[Finding]:
    machine = subject.machine
    sizes = {
        name: machine.number(f'/proc/sys/net/core/{name}') for name in ('rmem_max', 'wmem_max')
    }
    known = {name: size for name, size in sizes.items() if size is not None}
    found = [
        SMALL_BUFFER.finding(f'net.core.{name} is {size}, not {_ASKED}', name=name, bytes=size)
        for name, size in known.items()
        if size < _ASKED
    ]
    yield from found
    if not known:
        yield skipped(AREA, 'no /proc/sys/net/core here')
    elif not found:
        said = ', '.join(f'{name} {size}' for name, size in known.items())
        yield sound(AREA, f'socket buffers: {said}', **known)
