#!/usr/bin/env bash
# Fuzz the parsers of external bytes, each target for a third of the time.
#   fuzz/run.sh SECONDS
# Needs a nightly toolchain for coverage instrumentation; installs cargo-fuzz if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "a nightly toolchain is missing; run: rustup toolchain install nightly" >&2
    exit 2
fi
command -v cargo-fuzz >/dev/null || cargo install --locked -q cargo-fuzz
python3 fuzz/seeds.py fuzz/corpus
for target in frame snapshot message; do
    cargo +nightly fuzz build --fuzz-dir fuzz "$target"
    cargo +nightly fuzz run --fuzz-dir fuzz "$target" -- \
        -max_total_time="$((seconds / 3))" -max_len=4096 -timeout=5 -print_final_stats=1 -verbosity=0
done
echo "fuzzed for $seconds s: no failure"
