#!/bin/sh
# Reduce what is new in the last nights of every spectrograph, wait, and look again.
# usage: night-loop RAW_ROOT [INTERVAL_S] [NIGHTS]; raw frames lie in RAW_ROOT/{site}/{nresNN}/{night}/raw
# TERM: let the frames in flight finish, then stop.
set -u
raw_root=$1
interval_s=${2:-300}
nights=${3:-3}
child=
stopping=
untold=

# tell: pass TERM on to the child, as soon as it runs its command: before that the signal would be lost in the copy of
# this shell that it still is
tell() {
    while cmp -s "/proc/$child/cmdline" "/proc/$$/cmdline"; do
        sleep 0.1
    done
    kill -TERM "$child" 2>/dev/null
}

stop() {
    stopping=yes
    if [ -n "$child" ]; then tell; else untold=yes; fi
}
trap stop TERM INT

# attend COMMAND...: run it, and pass a signal on while it runs
attend() {
    "$@" &
    child=$!
    # a signal that came before the child had a number
    [ -z "$untold" ] || tell
    # wait returns early when a signal comes; the child may still have work to finish
    while kill -0 "$child" 2>/dev/null; do
        wait "$child"
    done
    child=
}

while [ -z "$stopping" ]; do
    back=$nights
    while [ "$back" -ge 0 ]; do
        night=$(date -u -d "$back days ago" +%Y%m%d)
        for folder in "$raw_root"/*/nres[0-9][0-9]/"$night"; do
            [ -z "$stopping" ] && [ -d "$folder" ] && attend nrespipe night "$folder"
        done
        back=$((back - 1))
    done
    [ -n "$stopping" ] || attend sleep "$interval_s"
done
