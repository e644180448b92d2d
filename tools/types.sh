#!/usr/bin/env bash
# Types, of the package and as its users see them: strict on two checkers; every public symbol has a known type.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
$bin/mypy
$bin/basedpyright
# It looks for the package where the interpreter would, but not behind a development install.
PYTHONPATH="src:$($bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    $bin/basedpyright --verifytypes depthcache --ignoreexternal | sed -n '/^Symbols exported/,$p'
