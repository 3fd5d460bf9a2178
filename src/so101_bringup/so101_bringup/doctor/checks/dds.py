"""What carries the messages: DDS, its profile, and the memory that it shares."""

import fcntl
import os
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from so101_bringup.doctor.finding import Finding, error, sound, warning
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.subject import Subject
from so101_description.cameras import IMAGE_SHAPE
from so101_node import dds

AREA = 'dds'

# The variable that this ROS's Fast DDS reads.
PROFILE = next(iter(dds.profile()))

NO_PROFILE = error(
    'dds.no_profile',
    'The DDS profile is not set: half of the raw images get lost without it.',
    'source install/setup.bash (or tools/environment.sh) in every terminal that starts nodes',
)
PROFILE_GONE = error(
    'dds.profile_broken',
    'The DDS profile that the environment names cannot be read, so Fast DDS goes without.',
    'unset {variable}, then source install/setup.bash',
)
SMALL_SEGMENT = error(
    'dds.small_segment',
    'The shared memory of the DDS profile holds too few images: they go out as fragments, and get '
    'lost.',
    'unset {variable}, then source install/setup.bash: our profile has 32 MiB',
)
SHM_FULL = error(
    'dds.shm_full',
    'There is too little shared memory in /dev/shm: each node takes 35 MB.',
    'delete what fills it; in a container: ipc: host, or shm_size: 1g',
)
STALE = warning(
    'dds.stale_segments',
    'Nodes that were killed left shared memory behind.',
    'start any node as the user who owns it: it frees that; or restart the computer',
)
DOMAIN = error(
    'dds.domain',
    'ROS_DOMAIN_ID is no domain that Linux has ports for.',
    'export ROS_DOMAIN_ID=0, or another number up to 101',
)
OPEN = warning(
    'dds.open_network',
    'Other computers in the network hear the nodes, and can move the arm.',
    'unset ROS_AUTOMATIC_DISCOVERY_RANGE, then source install/setup.bash: it sets LOCALHOST',
)
OTHER_RMW = warning(
    'dds.other_rmw',
    'Another middleware than Fast DDS is chosen: nothing here was measured with it, and the '
    'profile has no effect.',
    'unset RMW_IMPLEMENTATION',
)
OLD_SWITCH = warning(
    'dds.localhost_only',
    'ROS_LOCALHOST_ONLY, of earlier ROS versions, is set; Jazzy warns at every start, and '
    'takes it before the discovery range.',
    'unset ROS_LOCALHOST_ONLY',
)

# Bytes. Fewer images than this, and a subscriber that is held up for a moment loses one.
_IMAGE = IMAGE_SHAPE[0] * IMAGE_SHAPE[1] * IMAGE_SHAPE[2]
_IMAGES = 8

# Bytes: those of ten nodes, as `record` with its page has.
_NODE = 35_000_000
_ROOM = 10 * _NODE

_LOCK = re.compile(r'fast(rtps|dds)_[0-9a-f]{16}_el')

# On Linux the ports of domains above are those that any program may get.
_MAX_DOMAIN = 101


def find(subject: Subject) -> Iterator[Finding]:
    machine = subject.machine
    found = [*_environment(machine), *_profile(machine), *_memory(machine)]
    yield from found
    if not found:
        free = machine.free_bytes('/dev/shm')
        yield sound(
            AREA,
            f'Fast DDS with a profile for images, '
            f'{f"{free / 1e6:.0f} MB of shared memory free, " if free is not None else ""}'
            f'domain {machine.environment.get("ROS_DOMAIN_ID") or 0}, this computer only',
            shm_free_bytes=free,
        )


def _environment(machine: Machine) -> Iterator[Finding]:
    environment = machine.environment
    rmw = environment.get('RMW_IMPLEMENTATION', '')
    if rmw not in ('', 'rmw_fastrtps_cpp'):
        yield OTHER_RMW.finding(f'RMW_IMPLEMENTATION is {rmw}', rmw=rmw)
    domain = environment.get('ROS_DOMAIN_ID', '')
    if domain and not (domain.isdecimal() and int(domain) <= _MAX_DOMAIN):
        yield DOMAIN.finding(f'ROS_DOMAIN_ID is {domain!r}, not 0 to {_MAX_DOMAIN}', domain=domain)
    if environment.get('ROS_LOCALHOST_ONLY', '') not in ('', '0'):
        yield OLD_SWITCH.finding(f'ROS_LOCALHOST_ONLY is {environment["ROS_LOCALHOST_ONLY"]}')
    elif (scope := environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')) != 'LOCALHOST':
        yield OPEN.finding(
            f'ROS_AUTOMATIC_DISCOVERY_RANGE is {scope or "not set, which means SUBNET"}',
            discovery_range=scope,
        )


def _profile(machine: Machine) -> Iterator[Finding]:
    path = machine.environment.get(PROFILE, '')
    if not path:
        yield NO_PROFILE.finding(f'{PROFILE} is not set')
        return
    text = machine.text(path)
    try:
        sizes = [] if text is None else segment_sizes(text)
    except (ElementTree.ParseError, ValueError) as problem:
        yield PROFILE_GONE.finding(f'{path}: {problem}', variable=PROFILE, file=path)
        return
    if text is None:
        yield PROFILE_GONE.finding(f'{path} cannot be read', variable=PROFILE, file=path)
    elif max(sizes, default=0) < _IMAGES * _IMAGE:
        size = max(sizes, default=0)
        yield SMALL_SEGMENT.finding(
            f'{path}: {f"{size / 1e6:.1f} MB" if size else "no segment size"}, an image has '
            f'{_IMAGE / 1e6:.2f} MB',
            variable=PROFILE,
            file=path,
            segment_bytes=size,
        )


def segment_sizes(profile: str) -> list[int]:
    """Return the sizes of the shared-memory segments that a profile asks for.

    Raises ParseError for what is no XML, ValueError for a size that is no number.
    """
    return [
        int(one.text or '')
        for one in ElementTree.fromstring(profile).iter()
        if one.tag.rpartition('}')[2] == 'segment_size'
    ]


def _memory(machine: Machine) -> Iterator[Finding]:
    free = machine.free_bytes('/dev/shm')
    if free is not None and free < _ROOM:
        total = machine.total_bytes('/dev/shm') or 0
        yield SHM_FULL.finding(
            f'{free / 1e6:.0f} of {total / 1e6:.0f} MB free, ten nodes take {_ROOM / 1e6:.0f}',
            free_bytes=free,
            total_bytes=total,
        )
    left = [name for name in machine.names('/dev/shm') if _LOCK.fullmatch(name)]
    stale = [name for name in left if _is_left(machine, name)]
    if stale:
        size = len(stale) * _NODE / 1e6
        yield STALE.finding(
            f'{len(stale)} of {len(left)} segments in /dev/shm, about {size:.0f} MB, are of '
            'nodes that are gone',
            count=len(stale),
        )


def _is_left(machine: Machine, name: str) -> bool:
    """Return whether nobody holds a segment's lock; a live node does."""
    try:
        descriptor = os.open(machine.path(f'/dev/shm/{name}'), os.O_RDONLY)
    except OSError:
        return False  # gone by now, or another user's, who alone can tell
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
