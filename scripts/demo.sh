#!/usr/bin/env bash
# Reduce a small simulated night on the defaults that are built in, and print what came out.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

install_package ""
say "reducing a simulated night; the products go to demo-output/"
exec "$venv/bin/nrespipe" demo "$@"
