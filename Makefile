# Everything runs inside .venv, which the first target builds from the hash-pinned lock file.
PYTHON ?= $(or $(shell command -v python3.11),python3)
BIN := .venv/bin
READY := .venv/.ready

export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export GX_ANALYTICS_ENABLED := false

.PHONY: demo test dev bench lint lock clean

demo: $(READY) ## the nightly job on the sandbox company, without any account
	$(BIN)/attain demo

test: $(READY) lint ## everything that has to be green
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

dev: $(READY) ## the Dagster UI, with the schedule running
	$(BIN)/attain dev

bench: $(READY) ## measured, never tested
	$(BIN)/python tests/bench/bench_night.py
	$(BIN)/python tests/bench/bench_salesforce.py
	$(BIN)/python tests/bench/bench_hubspot.py
	$(BIN)/python tests/bench/bench_gate.py

lock: $(READY) ## after a change of dependencies
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra dev \
		--no-emit-index-url --no-header pyproject.toml --output-file requirements.lock

clean: ## what was built and what ran, never your data
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis dbt_project/target dbt_project/logs data/demo

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(sed -n 's/^\(uv==[0-9.]*\).*/\1/p' requirements.lock)"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(READY)
