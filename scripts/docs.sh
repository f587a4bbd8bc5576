#!/usr/bin/env bash
# Build the manual into docs/_build/html, warnings being errors; with "serve", show it at http://127.0.0.1:8000 as well.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
[ "${1:-serve}" = serve ] || fail "usage: scripts/docs.sh [serve [PORT]]"

install_package "test,docs"
"$venv/bin/sphinx-build" -W --keep-going -q -j 2 -b html docs docs/_build/html
say "the manual is docs/_build/html/index.html"
if [ "${1:-}" = serve ]; then
    exec "$venv/bin/python" -m http.server --bind 127.0.0.1 --directory docs/_build/html "${2:-8000}"
fi
