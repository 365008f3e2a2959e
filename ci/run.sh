#!/usr/bin/env bash
# The steps of continuous integration, each with its time. Stops at the first failure.
set -euo pipefail
cd "$(dirname "$0")/.."

started=$SECONDS
# What the build step leaves: one package alone has other features of its dependencies, and `cargo run` would build it anew.
built=${CARGO_TARGET_DIR:-target}/release
step() {
    local name=$1 from=$SECONDS
    shift
    echo "== $name"
    "$@"
    echo "== $name: $((SECONDS - from)) s"
}

install_tools() {
    local missing=()
    command -v tshark >/dev/null || missing+=(tshark)
    command -v yosys >/dev/null || missing+=(yosys)
    command -v clang++ >/dev/null || missing+=(clang)
    ldconfig -p | grep "libclang-[0-9]" >/dev/null || missing+=(libclang1)
    command -v chromium >/dev/null || missing+=(chromium)
    command -v valgrind >/dev/null || missing+=(valgrind)
    command -v verilator_bin >/dev/null || missing+=(verilator)
    command -v g++ >/dev/null || missing+=(g++)
    command -v slurmctld >/dev/null || missing+=(slurm-wlm munge)
    command -v ip >/dev/null || missing+=(iproute2)
    command -v python3 >/dev/null || missing+=(python3 python3-pip)
    if [ ${#missing[@]} -gt 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    fi
}

# The oldest supported Verilator is the distribution's, the newest the project's own copy.
lint_oldest_and_newest() {
    "$built/hallux" lint
    HALLUX_VERILATOR=own "$built/hallux" lint
}

scenario() {
    "$built/hallux" run "$@"
}

check_capture() {
    local wrong
    wrong=$(tshark -r "$1" -o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE \
        -Y 'tcp.checksum.status!=1||ip.checksum.status!=1' 2>/dev/null | head -5)
    if [ -n "$wrong" ]; then
        echo "wrong checksums in $1:" && echo "$wrong"
        return 1
    fi
}

same_results() {
    cmp "$1/summary.json" "$2/summary.json"
    cmp "$1/packets.pcapng" "$2/packets.pcapng"
    cmp "$1/trace.json" "$2/trace.json"
}

scenarios() {
    scenario examples/http-file.toml --trace --out results/ci-http
    scenario examples/http-file.toml --trace --skip off --out results/ci-http-noskip
    same_results results/ci-http results/ci-http-noskip
    local mode
    for mode in threads processes; do
        scenario examples/http-file.toml --trace --mode "$mode" --out "results/ci-http-$mode"
        same_results results/ci-http "results/ci-http-$mode"
    done
    local point
    for point in toe-10g:10Gbps toe-200g:200Gbps; do
        local bus=(--set "nic.design=\"examples/designs/${point%:*}.toml\"" --set "link.rate=\"${point#*:}\"" --trace)
        scenario examples/http-file.toml "${bus[@]}" --out "results/ci-${point%:*}"
        scenario examples/http-file.toml "${bus[@]}" --mode threads --out "results/ci-${point%:*}-threads"
        same_results "results/ci-${point%:*}" "results/ci-${point%:*}-threads"
    done
    # More connections than the state cache holds.
    local cached=(--set 'nic.design="examples/designs/toe-cached.toml"' --set nic.parameters.connections=256
        --set nic.parameters.state_cache=64 --set app.connections=200 --set app.requests=5 --trace)
    scenario examples/rpc-echo.toml "${cached[@]}" --out results/ci-cached
    scenario examples/rpc-echo.toml "${cached[@]}" --skip off --out results/ci-cached-noskip
    same_results results/ci-cached results/ci-cached-noskip
    scenario examples/http-file.toml --set link.loss=0.01 --out results/ci-http-loss
    scenario examples/rpc-echo.toml --trace --out results/ci-rpc
    scenario examples/rpc-echo.toml --trace --skip verify --out results/ci-rpc-verify
    same_results results/ci-rpc results/ci-rpc-verify
    # The delayed-ACK timer wakes a quiescent NIC.
    scenario examples/rpc-echo.toml --set host.delayed_acks=true --skip verify --out results/ci-rpc-delayed
    local run
    for run in results/ci-*/; do
        check_capture "$run/packets.pcapng"
    done
}

# Its last line is one of JSON; it fails on the first program that means something else in RTL.
fuzz_emitter() {
    "$built/examples/emitter_fuzz" --programs 200 --vectors 2000 --seed 1
    # What the newest Verilator once took wrongly; the tests replay it with the oldest.
    local replay=() entry
    for entry in testbenches/corpus/*.json; do
        replay+=(--replay "$entry")
    done
    HALLUX_VERILATOR=own "$built/examples/emitter_fuzz" "${replay[@]}"
}

step "tools" install_tools
export HALLUX_REQUIRE_TOOLS=1
step "build" cargo build --release --workspace --all-targets --locked
# The README's test command: its last line is the summary that counts.
test_log=$(mktemp)
tests() {
    cargo test --release --workspace 2>&1 | tee "$test_log"
}
step "tests" tests
step "header by libclang" cargo test --release --quiet -p hallux-channel-capi --features bindgen --test layouts
step "format" cargo fmt --all --check
step "clippy" cargo clippy --release --workspace --all-targets --locked -- -D warnings
step "generated RTL" "$built/hallux" gen --check
step "lint of the generated RTL" lint_oldest_and_newest
step "emitter fuzzing" fuzz_emitter
step "scenarios" scenarios
echo "== all steps: $((SECONDS - started)) s"
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$test_log"
