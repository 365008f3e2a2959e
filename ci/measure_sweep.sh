#!/usr/bin/env bash
# What a sweep costs beside the same runs by hand: 32 points of 8 different RTLs. Counts the
# models it compiles, and compares processor time, which other work on the machine disturbs less
# than it disturbs the clock on the wall. Both have their models compiled before.
set -euo pipefail
cd "$(dirname "$0")/.."

hallux=${HALLUX:-$PWD/target/release/hallux}
design=$PWD/examples/designs/toe-100g.toml
repetitions=${1:-3}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# Models of this measurement alone, so that counting them means something.
export HALLUX_CACHE=$place/models
cd "$place"

cat >scenario.toml <<END
name = "point"
[nic]
design = "$design"
parameters = { contexts = 2 }
[peer]
kind = "toe"
[app]
kind = "rpc"
connections = 8
requests = 400
size = "64B"
END
cat >sweep.toml <<END
name = "sweep"
scenario = "scenario.toml"
[[axis]]
key = "design.connections"
values = [16, 32]
[[axis]]
key = "design.read_tags"
values = [8, 16]
[[axis]]
key = "design.same_flow"
values = ["forward1", "lock"]
[[axis]]
key = "app.size"
values = ["64B", "256B"]
[[axis]]
key = "link.delay"
values = ["1us", "2us"]
END

sweep() {
    rm -rf results
    "$hallux" sweep sweep.toml --workers 1 2>log | tail -2
}

by_hand() {
    for connections in 16 32; do for tags in 8 16; do for mode in forward1 lock; do
        for size in 64B 256B; do for delay in 1us 2us; do
            "$hallux" run scenario.toml --out run \
                --set nic.parameters.connections=$connections \
                --set nic.parameters.read_tags=$tags --set nic.parameters.same_flow=$mode \
                --set app.size=$size --set link.delay=$delay >/dev/null
        done; done
    done; done; done
}

# Processor seconds of a command and all it starts.
seconds() {
    local TIMEFORMAT='%U %S'
    { time "$@" >/dev/null 2>errors; } 2>&1 | awk 'END { printf "%.2f\n", $1 + $2 }' || {
        cat errors >&2
        return 1
    }
}

median() {
    sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

sweep
models=$(find "$HALLUX_CACHE" -name model.so | wc -l)
echo "models compiled for 32 points whose RTL differs in 8 ways: $models (at most 8)"
for _ in $(seq "$repetitions"); do
    seconds sweep >>sweep.seconds
    seconds by_hand >>hand.seconds
done
swept=$(median <sweep.seconds)
run=$(median <hand.seconds)
awk -v swept="$swept" -v run="$run" 'BEGIN {
    printf "processor time of the sweep %.2f s, of the same 32 runs by hand %.2f s: %+.1f %% (at most +3 %%)\n",
        swept, run, 100 * (swept / run - 1)
}'
