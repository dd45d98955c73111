# Two commands do everything on a bare machine: `make demo` and `make test`.
# Libraries are compiled once, into the environments: otherwise every process that imports PyTorch does so anew, for seconds
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
JOBS ?= 2
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
IMAGES := $(sort $(notdir $(patsubst %/Dockerfile,%,$(wildcard docker/*/Dockerfile))))
WORKLOADS := $(sort $(notdir $(patsubst %/workload.yaml,%,$(wildcard clearml_tasks/*/workload.yaml))))
TESTED := $(sort $(notdir $(patsubst %/,%,$(wildcard tests/workloads/*/))))
HOUSE := $(filter-out containers,$(sort $(notdir $(patsubst %/,%,$(dir $(wildcard tests/*/test_*.py))))))
NO_BENCHMARKS := %/__init__.py %/page.py %/table.py %/programs.py
BENCHMARKS := $(sort $(patsubst tests/benchmarks/%.py,%,$(filter-out $(NO_BENCHMARKS),$(wildcard tests/benchmarks/*.py))) \
    $(patsubst tests/benchmarks/%/__main__.py,%,$(wildcard tests/benchmarks/*/__main__.py)))
.PHONY: help demo quick test lint types changed smoke images-test bench render lock docs clean env .venv \
    test/project $(HOUSE:%=test/%) $(TESTED:%=test/%)
VENV := .venv/bin/python
TESTS := tests --ignore=tests/workloads --ignore=tests/containers

help:  ## lists what can be made
	@grep -hE '^[a-z/%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo:  ## makes a dataset, trains two runs on it, compares them (KEEP=1 leaves the server running, PORT=8080 is its port)
	@bash example/demo.sh

quick: lint types  ## checks style and types, runs the tests of .venv that are not marked slow
	$(VENV) -m pytest $(TESTS) -m "not slow" $(PYTEST)

# Two parts at a time: most of the house's tests wait for processes, those of the workloads compute. A part is printed when it ends
test: env lint types  ## checks style and types, runs all tests; builds the environments first (JOBS=1 runs one part at a time, and prints as it goes)
	@$(MAKE) --no-print-directory --jobs=$(JOBS) $(if $(filter 1,$(JOBS)),,--output-sync) --keep-going \
	    $(HOUSE:%=test/%) test/project $(TESTED:%=test/%)

$(HOUSE:%=test/%): test/%:
	$(VENV) -m pytest tests/$* $(PYTEST)

test/project:
	$(VENV) -m pytest tests/test_*.py $(PYTEST)

$(TESTED:%=test/%): test/%:
	@image=$$(PYTHONPATH=tests $(VENV) -m support.image $*); \
	tools=$$(PYTHONPATH=tests $(VENV) -m support.image --tools); \
	PYTHONPATH=src:tests:$$tools .venvs/$$image/bin/python -m pytest tests/workloads/$* $(PYTEST)

test/%:  ## runs the tests of one part: a folder of tests, or of tests/workloads in the environment of its image
	@echo "There are no tests called $*; there are: $(HOUSE) project $(TESTED)" >&2; exit 2

env:  ## builds every environment: .venv, and .venvs/<image> for each image
	@$(PYTHON) -m registry.environment --clone --testing --debian $(IMAGES)

env/%:  ## builds .venv and the environment of one image
	@$(PYTHON) -m registry.environment --clone --debian $*

lint: .venv  ## runs ruff, checks that rendered files and locks are fresh
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m registry render --check
	$(VENV) -m registry.locks --check

types: .venv  ## runs mypy, strict
	$(VENV) -m mypy

.venv:
	@$(PYTHON) -m registry.environment --clone --testing

changed: env  ## runs the smoke runs of workloads whose inputs changed since they last passed
	$(VENV) tests/smoke.py --changed

smoke: $(WORKLOADS:%=smoke/%)  ## runs every workload's smoke run, each on a server of its own

smoke/%: env/%
	$(VENV) tests/smoke.py $*

images-test: env  ## builds, pushes, pulls and runs images by the agent in docker mode (IMAGE=clip for one; needs root)
	$(VENV) -m pytest tests/containers $(IMAGE:%=--image %) $(PYTEST)

bench: $(BENCHMARKS:%=bench/%)  ## runs every benchmark; writes pages to docs/benchmarks/, rows to build/bench/

bench/%: env
	PYTHONPATH=tests $(VENV) -m benchmarks.$*

render: .venv  ## writes example scripts and the compose file from the declarations
	$(VENV) -m registry render

lock: .venv  ## locks every package of every environment, from the requirements.txt
	$(VENV) -m registry.locks

docs:  ## builds the documentation as a site in build/docs; a broken link is an error
	@$(PYTHON) -m registry.environment docs
	.venvs/docs/bin/mkdocs build --strict

clean:  ## removes what was built or written in this clone; the cache stays
	rm -rf .venv .venvs build outputs .mypy_cache .pytest_cache .ruff_cache .hypothesis
