#!/usr/bin/env bash
# An environment with the old library that depthcache.compat.ubldc stands in for, to be compared with.
# Its dependencies would clash with nothing today, but they are not ours: it never shares an environment.
#   tools/old_library.sh FOLDER      (made once; PYTHON chooses the interpreter)
set -euo pipefail
cd "$(dirname "$0")/.."
env=$1
test -e "$env/.installed" && exit 0
rm -rf "$env"
"${PYTHON:-python3}" -m venv "$env"
"$env/bin/python" -m pip install -q "unicorn-binance-local-depth-cache==2.14.0"
touch "$env/.installed"
