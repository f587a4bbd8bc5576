#!/bin/sh
# Simulate the smallest night, reduce it with nothing but what is installed, and leave nothing behind.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset DB_URL DB_HOST
nrespipe simulate night "$folder/archive" --site elp --stars HD102365:100 --bias 2 --dark 2 --flat 2 --arc 2
nrespipe night "$folder/archive" --output "$folder/reduced"
nrespipe velocities --output "$folder/reduced" | grep HD102365
