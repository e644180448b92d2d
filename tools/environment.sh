#!/usr/bin/env bash
# Create a clean environment with the built wheel and the given dependency groups.
#   tools/environment.sh FOLDER GROUP…      (PYTHON chooses the interpreter)
set -euo pipefail
cd "$(dirname "$0")/.."
env=$1
shift
rm -rf "$env"
"${PYTHON:-python3}" -m venv "$env"
"$env/bin/python" -m pip install -q --upgrade "pip>=25.1"
groups=()
for group in "$@"; do groups+=(--group "$group"); done
"$env/bin/python" -m pip install -q build/wheels/depthcache-*.whl "${groups[@]}"
