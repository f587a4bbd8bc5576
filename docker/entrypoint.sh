#!/bin/sh
# What a container does first: say what is wrong with its volumes in plain words, before a frame finds out.
# usage: entrypoint service                 run the service: that of the brokers, or without a broker a loop over nights
#        entrypoint COMMAND [ARGUMENT...]   run it
#        entrypoint healthy                 exit 0 while the database answers and the services run
set -eu
umask 002

if [ "$1" = healthy ]; then
    if [ -n "${BROKER_URL:-}${RABBITMQ_HOST:-}" ]; then
        nrespipe doctor
    # before the first night there is no database yet, and nothing wrong with that
    elif [ -n "${DB_URL:-}${DB_HOST:-}" ] || [ -e "$NRES_DATA_ROOT/nrespipe.sqlite" ]; then
        nrespipe status >/dev/null
    fi
    # a container that runs one command has no supervisor
    if [ -e /tmp/supervisord.pid ]; then
        # it calls a program that dies again and again well, as it will be started once more
        told=$(supervisorctl -s unix:///tmp/supervisor.sock status)
        if printf '%s\n' "$told" | grep -Ev ' (RUNNING|STARTING) '; then
            exit 1
        fi
    fi
    exit 0
fi

if [ ! -w "$NRES_DATA_ROOT" ]; then
    echo "error: user $(id -u):$(id -g) cannot write into $NRES_DATA_ROOT: mount a volume that belongs to it" >&2
    exit 1
fi
if [ ! -r "$NRES_RAW_ROOT" ]; then
    echo "warning: no raw frames at $NRES_RAW_ROOT: mount the archive there, read-only" >&2
fi
if [ "$1" = service ]; then
    export NRES_WORKERS="${NRES_WORKERS:-$(nproc)}"
    limit_s=${NRES_TIME_LIMIT:-1200}
    case $limit_s in
    0* | *[!0-9]*)
        echo "error: NRES_TIME_LIMIT is '$limit_s'; expected a whole number of seconds from 1" >&2
        exit 1
        ;;
    esac
    # how long a worker may need to stop: nrespipe/service/limits.py
    export NRES_STOP_WAIT="${NRES_STOP_WAIT:-$((limit_s + 120))}"
    # once, before any program works: an upgrade of the image is an upgrade of the tables. A server that is not there yet
    # is waited for; what fails for another reason ends the container with the message, and its restart tries again.
    nrespipe database upgrade --wait 300
    program=night
    [ -z "${BROKER_URL:-}${RABBITMQ_HOST:-}" ] || program=supervisord
    set -- supervisord --nodaemon --configuration "/etc/nrespipe/$program.conf"
fi
exec "$@"
