# The commands of this project. Each sets up everything it needs on a fresh machine, except
# Python 3.11 or newer and Rust (cargo).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TEST_ENV := build/test-env
BENCH_ENV := build/bench-env
DEMO_ENV := build/demo-env
STAMP := $(VENV)/.installed
SECONDS ?=
FILES ?=
JUDGES ?=
SCHEDULES ?= 100000
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help tools dev demo test judges check docs bench instructions fuzz mutants soak endurance wheel clean

help:  ## Show the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

tools:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12 make …" >&2; exit 2; }

$(STAMP): pyproject.toml
	@$(MAKE) --no-print-directory tools
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --progress-bar on --group dev "maturin[zig]>=1.16,<2"
	@touch $@

dev: $(STAMP)  ## Build the native module into the source tree, for development
	$(BIN)/maturin develop --release

demo: tools  ## Five live books of two exchanges, both simulated (SECONDS=10 ends by itself)
	@PYTHON=$(PYTHON) tools/demo_environment.sh $(DEMO_ENV)
	@$(DEMO_ENV)/bin/depthcache demo $(if $(SECONDS),--seconds $(SECONDS))

wheel: $(STAMP)
	tools/wheel.sh $(BIN) build/wheels

test: wheel  ## Build the wheel, install it in a clean environment, run the whole suite against it
	tools/test.sh $(TEST_ENV)

judges: dev  ## Check the embedded exchange with other clients, the live page in a browser (JUDGES=… for some)
	@$(BIN)/python -m tests.rivals.judging $(JUDGES)
	@test -n "$(JUDGES)" || $(BIN)/python -m pytest -q -p no:cacheprovider -m browser

check: dev  ## Linters, types, stubs, native tests, licences and 60 s of fuzzing
	tools/check.sh

docs:  ## Build the documentation into build/site; a broken link is an error
	PYTHON=$(PYTHON) tools/docs.sh

bench: wheel  ## Measure, also against other clients, and write BENCHMARKS.md (FILES="a.gz …" for your recordings, BURST=60 for a long burst)
	tools/environment.sh $(BENCH_ENV) bench
	$(BENCH_ENV)/bin/python tools/clients.py
	tools/free_threaded.sh
	cargo build --release --locked -q -p depthcache-server --examples
	$(BENCH_ENV)/bin/python -m benches $(if $(BURST),--burst $(BURST)) $(if $(FILES),--files $(FILES))

instructions: tools  ## Count the native book's instructions with valgrind, against the stored counts (STORE=1 stores)
	$(PYTHON) -m benches.instructions $(if $(STORE),--store)

fuzz: tools  ## Fuzz the frame scanner and the message decoder (SECONDS=60)
	fuzz/run.sh $(or $(SECONDS),60)

mutants: tools  ## Plant every small bug in the native book: does a test notice? (FILES=… for some)
	$(PYTHON) tools/mutants.py $(FILES)

soak: wheel  ## 10,000 resyncs on real sockets, 10,000 clients that break off, 2,000 nodes and 10,000 books that come and go, random schedules of faults (SCHEDULES=100000), the Helm chart against a real kube-apiserver
	tools/environment.sh $(TEST_ENV) test
	$(TEST_ENV)/bin/python -m benches.soak --resyncs 10000 --cycles 1000
	$(TEST_ENV)/bin/python -m benches.server_soak --connects 10000 --kills 10
	for each in helm apiserver; do tools/kubernetes.sh $$each >/dev/null || test $$? = 3; done
	$(TEST_ENV)/bin/python -m pytest -q -p no:cacheprovider -m processes
	first=$${SCHEDULES_SEED:-$$(date +%s)}; echo "$(SCHEDULES) schedules of faults from seed $$first"; \
		SCHEDULES=$(SCHEDULES) SCHEDULES_SEED=$$first HYPOTHESIS_PROFILE=soak \
		$(TEST_ENV)/bin/python -m pytest -q -n 2 -p no:cacheprovider tests/properties tests/cluster/test_schedules.py
	$(TEST_ENV)/bin/python -m benches.cluster_soak --joins 2000 --changes 10000

endurance: wheel  ## 5,000 frames a second for MINUTES=10: nothing lost, wrong or leaked
	tools/environment.sh $(BENCH_ENV) bench
	$(BENCH_ENV)/bin/python -m benches.endurance --minutes $(or $(MINUTES),10)

clean:  ## Remove everything that was built
	rm -rf build dist target fuzz/target $(VENV) src/depthcache/*.so
