#!/usr/bin/env bash
# Run the whole suite against the installed wheel, quick tests first.
#   tools/test.sh FOLDER       (creates the environment in FOLDER)
set -euo pipefail
cd "$(dirname "$0")/.."
env=$1
python="$env/bin/python"
say() { printf '\n== %s\n' "$*"; }

say "native tests"
cargo test --locked -q -p depthcache-arrow -p depthcache-book -p depthcache-wire

tools/environment.sh "$env" test rivals
export TESTED_WHEEL=1
tools/kubernetes.sh helm >/dev/null || say "NOT TESTED: what the Helm chart renders, because helm could not be had"

say "quick tests"
"$python" -m pytest -q -p no:cacheprovider -n 2 -m "not slow and not rivals"

first=${SCHEDULES_SEED:-1}
say "slow tests (schedules of faults: seeds $first to $((first + ${SCHEDULES:-5000} - 1)))"
"$python" -m pytest -q -p no:cacheprovider -n 2 -m "slow and not rivals and not browser and not processes"

say "other clients against the embedded exchange"
"$python" -m pytest -q -p no:cacheprovider -m rivals

say "the same wheel on other interpreters"
tools/interpreters.sh
