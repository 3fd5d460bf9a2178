"""The suite's QoS profiles, each with its reason."""

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# Images: a late frame is worth nothing, so never resend; ten deep so that a subscriber that is
# busy for a third of a second still loses none.
IMAGE = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)

# Joint states and references at hundreds of hertz: every one is recorded, so resend; deep enough
# for half a second.
STATE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)

# Trajectories and chunks: few, and each one matters.
COMMAND = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)

# Over a network that may lose packets: what was lost is sent again, but only of the newest.
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)

# A value that holds until it changes: whoever comes late gets the last one.
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
