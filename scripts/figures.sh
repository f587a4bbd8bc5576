#!/usr/bin/env bash
# Draw the figures of the manual that the code would draw differently now; --check names them, --all draws every one.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

install_package "test,docs"
cd "$root/docs"
exec "$venv/bin/python" -m figures "$@"
