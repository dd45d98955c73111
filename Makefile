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

help:  ## what there is to type
	@grep -hE '^[a-z/%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo:  ## one task makes a data set, two training runs learn from it, and are compared (KEEP=1 leaves the server up, PORT=8080)
	@bash example/demo.sh

quick: lint types  ## style, types and the tests of .venv that are not marked slow: while one works
	$(VENV) -m pytest $(TESTS) -m "not slow" $(PYTEST)

# Two parts at a time: most of the house's tests wait for processes, those of the workloads compute. A part is printed when it ends
test: env lint types  ## style, types and all tests; environments included (JOBS=1: one part after the other, printed as it goes)
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

test/%:  ## the tests of one part: a folder of tests or tests/workloads; those of a workload run in the environment of its image
	@echo "There are no tests called $*; there are: $(HOUSE) project $(TESTED)" >&2; exit 2

env:  ## every environment: .venv, and .venvs/<image> for each image
	@$(PYTHON) -m registry.environment --clone --testing --debian $(IMAGES)

env/%:  ## .venv and the environment of one image
	@$(PYTHON) -m registry.environment --clone --debian $*

lint: .venv  ## ruff, and whether the rendered files and the locks are fresh
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m registry render --check
	$(VENV) -m registry.locks --check

types: .venv  ## mypy, strict
	$(VENV) -m mypy

.venv:
	@$(PYTHON) -m registry.environment --clone --testing

changed: env  ## smoke runs of the workloads whose inputs have no green stamp in the cache
	$(VENV) tests/smoke.py --changed

smoke: $(WORKLOADS:%=smoke/%)  ## every workload's smoke run, on a server of its own

smoke/%: env/%
	$(VENV) tests/smoke.py $*

images-test: env  ## images built, pushed, pulled, and run by the agent in docker mode (IMAGE=clip for one; needs root)
	$(VENV) -m pytest tests/containers $(IMAGE:%=--image %) $(PYTEST)

bench: $(BENCHMARKS:%=bench/%)  ## every benchmark; tables on the terminal, rows in build/bench/

bench/%: env
	PYTHONPATH=tests $(VENV) -m benchmarks.$*

render: .venv  ## example scripts and compose file from the declarations
	$(VENV) -m registry render

lock: .venv  ## every package of every environment with its version, from the requirements.txt
	$(VENV) -m registry.locks

docs:  ## builds docs/ as a site in build/docs; a broken link is an error
	@$(PYTHON) -m registry.environment docs
	.venvs/docs/bin/mkdocs build --strict

clean:  ## what was built or written in this clone; the cache stays
	rm -rf .venv .venvs build outputs .mypy_cache .pytest_cache .ruff_cache .hypothesis
