#!/usr/bin/env bash
# Check types: strict with two checkers, and every public symbol has a known type.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/mypy
$bin/basedpyright
# --verifytypes searches the import path, but does not follow a development install.
PYTHONPATH="src:$($bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    $bin/basedpyright --verifytypes depthcache --ignoreexternal | sed -n '/^Symbols exported/,$p'
