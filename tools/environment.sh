# shellcheck shell=bash
# Source this: Python of .venv (or of SO101_VENV), the built workspace, and ROS 2: from the wheels in
# .venv, or from the installation that .venv was made for. Bash.
_so101_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
_so101_venv=${SO101_VENV:-$_so101_root/.venv}
if [ -f "$_so101_venv/.ros" ]; then
    _so101_ros=/opt/ros/$(cat "$_so101_venv/.ros")
    if [[ ":${AMENT_PREFIX_PATH:-}:" != *":$_so101_ros:"* && -f $_so101_ros/setup.bash ]]; then
        # shellcheck source=/dev/null
        source "$_so101_ros/setup.bash"
    fi
elif [ -n "${ROS_DISTRO:-}" ]; then
    echo "$_so101_venv has a ROS of its own, and ROS $ROS_DISTRO is sourced: they do not mix." \
        'Remove the folder and run make build, or open a terminal without ROS.' >&2
    return 1
else
    export AMENT_PREFIX_PATH="$_so101_venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
fi
export PATH="$_so101_venv/bin:$PATH"
# Models are local folders; nothing is looked up on a hub while the arm runs.
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
if [ -f "$_so101_root/install/local_setup.bash" ]; then
    # shellcheck source=/dev/null
    source "$_so101_root/install/local_setup.bash"
fi
unset _so101_root _so101_venv _so101_ros
