#!/usr/bin/env bash
# Installs from apt what the manifests in src name, the cameras' ROS nodes among it, for the ROS of
# ROS_DISTRO. Python packages are left out: the lock file has them, newer, and Debian's Matplotlib
# beside another one complains at every start.
set -euo pipefail
cd "$(dirname "$0")/.."
rosdep update --rosdistro "$ROS_DISTRO"
left=$(rosdep keys --from-paths src --ignore-src | grep '^python3-' | xargs)
rosdep install --from-paths src --ignore-src --default-yes --skip-keys "$left" "$@"
