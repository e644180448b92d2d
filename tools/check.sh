#!/usr/bin/env bash
# Every check besides the test suite, cheapest first.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
say() { printf '\n== %s\n' "$*"; }

say "format";            $bin/ruff format --check .; cargo fmt --check
say "lint";              $bin/ruff check .
say "types";             tools/types.sh
say "clippy";            cargo clippy --locked --all-targets -q -- -D warnings
say "stubs";             $bin/python -m mypy.stubtest depthcache._native --allowlist tools/stubtest-allow.txt
say "licences";          $bin/python tools/licences.py
say "layout and docs";   $bin/python -m pytest -q -p no:cacheprovider tests/test_layout.py tests/test_exports.py tests/test_imports.py tests/test_docs.py tests/test_documented.py tests/test_reference_pages.py tests/test_examples.py
say "site";              tools/docs.sh browser
say "native tests";      cargo test --locked -q -p depthcache-arrow -p depthcache-book -p depthcache-server -p depthcache-wire
say "instructions";      $bin/python -m benches.instructions
say "fuzzing";           fuzz/run.sh "${SECONDS_OF_FUZZING:-60}"
echo; echo "all checks passed"
