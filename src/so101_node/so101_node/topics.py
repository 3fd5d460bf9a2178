"""Every topic and service of the suite: relative name, type, QoS, meaning. Said once, here."""

from typing import Any, NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point
from nav_msgs.msg import Path
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Bool, String, UInt8MultiArray
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from so101_description import cameras
from so101_node import qos


class Topic(NamedTuple):
    name: str
    type: type[Any]
    qos: QoSProfile
    meaning: str

    @property
    def type_name(self) -> str:
        """The type as bags name it: 'sensor_msgs/msg/JointState'."""
        return f'{self.type.__module__.split(".")[0]}/msg/{self.type.__name__}'


class Service(NamedTuple):
    name: str
    type: type[Any]
    meaning: str


class CameraTopics(NamedTuple):
    image: Topic
    compressed: Topic
    info: Topic


JOINT_STATES = Topic(
    'joint_states',
    JointState,
    qos.STATE,
    'measured position and velocity, stamped when the bus answered',
)
JOINT_TRAJECTORY = Topic(
    'arm_controller/joint_trajectory',
    JointTrajectory,
    qos.COMMAND,
    'the only way to move the arm; the semantics of joint_trajectory_controller',
)
REFERENCE = Topic(
    'arm_controller/reference',
    JointState,
    qos.STATE,
    'what the servos were told at that instant: the action of every dataset',
)
LEADER_STATES = JOINT_STATES._replace(
    name='leader/joint_states', meaning='where a hand moves the leader arm; as joint_states'
)
LEADER_TRAJECTORY = JOINT_TRAJECTORY._replace(
    name='leader/arm_controller/joint_trajectory',
    meaning='moves the leader arm to the pose of the other one before a hand takes it',
)
ACTION_CHUNK = Topic(
    'policy/action_chunk',
    JointTrajectory,
    qos.COMMAND,
    'each chunk as predicted, stamped with its observation',
)
TASK = Topic('policy/task', String, qos.LATCHED, 'the instruction')
POLICY_CHECKPOINT = Topic(
    'policy/checkpoint',
    String,
    qos.LATCHED,
    'the checkpoint to be used from now on; the policy is ready again once it is warm',
)
CHUNK_PATH = Topic(
    'policy/path', Path, qos.COMMAND, 'the way of the gripper through the chunk, to be looked at'
)
EPISODE_NOTES = Topic(
    'episodes/notes',
    String,
    qos.LATCHED,
    'what episode.json is to hold of the episodes from now on: a JSON object of kind, '
    'checkpoint, place',
)
EPISODE_REASON = Topic(
    'episodes/reason',
    String,
    qos.COMMAND,
    'why the episode being recorded, or the last one, ended as it did',
)
INFERENCE_REQUEST = Topic(
    'policy/inference/request',
    UInt8MultiArray,
    qos.NEWEST,
    'to another machine: an observation to be inferred, its images as JPEG',
)
INFERENCE_ANSWER = Topic(
    'policy/inference/answer', UInt8MultiArray, qos.NEWEST, 'from another machine: its actions'
)
INFERENCE_HELLO = Topic(
    'policy/inference/hello',
    String,
    qos.LATCHED,
    'from another machine, twice a second: its checkpoint, and whether it is warm',
)
DIAGNOSTICS = Topic(
    '/diagnostics', DiagnosticArray, qos.STATE, 'health of the servos, cameras, policy, recorder'
)
SIM_STATE = Topic(
    'sim/state',
    JointState,
    qos.STATE,
    'simulation only: every coordinate of the world, 30 Hz; frame_id: the seed of the last reset',
)
SIM_SUCCESS = Topic(
    'sim/success', Bool, qos.LATCHED, 'simulation only: the cube lies at rest in the bowl'
)
SIM_PLACE = Topic(
    'sim/place', Point, qos.LATCHED, 'simulation only: where the next sim/reset puts the cube'
)
SIM_FAULT = Topic(
    'sim/fault', String, qos.COMMAND, 'simulation only: a fault to switch on or off, as text'
)


def _camera_topics(name: str, base: str) -> CameraTopics:
    return CameraTopics(
        Topic(f'{base}/image_raw', Image, qos.IMAGE, f'{name} image, rgb8'),
        Topic(f'{base}/image_raw/compressed', CompressedImage, qos.IMAGE, f'{name} image, JPEG'),
        Topic(f'{base}/camera_info', CameraInfo, qos.IMAGE, f'{name} camera intrinsics'),
    )


CAMERAS = {name: _camera_topics(name, camera.topic) for name, camera in cameras.CAMERAS.items()}

ARM_TORQUE = Service('arm/torque', SetBool, 'switch the torque of all servos')
ARM_STOP = Service('arm/stop', Trigger, 'stop and hold; latched until arm/clear_fault')
ARM_CLEAR_FAULT = Service('arm/clear_fault', Trigger, 'leave the stopped or faulted state')
LEADER_TORQUE = Service('leader/arm/torque', SetBool, 'the same for the leader arm')
TELEOP_ENABLE = Service('teleop/enable', SetBool, 'let the leader arm move the arm, or hold it')
POLICY_ENABLE = Service(
    'policy/enable', SetBool, 'let the policy move the arm, or hold it; served once it is warm'
)
POLICY_RESET = Service('policy/reset', Trigger, 'forget what came before: a new episode')
EPISODE_START = Service('episodes/start', Trigger, 'start recording an episode')
EPISODE_STOP = Service('episodes/stop', Trigger, 'end the episode without a label')
EPISODE_SUCCEED = Service(
    'episodes/succeed', Trigger, 'end the episode as a success, or label the last one so'
)
EPISODE_FAIL = Service(
    'episodes/fail', Trigger, 'end the episode as a failure, or label the last one so'
)
EPISODE_DISCARD = Service('episodes/discard', Trigger, 'end the episode and delete it')
SESSION_NEXT = Service(
    'session/next', Trigger, 'end this episode, or the pause before the next one'
)
SESSION_AGAIN = Service('session/again', Trigger, 'discard the episode and do it again')
SESSION_SUCCEED = Service(
    'session/succeed', Trigger, 'end this episode as a success, or label the last one so'
)
SESSION_FAIL = Service(
    'session/fail', Trigger, 'end this episode as a failure, or label the last one so'
)
SESSION_END = Service('session/end', Trigger, 'discard this episode, go home, end the session')
SIM_RESET = Service('sim/reset', Trigger, 'simulation only: put the cube at the next seeded place')
