# `make` alone lists the targets. Everything is installed into .venv, nothing outside it.

PYTHON  ?= python3
SOURCE  ?=
ARGS    ?=
# More than two cores need: tests also wait, for processes to start and for servers.
WORKERS ?= 3

BIN      := .venv/bin
UV       := $(BIN)/uv
RUN_TIME := .venv/.run-time
TEST     := .venv/.test
DOCS     := .venv/.docs
# Compiled once here, not by each of the many processes that a test run or torchrun starts.
INSTALL  := $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile
	@echo 'Settings: PYTHON=python3.12 (which Python makes .venv), ARGS="-k name" (handed to the command).'

# ---- environment -------------------------------------------------------------------------------

.PHONY: env env-test
env: $(RUN_TIME) ## make .venv with the pinned run-time packages and the project, editable
	@echo "Ready: $(BIN)/melstream --help"
env-test: $(TEST) ## add the pinned packages that tests and linters need
	@:

$(UV):
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo 'make: $(PYTHON): no such program; name a Python, 3.11 or newer: make PYTHON=python3.11' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$("$(PYTHON)" --version 2>&1) is too old, 3.11 is needed: make PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'make: $(PYTHON) lacks the venv module (on Debian and Ubuntu: apt install python3-venv)' >&2; exit 1; }
	@echo "Making .venv with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements-test.txt uv

$(RUN_TIME): requirements.txt pyproject.toml | $(UV)
	@echo "Installing the run-time packages (the first time some 3 GB, most of it CUDA)"
	@$(INSTALL) --requirements requirements.txt
	@$(INSTALL) --no-deps --editable .
	@touch $@

$(TEST): requirements-test.txt $(RUN_TIME)
	@echo "Installing the test packages"
	@$(INSTALL) --requirements requirements-test.txt
	@touch $@

NO_DEVICE := --override docker/ingest-overrides.txt --constraint requirements-test.txt

$(DOCS): requirements-docs.txt $(RUN_TIME)
	@$(INSTALL) --requirements requirements-docs.txt
	@touch $@

.PHONY: pins
pins: | $(UV) ## compile requirements*.txt anew from pyproject.toml (ARGS=--upgrade: newest versions)
	@$(call compile,requirements.txt,what melstream needs to run)
	@$(call compile,requirements-test.txt,the same and what the tests and linters need,--extra test --constraint requirements.txt)
	@$(call compile,requirements-docs.txt,the same and what builds the documentation,--extra docs --constraint requirements-test.txt)
	@$(call compile,docker/requirements-ingest.txt,what ingesting needs,--extra youtube $(NO_DEVICE))
	@$(call compile,docker/requirements-ray.txt,what ingesting on Ray needs,--extra youtube --extra ray $(NO_DEVICE))

# $(call compile,FILE,WHAT,OPTIONS): the pins that FILE has already are kept where they still fit.
define compile
$(UV) pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
  --no-header --annotation-style line \
  $(3) $(ARGS) --output-file $(1) pyproject.toml \
&& { printf '# Pinned versions of %s.\n# Made from pyproject.toml by `make pins`; not edited by hand.\n' '$(2)'; \
     cat $(1); } > $(1).new \
&& mv $(1).new $(1)
endef

# ---- use ---------------------------------------------------------------------------------------

.PHONY: demo
demo: $(RUN_TIME) ## run the whole way on the embedded sample: ingest, inspect, train
	@$(BIN)/melstream demo $(ARGS)

.PHONY: esc10 esc10-ablation
esc10: $(RUN_TIME) ## five-fold cross-validation (SOURCE=folder: the full recordings, not the embedded ones)
	@$(BIN)/python -m benchmarks.esc10 $(if $(SOURCE),--source "$(SOURCE)") $(ARGS)
esc10-ablation: $(RUN_TIME) ## the same with each augmentation of the recipe esc50 switched off (SOURCE=folder; long)
	@$(BIN)/python -m benchmarks.esc10_ablation $(if $(SOURCE),--source "$(SOURCE)") $(ARGS)

.PHONY: bench bench-ingest bench-loader bench-features bench-augment bench-plan bench-availability bench-feature_cache bench-loader_s3 bench-simulate bench-gpu soak
bench: $(TEST) ## measure the loader beside two others; writes benchmarks/results
	@$(BIN)/python -m benchmarks.pipeline $(ARGS)
bench-ingest: $(TEST) ## measure ingest per core beside the peers that are installed
	@$(BIN)/python -m benchmarks.ingest $(ARGS)

bench-loader: $(TEST) ## measure the loader beside its peers, each in an environment of its own (long)
	@$(BIN)/python -m benchmarks.loader $(ARGS)
bench-features bench-augment bench-plan bench-availability bench-feature_cache bench-loader_s3 bench-simulate bench-gpu: bench-%: $(TEST) ## measure one part
	@$(BIN)/python -m benchmarks.$* $(ARGS)
soak: $(TEST) ## stream for half an hour and watch the memory
	@MALLOC_ARENA_MAX=2 $(BIN)/python -m benchmarks.soak --minutes 30 $(ARGS)

# ---- development -------------------------------------------------------------------------------

.PHONY: test test-slow
test: $(TEST) ## run the tests, without the slow ones and those that need a GPU (WORKERS=0: in one process)
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)
test-slow: $(TEST) ## run the slow tests
	@$(BIN)/python -m pytest -m "slow and not gpu" $(ARGS)

.PHONY: e2e
e2e: $(TEST) ## S3 server, ingest into it, two-process training from it, killed and resumed
	@$(BIN)/python -m pytest -m "slow and not gpu" tests/e2e $(ARGS)

.PHONY: docs
docs: $(DOCS) ## build the documentation into site
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "site/index.html"

.PHONY: lint
lint: $(TEST) ## check style, format, types and the direction of imports
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(TEST) ## bring the code into the one format
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

.PHONY: image
image: ## build the images with Docker or buildah and try them (docker/image.sh tells the settings)
	@docker/image.sh $(ARGS)

.PHONY: wheel
wheel: $(RUN_TIME) ## build the wheel into dist
	@$(UV) build --quiet --wheel --out-dir dist --python $(BIN)/python
	@ls dist/*.whl

.PHONY: clean
clean: ## remove .venv, dist and the tools' caches
	@rm -rf .venv dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
