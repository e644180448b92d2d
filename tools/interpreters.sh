#!/usr/bin/env bash
# The one abi3 wheel must import and work on every newer interpreter that can be found here.
set -euo pipefail
cd "$(dirname "$0")/.."
for version in 3.12 3.13 3.14; do
    interpreter=$(command -v "python$version" || ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python 2>/dev/null | tail -1 || true)
    if [ -z "$interpreter" ] || ! "$interpreter" -c "import sys; sys.exit(sys.version_info[:2] != tuple(map(int, '$version'.split('.'))))" 2>/dev/null; then
        echo "python$version: not on this machine, not shown"
        continue
    fi
    env="build/env-$version"
    PYTHON="$interpreter" tools/environment.sh "$env"
    "$env/bin/python" -W error tools/smoke.py
done
