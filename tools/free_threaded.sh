#!/usr/bin/env bash
# An environment of an interpreter without its lock, for one row of the benchmarks; where there is none, that
# row says so. There is no abi3 for such interpreters: the wheel is built for this one.
#   tools/free_threaded.sh      (FREE_THREADED names the interpreter; python3.14t and newer are looked for)
set -euo pipefail
cd "$(dirname "$0")/.."
env=build/free-threaded-env
rm -rf "$env" build/free-threaded
for candidate in "${FREE_THREADED:-}" python3.15t python3.14t; do
    if [ -n "$candidate" ] && interpreter=$(command -v "$candidate"); then
        "$interpreter" -m venv "$env"
        "$env/bin/python" -m pip install -q numpy
        CARGO_TARGET_DIR=target/free-threaded .venv/bin/maturin build --release --locked -q --interpreter "$env/bin/python" --out build/free-threaded
        "$env/bin/python" -m pip install -q --no-deps build/free-threaded/depthcache-*.whl
        exit 0
    fi
done
echo "no free-threaded interpreter: not shown there (FREE_THREADED names one)"
