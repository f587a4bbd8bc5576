# Sourced by the scripts beside it: make the virtual environment .venv of this checkout, whatever the machine lacks.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv

say() { printf '== %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# A setting meant for another Python would send packages elsewhere or import the wrong ones.
unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT VIRTUAL_ENV
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
# One core a process: a linear-algebra library that starts its own threads slows two test workers down.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
[ -d "${HOME:-}" ] && [ -w "${HOME:-}" ] || HOME=$(mktemp -d)
export HOME
exec </dev/null

# as_root COMMAND...: run it as root, or fail where nobody may
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

# install_debian PACKAGE...: install Debian packages; a failure is the caller's to judge
install_debian() {
    command -v apt-get >/dev/null || return 1
    if [ -z "${apt_updated:-}" ]; then
        as_root apt-get -qq -o DPkg::Lock::Timeout=300 update || return 1
        apt_updated=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@" >/dev/null
}

# usable PYTHON: is it new enough, and can it make a virtual environment with pip?
# It is run, not only looked up: a version manager's stub stands on the PATH even for a version that is not there.
usable() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 /usr/bin/python3 python3.13 python3.12 python3.11 python3.14; do
        if usable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Debian keeps ensurepip in python3-venv; releases whose python3 is older than 3.11 carry a newer one under its own name.
need_python() {
    local package
    python=$(find_python) && return
    say "installing Python from Debian packages"
    for package in python3-venv python3.13-venv python3.12-venv python3.11-venv; do
        install_debian "$package" && python=$(find_python) && return
    done
    fail "no Python 3.11 or newer with its venv module; install one (Debian, Ubuntu: python3-venv) or name it in PYTHON"
}

# A directory that was moved or copied keeps scripts that start the Python of the old place.
healthy() {
    "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 &&
        grep -qF "$venv/bin/python" "$venv/bin/pip" 2>/dev/null
}

# install_package EXTRAS: the package itself, in place, with its optional dependencies
install_package() {
    local stamp tag
    if ! healthy; then
        need_python
        say "making the virtual environment .venv with $("$python" --version)"
        "$python" -m venv --clear "$venv" || fail "$python could not make the virtual environment $venv"
    fi
    # the version comes from the last tag, and is written down when the package is installed
    tag=$(git -C "$root" describe --tags --abbrev=0 2>/dev/null || true)
    stamp=$(cat "$root/pyproject.toml" "$root/setup.py" - <<<"$tag" | cksum)
    if [ "$(cat "$venv/.installed-$1" 2>/dev/null)" != "$stamp" ]; then
        say "installing nrespipe and what it needs (a few minutes the first time)"
        "$venv/bin/python" -m pip install --quiet --editable "$root${1:+[$1]}" || fail "pip could not install nrespipe"
        printf '%s\n' "$stamp" >"$venv/.installed-$1"
    fi
}
