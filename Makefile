# Each target works on a fresh machine with Python 3.11 or newer: the first one used makes .venv from the lock.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow check fuzz simulate mutants sweep nemesis models contract bootstrap-proof bench lock clean

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
UV ?= uv
BIN := .venv/bin
READY := .venv/.stamp
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet --no-input
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
PROCESSES ?= 2
ARGS ?=

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## Run the whole job on an embedded AWS and prove it (ARGS="--changes 20000")
	$(BIN)/fanout demo $(ARGS)

test: $(READY) ## Run all tests; those that need Java or npm say so when they are missing (ARGS="-k lane")
	$(BIN)/python -m pytest -rs -m "not slow" -n $(PROCESSES) $(ARGS)

test-slow: $(READY) ## Run the tests that take long: restore, quarantine, copy, faults and reshards on real processes
	$(BIN)/python -m pytest -rs -m slow $(ARGS)

check: $(READY) ## Format, lint, types, import rules, house rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy pipeline topologies tests
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_tidy.py

fuzz: $(READY) ## Give parsers and wires many generated inputs (EXAMPLES=10000)
	FUZZ_EXAMPLES=$(or $(EXAMPLES),1000) $(BIN)/python -m pytest --timeout 0 tests/faults/test_data.py tests/faults/test_parsers.py

simulate: $(READY) ## Run the core in simulated worlds (SEEDS=1000, or SEED=105 to repeat one; LIFE=long)
	$(BIN)/python -m tests.simulation.campaign $(if $(SEED),$(SEED) 1,$(or $(FIRST),0) $(or $(SEEDS),1000)) $(LIFE)

mutants: $(READY) ## Plant known bugs: the simulated worlds must find each (SEEDS=1000)
	$(BIN)/python -m tests.simulation.gate $(or $(SEEDS),1000) $(ARGS)

sweep: $(READY) ## Kill a host at every step of three scenarios (EVERY=100 for a sample)
	$(BIN)/python -m tests.simulation.sweep $(EVERY)

nemesis: $(READY) ## Hit real processes while changes flow; adds to a ledger (HITS=50 SEED=1 LEASE=10 ARGS=--reshard)
	$(BIN)/python -m tests.nemesis.campaign --hits $(or $(HITS),50) --seed $(or $(SEED),1) --lease $(or $(LEASE),10) $(ARGS)

models: $(READY) ## Check the models in models/ with Spin (FAULTS=3: minutes and gigabytes)
	$(if $(FAULTS),FAULTS=$(FAULTS)) $(BIN)/python -m pytest -rs tests/models

contract: $(READY) ## The sink contract for the shipped topologies, 10,000 batches through each
	FANOUT_CONTRACT_BATCHES=10000 $(BIN)/python -m pytest -rs tests/topologies/test_contract.py $(ARGS)

bootstrap-proof: $(READY) ## Copy a table while it changes and the copy is killed (ITEMS=200000)
	FANOUT_TEST_ITEMS=$(or $(ITEMS),200000) $(BIN)/python -m pytest -s -o timeout=3600 tests/blackbox/test_bootstrap.py

bench: $(READY) ## Print the figures of a larger demo run as JSON
	$(BIN)/fanout demo --changes 20000 --json $(ARGS)

bench-isolation: $(READY) ## Measure what a bad topology does to the lag of another (REAL=1: real processes, 10 minutes)
	$(BIN)/python -m benchmarks.$(if $(REAL),isolation_real $(ARGS),isolation)

lock: ## Resolve the dependencies again (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/"; exit 1; }
	$(COMPILE) --upgrade --extra demo --extra dev --extra parquet --extra query pyproject.toml -o requirements.lock
	$(COMPILE) --constraint requirements.lock pyproject.toml -o requirements-run.lock

.PHONY: restore-proof
restore-proof: $(READY) ## Restore recorded histories at random seconds and compare (RESTORES=334 of each)
	$(BIN)/python -m tests.restore_proof $(or $(RESTORES),334)

.PHONY: tamper-proof
tamper-proof: $(READY) ## Tamper with signed audit logs at random: each must be found in its place (TAMPERINGS=10000)
	$(BIN)/python -m tests.tamper_proof $(or $(TAMPERINGS),10000)

.PHONY: verify-proof
verify-proof: $(READY) ## Plant differences in a replica on emulators, find and repair them while changes flow (ARGS="--items 20000")
	$(BIN)/python -m tests.verify_proof $(ARGS)

.PHONY: export-proof
export-proof: $(READY) ## Export a large archive, read it by another reader, ask it in SQL (ITEMS=200000)
	$(BIN)/python -m tests.export_proof $(or $(ITEMS),200000)

clean: ## Remove .venv, caches and build products
	rm -rf .venv .cache .fanout .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "fanout needs Python 3.11 or newer; found: $$(python3 --version 2>&1)." \
		"Install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version), about a minute, once"
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing or incomplete;" \
		"on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
