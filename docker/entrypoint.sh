#!/usr/bin/env bash
# Sources ROS, the Python environment and the workspace, then becomes the command that it was given.
set -e
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
source "$root/tools/environment.sh"
exec "$@"
