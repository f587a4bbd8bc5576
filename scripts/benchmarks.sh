#!/usr/bin/env bash
# Run every benchmark, some hours of one core, and keep what each prints: for a weekly timer. Names choose some.
# The exit status is 1 where one failed; targets that were missed are listed.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$root"

install_package "test,docs"
out=$root/benchmark-output/$(date -u +%Y%m%d)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
failed=()

# measure NAME [ARGUMENT...]: run one benchmark, or not where others were chosen
measure() {
    local name=$1 file
    shift
    [ "${#chosen[@]}" = 0 ] || [[ " ${chosen[*]} " == *" $name "* ]] || return 0
    file=$out/$name${1:+-${1#--}}.txt
    say "$name $*"
    "$venv/bin/python" "benchmarks/$name.py" "$@" >"$file" 2>&1 || failed+=("$name $*")
    grep -w missed "$file" || true
}
chosen=("$@")
measure start
measure compiling
measure speed --large --service --rows 100000 --baseline benchmarks/speed_baseline.json
measure rows
measure planning --cache "$work/planning"
measure masters
measure traces
measure extraction
measure cosmic_rays
measure wavelengths
measure wavelengths --frames
measure wavelengths --shared 60
measure few_orders
measure blind_wavelengths
measure velocities 32 --seeds 4
measure velocities --frames --cache "$work/frames"
measure borrowed_templates
measure new_sites --work "$work/sites"
measure fortnight --work "$work/fortnight"
measure hard_nights --work "$work/hard-nights"
measure traffic
say "what they printed is in $out"
"$venv/bin/python" scripts/record_kernels.py --check || failed+=("record_kernels")
bash scripts/figures.sh --check || say "scripts/figures.sh draws these figures again"

[ "${#failed[@]}" = 0 ] || fail "failed: ${failed[*]}"
