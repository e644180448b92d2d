#!/usr/bin/env bash
# Check that the abi3 wheel imports and works on every supported interpreter of this machine. The versions that are
# not on it are named at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
# 3.14, or 3.14t for an interpreter without the lock, which takes no abi3 wheel.
version_of() {
    "$1" -c 'import sys, sysconfig as s; print("%d.%d%s" % (*sys.version_info[:2], "t" * bool(s.get_config_var("Py_GIL_DISABLED"))))' 2>/dev/null
}
suite=$(version_of build/test-env/bin/python || true)
missing=()
for version in 3.11 3.12 3.13 3.14; do
    if [ "$version" = "$suite" ]; then
        echo "python$version: the whole suite ran on it"
        continue
    fi
    interpreter=
    for candidate in "$(command -v "python$version" || true)" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version"[.-]*/bin/python; do
        # A shim may be there without the interpreter behind it: ask what it is.
        if [ -x "$candidate" ] && [ "$(version_of "$candidate")" = "$version" ]; then
            interpreter=$candidate
            break
        fi
    done
    if [ -z "$interpreter" ]; then
        missing+=("python$version")
        continue
    fi
    env="build/env-$version"
    PYTHON="$interpreter" tools/environment.sh "$env"
    "$env/bin/python" -W error tools/smoke.py
done
if [ ${#missing[@]} -gt 0 ]; then
    printf '\n!! NOT TESTED, not on this machine: %s\n' "${missing[*]}" >&2
fi
