"""How chunks are executed unless somebody says otherwise, in the graph and in lockstep; pure."""

from so101_policy.plan import Limits
from so101_policy.schedule import Mode

MODE = Mode.RTC
INTERVAL = 10  # actions from one observation to the next
LIMITS = Limits(velocity=3.0, acceleration=15.0, jerk=400.0)
