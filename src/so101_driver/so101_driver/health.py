"""The driver's statuses on /diagnostics."""

import time

from so101_description.joints import JOINTS
from so101_driver.arm import Arm, State
from so101_driver.control_loop import ControlLoop
from so101_node.diagnostics import Level, Status


class Health:
    """Call `statuses` once a period: the rate is that since the last call."""

    def __init__(self, arm: Arm, loop: ControlLoop) -> None:
        self._arm = arm
        self._loop = loop
        self._counted = (time.monotonic(), 0)

    def statuses(self) -> list[Status]:
        return [self._arm_status(), self._bus_status(), *self._joint_statuses()]

    def _arm_status(self) -> Status:
        arm, state = self._arm, self._arm.state
        level = {State.FAULT: Level.ERROR, State.DISCONNECTED: Level.ERROR}.get(state, Level.OK)
        return Status(
            'driver/arm',
            level,
            arm.fault or state,
            {
                'state': state,
                'reason': arm.fault,
                'port': self._loop.path,
                'trajectories_received': arm.received,
                'trajectories_rejected': arm.rejected,
                'trajectories_started': arm.started,
                'last_rejection': arm.last_rejection,
            },
        )

    def _bus_status(self) -> Status:
        loop, (then, cycles) = self._loop, self._counted
        self._counted = (time.monotonic(), loop.cycles)
        rate = (self._counted[1] - cycles) / (self._counted[0] - then)
        return Status(
            'driver/bus',
            Level.OK if self._arm.connected else Level.ERROR,
            f'{rate:.0f} Hz',
            {
                'rate_hz': rate,
                'period_p99_ms': loop.period.percentile(99) * 1e3,
                'cycle_p50_ms': loop.cycle.percentile(50) * 1e3,
                **loop.counters,
            },
        )

    def _joint_statuses(self) -> list[Status]:
        states = self._arm.states
        if states is None:
            return []
        statuses = []
        for index, joint in enumerate(JOINTS):
            faults = ', '.join(states.faults(index))
            statuses.append(
                Status(
                    f'driver/{joint}',
                    Level.ERROR if faults else Level.OK,
                    faults or 'ok',
                    {
                        'temperature_c': int(states.temperature[index]),
                        'voltage_v': float(states.voltage[index]),
                        'current_a': float(states.current[index]),
                        'load_percent': float(states.load[index]),
                        'faults': faults,
                    },
                )
            )
        return statuses
