# Source this: Python of .venv, the built workspace, ROS 2 from the wheels (or from the ROS that is
# already sourced). Bash.
_so101_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH="$_so101_root/.venv/bin:$PATH"
export AMENT_PREFIX_PATH="$_so101_root/.venv${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
# Models are local folders; nothing is looked up on a hub while the arm runs.
export HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
if [ -f "$_so101_root/install/local_setup.bash" ]; then
    # shellcheck source=/dev/null
    source "$_so101_root/install/local_setup.bash"
fi
unset _so101_root
