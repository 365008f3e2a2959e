#!/usr/bin/env bash
# Makes docs/gallery anew: runs the sweeps of examples/sweeps, draws their reports, and writes the index.
#
#   ci/gallery.sh                 all sweeps
#   ci/gallery.sh --engine slurm  any option of `hallux sweep`, here as a job array of Slurm
#
# Points that results/ holds already are not run again. PICTURE is the one whose picture the README shows.
set -euo pipefail
cd "$(dirname "$0")/.."

PICTURE=ladder
hallux=${HALLUX:-target/release/hallux}
[ -x "$hallux" ] || { echo "$hallux is missing; cargo build --release" >&2; exit 1; }

# The comment at the head of a file.
heading() {
    sed -n '/^#/!q; s/^# \?//p' "$1"
}

# What a reader of the page sees first.
picture() {
    if ! command -v chromium >/dev/null; then
        echo "skipped: chromium is not installed, no picture of $1"
        return
    fi
    local profile
    profile=$(mktemp -d)
    chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$profile" \
        --window-size=1180,1140 --blink-settings=preferredColorScheme=1 \
        --screenshot="docs/gallery/$1.png" "file://$PWD/docs/gallery/$1.html" 2>/dev/null
    rm -rf "$profile"
}

mkdir -p docs/gallery
index=$(mktemp)
cat >"$index" <<'END'
# Gallery

Reports of the sweeps in [`examples/sweeps/`](../../examples/sweeps/), as `ci/gallery.sh` leaves them: each is one file,
which loads nothing, for a browser. The commands run from the root of the project.
END
for sweep in examples/sweeps/*.toml; do
    name=$(basename "$sweep" .toml)
    "$hallux" sweep "$sweep" --out "results/$name" "$@"
    "$hallux" report "results/$name" --out "docs/gallery/$name.html"
    {
        printf '\n## [%s](%s.html)\n\n' "$name" "$name"
        heading "$sweep"
        printf '\n```sh\ncargo run --release -- sweep %s\n' "$sweep"
        printf 'cargo run --release -- report results/%s\n```\n' "$name"
    } >>"$index"
done
install -m 644 "$index" docs/gallery/README.md
rm -f "$index"
picture "$PICTURE"
