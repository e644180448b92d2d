#!/usr/bin/env bash
# The environment of `make demo`: the package with its run-time dependencies, built with the demo profile. If no source
# has changed since the last build, this does nothing and prints nothing.
#   tools/demo_environment.sh FOLDER      (PYTHON chooses the interpreter)
set -euo pipefail
cd "$(dirname "$0")/.."
env=$1
stamp="$env/.built"
sources=(Cargo.toml Cargo.lock pyproject.toml README.md crates src tools/demo_environment.sh)
if [ -e "$stamp" ] && [ -z "$(find "${sources[@]}" -name __pycache__ -prune -o -name '*.so' -o -newer "$stamp" -print -quit)" ]; then
    exit 0
fi
say() { printf '== %s\n' "$*"; }
started=$(mktemp)
if [ ! -x "$env/bin/maturin" ]; then
    say "1/3 creating an environment in $env"
    rm -rf "$env"
    "${PYTHON:-python3}" -m venv "$env"
    "$env/bin/python" -m pip install --progress-bar on "maturin>=1.16,<2"
fi
say "2/3 building the native module (about a minute the first time)"
rm -rf "$env/wheels"
"$env/bin/maturin" build --profile demo --locked --interpreter "$env/bin/python" --out "$env/wheels"
say "3/3 installing the package and its dependencies"
"$env/bin/python" -m pip install --progress-bar on --force-reinstall --no-deps "$env"/wheels/depthcache-*.whl
"$env/bin/python" -m pip install --progress-bar on "$(echo "$env"/wheels/depthcache-*.whl)[tui]"
mv "$started" "$stamp" # changes made during the build count as newer
