#!/usr/bin/env bash
# Create an environment with a free-threaded interpreter, for one row of the benchmarks. Without such an interpreter
# the row says so. abi3 does not cover free-threaded interpreters, so the wheel is built for this one.
#   tools/free_threaded.sh      (FREE_THREADED names the interpreter; the default is python3.15t or python3.14t)
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
echo "no free-threaded interpreter found: that row is not measured (set FREE_THREADED to name one)"
