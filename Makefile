# make demo: everything, from a bare machine to a moving arm. make test: everything, checked.

SHELL := /bin/bash
.DEFAULT_GOAL := help

ENVIRONMENT := source tools/environment.sh
SOURCES := $(shell find src -type f -not -path '*/__pycache__/*' -not -path '*/test/*')

.PHONY: help demo pipeline test lint docs bench figures build setup lock clean

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: build ## Rollouts of the shipped policy in simulation, and a summary; ARGS="num_rollouts:=10"
	./so101 demo $(ARGS)

pipeline: build ## The whole loop in simulation, resumable: outputs/pipeline; ARGS="demonstrations=25"
	./so101 pipeline $(ARGS)

# Those that run policies, two at a time, for they keep the cores busy. The others wait most of their
# time, three at a time, and apart from the former: a driver without a core sees faults. Then those
# that measure times. 5: none chosen.
POLICIES := src/so101_policy src/so101_training
NONE_CHOSEN := [ $$? = 5 ]
test: build lint ## Every test; PYTEST_ARGS="-k name"
	$(ENVIRONMENT) && { python -m pytest -n 2 --dist worksteal -m 'not alone' $(POLICIES) \
	    $(PYTEST_ARGS) || $(NONE_CHOSEN); }
	$(ENVIRONMENT) && { python -m pytest -n 3 --dist worksteal -m 'not alone' \
	    $(addprefix --ignore=,$(POLICIES)) $(PYTEST_ARGS) || $(NONE_CHOSEN); }
	$(ENVIRONMENT) && { python -m pytest -m alone $(PYTEST_ARGS) || $(NONE_CHOSEN); }

lint: build ## Style and types
	$(ENVIRONMENT) && ruff check . && ruff format --check .
	$(ENVIRONMENT) && mypy $(wildcard src/*/so101_*) bench tools

docs: build ## The tables of the documentation, written anew from the code
	$(ENVIRONMENT) && python tools/tables.py

# Hours each: only when they are named.
LONG := success demonstrations
BENCHES := $(or $(NAME),$(filter-out $(LONG),$(basename $(notdir $(wildcard bench/*.py)))))
bench: build ## Measure beside a baseline; NAME=images, all those of minutes without NAME
	$(ENVIRONMENT) && for name in $(BENCHES); do python bench/$$name.py || exit 1; done

figures: build ## Keep what the benches measured last in docs/figures and docs/performance.md
	cp build/bench/*.json docs/figures/
	$(ENVIRONMENT) && python tools/tables.py

build: install/.built ## Python environment and colcon workspace

setup: .venv/.ready ## Python environment and Debian packages only

.venv/.ready: requirements.lock tools/setup.sh
	tools/setup.sh

install/.built: .venv/.ready $(SOURCES)
	$(ENVIRONMENT) && env -u PYTHONDONTWRITEBYTECODE \
	    python -m colcon build --base-paths src \
	    --event-handlers console_cohesion- status-
	touch $@

lock: .venv/.ready ## Resolve requirements.in into requirements.lock, with hashes
	.venv/bin/uv pip compile --quiet --python .venv/bin/python --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header --upgrade requirements.in \
	    --output-file requirements.lock

clean: ## Remove what was built; keep .venv, recordings and trainings
	rm -rf build install log
