#!/usr/bin/env bash
# Counts instructions with valgrind; the runner of the right version is installed beside the build.
set -euo pipefail
cd "$(dirname "$0")"
command -v valgrind >/dev/null || { echo "valgrind is missing: apt install valgrind" >&2; exit 2; }
version=$(sed -nE 's/^gungraun = "=(.*)"$/\1/p' Cargo.toml)
tools="$PWD/../../build/tools"
[ -x "$tools/bin/gungraun-runner" ] || cargo install --quiet --locked --root "$tools" "gungraun-runner@$version"
GUNGRAUN_RUNNER="$tools/bin/gungraun-runner" CARGO_TARGET_DIR="$PWD/../../target/instructions" cargo bench --quiet
