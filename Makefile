# Two commands do everything: `make demo` and `make test`. Both set up `.venv` first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check check-backends bench soak lint types lock clean

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# requirements.lock pins every extra with hashes; the project itself is installed editable, without its
# dependencies, so nothing outside the lock is ever resolved.
$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("Lockstep needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; set PYTHON=python3.12 or the like") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(STAMP)  ## set up, sweep synthetic bars, run a portfolio of the best, name the report
	$(BIN)/toolkit demo

test: $(STAMP)  ## set up, run lint, types and every test
	$(MAKE) --no-print-directory check

check: lint types  ## lint, types, tests
	$(BIN)/python -m pytest -q -n auto --dist loadgroup tests
	@command -v chromium > /dev/null || echo "left out, there is no chromium: $$(grep -rl 'mark.browser' tests | xargs)"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(STAMP)
	$(BIN)/mypy

bench: $(STAMP)  ## run the benchmarks of tests/bench and print their tables
	$(BIN)/python -m tests.bench

soak: $(STAMP)  ## the live broker: 10,000 random sequences of faults, 100 through ccxt, an hour of real time with kills
	LOCKSTEP_SOAK=10000 $(BIN)/python -m pytest -q -n 4 tests/executor/broker/test_machine.py
	LOCKSTEP_SOAK_SEED=1000 $(BIN)/python -m pytest -q -n 4 tests/executor/live/test_storms.py
	$(BIN)/python -m tests.soak.live --minutes 60 --venue gate --market swap

check-backends: $(STAMP)  ## install every AutoML library and BentoML (9 GB, about ten minutes) and hold each to its suite
	$(BIN)/toolkit model backends install --all
	LOCKSTEP_EVERY_BACKEND=1 $(BIN)/python -m pytest -q -n 2 --dist loadgroup tests/models/backends tests/models/bento

lock: ## rewrite requirements.lock (needs uv)
	uv pip compile --universal --generate-hashes --python-version 3.11 \
	  --all-extras --quiet pyproject.toml --output-file requirements.lock --custom-compile-command "make lock"

clean:  ## remove the environment and caches, keep the data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
