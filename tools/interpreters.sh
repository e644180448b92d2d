#!/usr/bin/env bash
# The one abi3 wheel must import and work on every newer interpreter that can be found here.
set -euo pipefail
cd "$(dirname "$0")/.."
for version in 3.12 3.13 3.14; do
    interpreter=
    for candidate in "$(command -v "python$version" || true)" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
        # A shim may be there without the interpreter behind it: ask what it is.
        if [ -x "$candidate" ] && [ "$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = "$version" ]; then
            interpreter=$candidate
            break
        fi
    done
    if [ -z "$interpreter" ]; then
        echo "python$version: not on this machine, not shown"
        continue
    fi
    env="build/env-$version"
    PYTHON="$interpreter" tools/environment.sh "$env"
    "$env/bin/python" -W error tools/smoke.py
done
