# Every target makes the environment first: .venv, from requirements.lock, with Python 3.11 or 3.12.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
UV_VERSION := 0.13.9
export PATH := $(BIN):$(PATH)

CORES ?= all
ARGS ?=
PRESET ?= cpu

.PHONY: help env demo reference ablations test prove prove-faults prove-gpu rehearse-gpu prove-results prove-resume prove-rest prove-slurm prove-statistics lint format docs lock clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

env: $(VENV)/.locked  ## make or update .venv from the lock

# Each candidate is run, because a name on PATH may be a shim without a Python behind it.
$(VENV)/.locked: requirements.lock pyproject.toml
	@python=$$(for p in $(PYTHON) python3.12 python3.11 python3 python; do \
	    $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && { $$p -c 'import sys; print(sys.executable)'; break; }; \
	done); \
	[ -n "$$python" ] || { echo "Python 3.11 or 3.12 is needed; name one with: make env PYTHON=/path/to/python3.12" >&2; exit 1; }; \
	set -e; \
	if command -v uv >/dev/null; then uv=uv; uv venv --quiet --allow-existing --python "$$python" $(VENV); \
	else "$$python" -m venv $(VENV); $(VENV)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION); uv=$(VENV)/bin/uv; fi; \
	echo "Installing the locked packages into $(VENV) (about 6 GB, most of it CUDA)"; \
	export VIRTUAL_ENV="$$PWD/$(VENV)"; $$uv pip install --quiet --compile-bytecode -r requirements.lock; \
	$$uv pip install --quiet --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

demo: env  ## train, score and report on embedded data: results/demo/report.html
	python -m snakemake --cores $(CORES) $(ARGS)

# The largest difference in dB of a network's mean over a set's images. Scores are equal to the last digit from the same lock on
# the same kind of processor; elsewhere rounding grows in training.
TOLERANCE ?= 0.3

reference: env  ## run config/small.yaml (PRESET=cpu, cpu-ends, cpu-free, …) and compare its scores with results/reference
	python -m snakemake --cores $(CORES) --configfile config/small.yaml --config preset=$(PRESET) $(ARGS)
	python -m workflows.audit compare-experiments results/reference/small-$(PRESET) results/small-$(PRESET) --within $(TOLERANCE)

ablations: env  ## every ablation in config/ablations; runs that they share are trained once
	set -e; for config in config/ablations/*.yaml; do python -m snakemake --cores $(CORES) --configfile $$config $(ARGS); done

test: env  ## the test suite
	python -m pytest $(ARGS)

prove: prove-results prove-statistics prove-resume prove-faults prove-rest  ## the proofs that CI can afford

prove-faults: env  ## killed trainings, a full disk, flipped bits, hostile names: nothing is lost, nothing passes unnoticed
	python -m pytest -m slow -n 0 -s -rs tests/proofs/test_faults.py tests/test_hostile_names.py

PROVED := $(addprefix --ignore=tests/,proofs test_hostile_names.py benchmarks workflows/training workflows/analysis)
prove-rest: env  ## the slow tests of no other target: known figures on all sets and scales, compiled layers, basicsr's trainer
	python -m pytest -m slow -n 0 tests $(PROVED)

prove-gpu: env  ## on a GPU: numbers are right, repeatable and fast; ARGS="--minutes 5" stops in time, docs/gpu.md
	python -m benchmarks.gpu $(ARGS)

rehearse-gpu: env  ## the same checks with tiny sizes on a CPU, without the packages that an offline machine lacks
	python -m pytest -m slow -n 0 tests/benchmarks/test_gpu.py

prove-results: env  ## the committed tables are what today's code computes from the committed scores
	set -e; for folder in results/reference/small-*; do python -m workflows.audit verify $$folder; done

prove-resume: env  ## a training killed 24 times at random moments ends in the same bits as an uninterrupted one
	python -m pytest -m slow -n 0 -s tests/workflows/training/test_interruption_proof.py

prove-statistics: env  ## by simulation: intervals cover as often as they say, equal models rarely differ
	python -m pytest -m slow -n 0 -s tests/workflows/analysis/test_simulations.py

prove-slurm: env  ## on a real Slurm with two simulated nodes: multi-process runs, time-limit signal, preemption (needs root)
	python -m tests.proofs.slurm

lint: env  ## ruff, types, spelling, snakefmt and snakemake --lint
	ruff check .
	ruff format --check .
	ty check --quiet
	codespell
	python -m snakefmt --check Snakefile workflows/rules
	python -m snakemake --lint

format: env  ## format the code
	ruff check --fix .
	ruff format .
	python -m snakefmt Snakefile workflows/rules

docs: env  ## write the tables of config keys and of result columns from the code
	python -m workflows.config.key_docs
	python -m workflows.analysis.column_docs

lock: env  ## resolve the newest allowed versions into requirements.lock
	uv --version >/dev/null 2>&1 || pip install --quiet uv==$(UV_VERSION)
	uv pip compile --universal --upgrade --no-emit-index-url --no-header --extra dev --quiet pyproject.toml -o requirements.lock

clean:  ## remove the environment and the demo's results
	rm -rf $(VENV) results/demo .snakemake
