# Two commands do everything on a bare machine: `make demo` and `make test`.
# Lets Python write compiled libraries into the environments: otherwise each process that imports PyTorch compiles them for seconds
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

help:  ## list the targets
	@grep -hE '^[a-z/%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo:  ## make a dataset, train two runs on it, compare them (KEEP=1 leaves the server running, PORT=8080 sets its port)
	@bash example/demo.sh

# Two parts at a time: most of the project's tests wait for processes, while those of the workloads compute. A part is printed when it ends
PARTS = @$(MAKE) --no-print-directory --jobs=$(JOBS) $(if $(filter 1,$(JOBS)),,--output-sync) --keep-going

quick: lint types  ## check style and types, and run the fast tests of .venv
	$(PARTS) $(HOUSE:%=test/%) test/project PYTEST='-m "not slow" $(PYTEST)'

test: env lint types  ## build all environments, check style and types, and run all tests (JOBS=1: one part at a time)
	$(PARTS) $(HOUSE:%=test/%) test/project $(TESTED:%=test/%)

$(HOUSE:%=test/%): test/%:
	$(VENV) -m pytest tests/$* $(PYTEST)

test/project:
	$(VENV) -m pytest tests/test_*.py $(PYTEST)

$(TESTED:%=test/%): test/%:
	@image=$$(PYTHONPATH=tests $(VENV) -m support.image $*); \
	tools=$$(PYTHONPATH=tests $(VENV) -m support.image --tools); \
	PYTHONPATH=src:tests:$$tools .venvs/$$image/bin/python -m pytest tests/workloads/$* $(PYTEST)

test/%:  ## run the tests of one part: a folder of tests, or a workload (in the environment of its image)
	@echo "There are no tests called $*; available: $(HOUSE) project $(TESTED)" >&2; exit 2

env:  ## build every environment: .venv, and .venvs/<image> for each image
	@$(PYTHON) -m registry.environment --clone --testing --debian $(IMAGES)

env/%:  ## build .venv and the environment of one image
	@$(PYTHON) -m registry.environment --clone --debian $*

lint: .venv  ## run ruff, and check that rendered files and locks are up to date
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m registry render --check
	$(VENV) -m registry.locks --check

types: .venv  ## run mypy in strict mode
	$(VENV) -m mypy

.venv:
	@$(PYTHON) -m registry.environment --clone --testing

changed: env  ## run the smoke runs of workloads that changed since they last passed
	$(VENV) tests/smoke.py --changed

smoke: $(WORKLOADS:%=smoke/%)  ## run every workload's smoke run, each on its own server

smoke/%: env/%
	$(VENV) tests/smoke.py $*

images-test: env  ## build, push and pull the images, and run agents with --docker (IMAGE=clip for one; needs root)
	$(VENV) -m pytest tests/containers $(IMAGE:%=--image %) $(PYTEST)

bench: $(BENCHMARKS:%=bench/%)  ## run every benchmark; prints tables, and writes rows to build/bench/

bench/%: env
	PYTHONPATH=tests $(VENV) -m benchmarks.$*

render: .venv  ## write the example scripts and the compose file from the declarations
	$(VENV) -m registry render

# An environment that exists is good enough: it could not be built anew while its own lock is out of date
lock:  ## write the locks of all environments from their requirements.txt
	@test -x $(VENV) || $(MAKE) --no-print-directory .venv
	$(VENV) -m registry.locks

docs:  ## build the site of docs/ in build/docs; a broken link is an error
	@$(PYTHON) -m registry.environment docs
	.venvs/docs/bin/mkdocs build --strict

clean:  ## remove what was built or written in this clone; keeps the cache
	rm -rf .venv .venvs build outputs .mypy_cache .pytest_cache .ruff_cache .hypothesis
