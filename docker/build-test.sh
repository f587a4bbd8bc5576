#!/usr/bin/env bash
# Build the image where there is no Docker engine, run its self-test, and start and stop the service in it: needs root,
# buildah and mmdebstrap, and 5 minutes. Where BROKER_URL and DB_URL are set, it is the service of the brokers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
base=$(sed -n 's/^FROM \([^ ]*\).*/\1/p' Dockerfile | head -n 1)
suite=${base#*:}
suite=${suite%-slim}
tag=nrespipe:test

# The image that FROM names, made of the same distribution's own packages.
if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    archive=$(mktemp --suffix .tar)
    trap 'rm -f "$archive"' EXIT
    mmdebstrap --quiet --variant=minbase --include=ca-certificates "$suite" "$archive" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
    container=$(buildah from scratch)
    buildah add --quiet "$container" "$archive" / >/dev/null
    buildah config --cmd bash "$container"
    buildah commit --quiet --rm "$container" "$base" >/dev/null
fi

# Only what git knows goes into the image, as from a fresh clone.
context=$(mktemp -d)
trap 'rm -rf "${archive:-}" "$context"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null --files-from - --create | tar --extract --directory "$context"
# A host behind a proxy trusts certificates and has a pip configuration that the base does not know.
volumes=()
for path in /etc/ssl/certs /etc/pip.conf; do
    [ -e "$path" ] && volumes+=(--volume "$path:$path:ro")
done
buildah build --isolation chroot --pull-never --network host --format docker "${volumes[@]}" --tag "$tag" "$context"

container=$(buildah from --pull-never "$tag")
raw=$(mktemp -d)
trap 'buildah rm "$container" >/dev/null; rm -rf "${archive:-}" "$context" "$raw"' EXIT
chmod 755 "$raw"
mkdir -p "$raw/engineering"

# inside COMMAND...: run it in the container as Docker would, with the raw archive read-only
inside() {
    local name words=()
    for name in BROKER_URL FITS_BROKER DB_URL NRES_WORKERS; do
        [ -z "${!name:-}" ] || words+=(--env "$name=${!name}")
    done
    buildah run --isolation chroot --network host --user archive --volume "$raw:/archive:ro" \
        ${words[@]+"${words[@]}"} "$container" -- "$@"
}

# soon COMMAND...: wait until it succeeds, for two minutes at most
soon() {
    local end=$((SECONDS + 120))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 1
    done
}

inside /usr/local/bin/self-test

# the programs open the output once more: Docker gives it to the user of the image, buildah keeps it
inside sh -c 'exec /usr/bin/tini -s -- /usr/local/bin/entrypoint service >/tmp/service.log 2>&1' &
service=$!
control=(supervisorctl -s unix:///tmp/supervisor.sock)
if ! { soon inside test -S /tmp/supervisor.sock && sleep 10 && soon inside /usr/local/bin/entrypoint healthy; }; then
    inside cat /tmp/service.log
    echo "error: the service is not healthy" >&2
    exit 1
fi
inside "${control[@]}" status
if inside touch /archive/engineering/written 2>/dev/null; then
    echo "error: the raw archive can be written to" >&2
    exit 1
fi
inside "${control[@]}" shutdown
wait "$service"
inside cat /tmp/service.log
echo "the service was healthy and stopped when it was told to"
