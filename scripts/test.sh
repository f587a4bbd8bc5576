#!/usr/bin/env bash
# Check style and types, build the manual, and run all tests; "quick" leaves out the manual and the slow tests.
# Further arguments go to pytest.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

install_package "test,docs"

failed=()
check() {
    local name=$1
    shift
    say "$name: $*"
    "$@" || failed+=("$name")
}
check style "$venv/bin/ruff" check
check format "$venv/bin/ruff" format --check
check types "$venv/bin/mypy"
check rooms "$venv/bin/python" scripts/house.py
# once, and not in every process that runs tests
check kernels "$venv/bin/nrespipe" compile
if [ "${1:-}" = quick ]; then
    shift
    set -- -m "not slow" "$@"
else
    check manual "$venv/bin/sphinx-build" -W --keep-going -q -j 2 -b html docs docs/_build/html
fi
# the tests run last, so that their summary is the end of the output
check tests "$venv/bin/pytest" -q -n 3 --dist worksteal -r fEs --durations=20 "$@"

if [ "${#failed[@]}" -gt 0 ]; then
    fail "failed: ${failed[*]}"
fi
