#!/usr/bin/env bash
# How long the HDL keeps its author waiting: elaboration and emission of the full NIC, and a
# rebuild of its crate after a change of one stage. The machine should be idle.
set -euo pipefail
cd "$(dirname "$0")/.."

repetitions=${1:-5}
stage=hdl-gen/toe/src/stages/post.rs

seconds() {
    local from=$EPOCHREALTIME
    "$@" >/dev/null
    awk -v from="$from" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.2f\n", to - from }'
}

median() {
    sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

measure() {
    for _ in $(seq "$repetitions"); do
        "$@"
    done | median
}

rebuild() {
    touch "$stage"
    seconds cargo build --release --quiet -p hallux-toe
}

cargo build --release --quiet
generation=$(measure seconds target/release/hallux gen --check)
echo "elaboration and emission of all design points, compared with rtl/: $generation s (at most 2 s)"
export CARGO_INCREMENTAL=1
rebuild >/dev/null
echo "rebuild of hallux-toe after a change of $stage: $(measure rebuild) s (at most 15 s)"
