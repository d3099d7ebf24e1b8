# Two commands matter: `make serve` and `make test`. Each makes what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PEERS  := .bench-peer
DATA   ?= ./episteme-data
HOST   ?= 127.0.0.1
PORT   ?= 18180
JOBS   ?= auto

.PHONY: serve test test-api check setup bench bench-logs bench-state bench-accuracy bench-reads test-lowest test-long test-tail test-workers test-hostile clean help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

serve: $(VENV)/.runtime  ## install if needed, then serve on 127.0.0.1:18180 from ./episteme-data
	@exec $(BIN)/episteme serve --data $(DATA) --host $(HOST) --port $(PORT)

test: $(VENV)/.dev  ## run every test, on as many cores as there are (JOBS=1 for one)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(VENV)/.dev  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev $(PEERS)/.made  ## measure writes, answers and the import beside their limits and peers; prints a table
	$(BIN)/python -m bench $(ARGS)

test-long: $(VENV)/.dev  ## fifty kills of a real server under sixteen writers; 20,000 simulated crash states of logs, 5,000 of stores
	$(BIN)/python -m tests.crash.kill_campaign --kills 50 --writers 16
	$(BIN)/python -m tests.crash.log_campaign --states 20000
	$(BIN)/python -m tests.crash.state_campaign --states 5000 --kills 50

test-tail: $(VENV)/.dev  ## 64 subscribers of the tail while 5,000 events a second are written; prints what was seen
	$(BIN)/python -m tests.campaigns.tail_campaign $(ARGS)

test-workers: $(VENV)/.dev  ## workers and their owner are killed for a minute while clients write and read; prints what was seen
	$(BIN)/python -m tests.campaigns.workers_campaign $(ARGS)

test-hostile: $(VENV)/.dev  ## hostile clients of twelve kinds against a real server, and what an honest one notices; prints a table
	$(BIN)/python -m tests.campaigns.hostile_campaign $(ARGS)

test-api: $(VENV)/.dev  ## ask a real server all that its OpenAPI document makes possible, for ten minutes; then mutate a million envelopes
	$(BIN)/python -m tests.campaigns.api_campaign $(ARGS)
	$(BIN)/python -m tests.campaigns.envelope_campaign

bench-logs: $(VENV)/.dev $(PEERS)/.made  ## measure the logs beside a peer, where that can be installed; prints a table
	$(BIN)/python -m bench.logs --peer $(PEERS)/bin/python $(ARGS)

bench-state: $(VENV)/.dev  ## measure folds, views, tasks, restart and memory of a state; prints tables
	$(BIN)/python -m bench.state $(ARGS)
	$(BIN)/python -m bench.views
	$(BIN)/python -m bench.tasks

bench-reads: $(VENV)/.dev  ## measure what answers cost in process, and with the audit on and off; prints tables
	$(BIN)/python -m bench.reads $(ARGS)
	$(BIN)/python -m bench.audit

bench-accuracy: $(VENV)/.dev  ## measure how often each lens is right, on real claims where they are at hand; prints tables
	$(BIN)/python -m bench.accuracy $(ARGS)

test-lowest:  ## the suite with the oldest dependencies that pyproject.toml admits
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --constraint tests/constraints-lowest.txt --editable '.[dev]'
	.venv-lowest/bin/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

setup: $(VENV)/.dev  ## make .venv with everything that developers need

$(VENV)/.runtime: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.runtime

# The peers of bench/peers, each where it can be had; the mark is made when all of them are.
$(PEERS)/.made: bench/peers/requirements.txt | $(VENV)/.dev
	@test -x $(PEERS)/bin/python || $(BIN)/python -m venv $(PEERS)
	@echo "installing peers into $(PEERS) ..."
	@grep -v '^#' $< | { missing=0; while read -r package; do \
		$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 10 "$$package" \
		|| { echo "$$package could not be installed: its rows stay empty"; missing=1; }; \
	done; test $$missing = 1 || touch $@; }

clean:  ## remove what the build made (never data)
	rm -rf $(VENV) .venv-lowest $(PEERS) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
