#!/usr/bin/env bash
# Start the whole service by one command on the defaults that are built in, bring it a small simulated night, wait until
# every frame is done, and stop it: for a machine that has nothing but Python.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"
longest_s=${1:-3600}

install_package ""
export PATH=$venv/bin:$PATH
unset DB_URL DB_HOST BROKER_URL FITS_BROKER FITS_BROKER_HOST RABBITMQ_HOST NRES_RAW_ROOT
folder=$(mktemp -d)
service=
stop() {
    [ -z "$service" ] || kill -TERM "$service" 2>/dev/null || true
    wait || true
    rm -rf "$folder"
}
trap stop EXIT
export NRES_DATA_ROOT=$folder/reduced

say "starting the service"
nrespipe run 2>"$folder/log" &
service=$!
say "simulating a night and bringing it to the service"
nrespipe simulate night "$folder/archive" --site elp --stars HD102365:100 --bias 2 --dark 2 --flat 2 --arc 2 2>"$folder/simulated"
nrespipe submit "$folder/archive"
n=$(find "$folder/archive" -name '*00.fits.fz' | wc -l)

# n_done: how many frames are done, read beside the service
n_done() {
    python - "$NRES_DATA_ROOT/nrespipe.sqlite" <<'END'
import sqlite3
import sys

with sqlite3.connect(sys.argv[1], timeout=30) as connection:
    print(connection.execute("select count(*) from frames where state = 'done'").fetchone()[0])
END
}

say "waiting until all $n frames are done (the first ones compile the kernels)"
end=$((SECONDS + longest_s))
until [ "$(n_done)" = "$n" ]; do
    kill -0 "$service" 2>/dev/null || { cat "$folder/log" >&2; fail "the service has ended"; }
    [ "$SECONDS" -lt "$end" ] || { nrespipe status; tail -n 50 "$folder/log" >&2; fail "not done in $longest_s s"; }
    sleep 2
done
nrespipe status
nrespipe velocities | grep HD102365
nrespipe doctor
kill -TERM "$service"
wait "$service" || fail "the service did not end well"
service=
say "the service reduced $n frames and ended when it was told to"
