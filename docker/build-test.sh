#!/usr/bin/env bash
# Build the image where there is no Docker engine, and run its self-test: needs root, buildah and mmdebstrap, and 5 minutes.
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
trap 'buildah rm "$container" >/dev/null; rm -rf "${archive:-}" "$context"' EXIT
buildah run --isolation chroot --user archive "$container" -- /usr/local/bin/self-test
