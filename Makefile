# `make demo` and `make test` need Python 3.11 or newer and make, nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Tests are divided between two processes, file by file, in the order of tests/conftest.py; those of the Slurm
# cluster run alone, since its jobs need both cores.
WORKERS ?= -n 2 --dist loadfile --no-loadscope-reorder
# Tests and the demo must see this checkout and this environment, not what the shell has activated.
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: help demo test test-fast bench docs lint format schemas rooms containers install install-dev install-slurm install-browser clean-demo

help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: install ## install everything and run the whole workflow, small, on generated images
	snakemake

test: install-dev install-slurm install-browser lint ## install everything, lint, and run the whole test suite
	python -m pytest $(WORKERS) --ignore=tests/slurm
	python -m pytest tests/slurm

test-fast: install-dev ## the tests to run all day (under five minutes)
	python -m pytest $(WORKERS) -m "not slow"

bench: install-dev ## measure speed and memory into benchmarks/results (up to an hour on two idle cores)
	python benchmarks/run.py $(BENCH)

docs: install-dev ## build the documentation into docs/_build (a warning is an error)
	python -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build
	@echo "The documentation is docs/_build/index.html."

lint: install-dev ## ruff, snakefmt and snakemake --lint
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow
	snakemake --lint

format: install-dev ## format Python and Snakemake files
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

schemas: install ## write workflow/schemas from the classes that read the configuration
	python -m meddiff schemas

rooms: install ## write the picture of the rooms into ARCHITECTURE.md from the imports
	python docs/rooms.py

containers: install ## write envs/meddiff.def and envs/Dockerfile with the pins of requirements.txt
	python envs/containers.py

install: $(VENV)/.installed ## create .venv with what the workflow needs

install-dev: $(VENV)/.installed-dev ## the same, with what tests and linters need

install-slurm: ## Slurm of Debian for tests/slurm, where it is missing and can be installed without asking
	tests/slurm/install.sh

install-browser: ## Chromium of Debian for tests/browser, where it is missing and can be installed without asking
	tests/browser/install.sh

clean-demo: ## delete the demo's results and images
	rm -rf results/demo logs/demo data/phantom_chest data/phantom_skin splits/phantom_chest splits/phantom_skin

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else f"Python 3.11 or newer is needed, {sys.executable} is {v[0]}.{v[1]}; name another one with PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python envs/requirements.txt envs/requirements-dvc.txt pyproject.toml
	python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt -r envs/requirements-dvc.txt
	python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed envs/requirements-dev.txt
	python -m pip install --quiet --disable-pip-version-check -r envs/requirements-dev.txt
	touch $@
