#!/usr/bin/env bash
# Check that the abi3 wheel imports and works on every newer interpreter of this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
for version in 3.12 3.13 3.14; do
    interpreter=
    for candidate in "$(command -v "python$version" || true)" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        # A pyenv shim may exist without its interpreter, so ask for the version.
        if [ -x "$candidate" ] && [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
            interpreter=$candidate
            break
        fi
    done
    if [ -z "$interpreter" ]; then
        echo "python$version: not on this machine, not tested"
        continue
    fi
    env="build/env-$version"
    PYTHON="$interpreter" tools/environment.sh "$env"
    "$env/bin/python" -W error tools/smoke.py
done
