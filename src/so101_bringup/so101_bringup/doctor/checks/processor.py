"""Whether the processor may run at full speed, and has time."""

from collections.abc import Iterator

from so101_bringup.doctor.finding import Finding, sound, warning
from so101_bringup.doctor.machine import Machine
from so101_bringup.doctor.subject import Subject

AREA = 'processor'

POWERSAVE = warning(
    'processor.powersave',
    'The processor is told to save power: the driver wakes up late, and inference takes longer.',
    'powerprofilesctl set performance; or sudo cpupower frequency-set -g performance',
)
BUSY = warning(
    'processor.busy',
    'More programs want to run than there are cores: the arm may pause, and frames get lost.',
    'end other programs; top shows them',
)

_CPU = '/sys/devices/system/cpu'

# Drivers whose powersave means: as fast as there is work. Their hint says what is wanted.
_DYNAMIC = ('intel_pstate', 'amd-pstate-epp')
_SAVING_HINT = 'power'

# Programs a core, on average of the last minute.
_BUSY = 1.25


def find(subject: Subject) -> Iterator[Finding]:
    machine = subject.machine
    found = list(_governors(machine))
    load, cores = machine.load()
    if load > _BUSY * cores:
        found.append(BUSY.finding(f'{load:.1f} programs on {cores} cores', load=load, cores=cores))
    yield from found
    if not found:
        governor = machine.text(f'{_CPU}/cpu0/cpufreq/scaling_governor')
        said = f'governor {governor}' if governor else 'the host decides on its speed'
        yield sound(AREA, f'{cores} cores, load {load:.1f}, {said}', load=load, cores=cores)


def _governors(machine: Machine) -> Iterator[Finding]:
    for core in machine.names(_CPU):
        folder = f'{_CPU}/{core}/cpufreq'
        governor = machine.text(f'{folder}/scaling_governor')
        driver = machine.text(f'{folder}/scaling_driver')
        hint = machine.text(f'{folder}/energy_performance_preference')
        dynamic = driver in _DYNAMIC
        if governor == 'powersave' and (not dynamic or hint == _SAVING_HINT):
            yield POWERSAVE.finding(
                f'{core}: governor {governor}{f", hint {hint}" if hint else ""} ({driver})',
                core=core,
                governor=governor,
                hint=hint,
            )
            return  # the others are alike
