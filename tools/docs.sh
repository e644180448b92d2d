#!/usr/bin/env bash
# Build the documentation into build/site, in its own environment. A broken link or a missing object is an error.
#   tools/docs.sh [browser]     with `browser`, every page is then opened in Chromium (PYTHON chooses the interpreter)
set -euo pipefail
cd "$(dirname "$0")/.."
env=build/docs-env
if [ ! -e "$env/.installed" ] || [ pyproject.toml -nt "$env/.installed" ]; then
    rm -rf "$env"
    "${PYTHON:-python3}" -m venv "$env"
    "$env/bin/python" -m pip install -q --upgrade "pip>=25.1"
    "$env/bin/python" -m pip install -q --group docs
    touch "$env/.installed"
fi
NO_COLOR=1 "$env/bin/zensical" build --strict --clean
echo "build/site/index.html"
if [ "${1:-}" = browser ]; then
    "$env/bin/python" -m pip install -q --group browser
    "$env/bin/python" tools/site_in_browser.py
fi
