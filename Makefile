# Every command the project knows. Needs make and Python 3.11 or newer with venv; the rest goes into ./.venv, by hash.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin
PY     := $(BIN)/python
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet
UV     := $(BIN)/uv --quiet pip
LOCK   := $(UV) compile $(ARGS)

# Agent frameworks do not agree on their dependencies: each has an environment of its own, made from requirements/frameworks/<name>.txt.
FRAMEWORK_VENVS ?= $(VENV)-frameworks
FRAMEWORKS      := $(patsubst requirements/frameworks/%.txt,%,$(wildcard requirements/frameworks/*.txt))
STORM_FRAMEWORKS := agent-framework azure-ai langchain openai-agents pydantic-ai
CI_FRAMEWORKS   := agent-framework langchain openai-agents pydantic-ai

.DEFAULT_GOAL := help
.PHONY: help demo test test-frameworks lint format captures bench soak lock lock-frameworks build clean
.DELETE_ON_ERROR:

help:  ## say what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## install, run a small agent through a ledger, verify it, ask it, keep serving (ARGS=--once: do not)
	$(PY) -m demo $(ARGS)

test: lint  ## install what tests need and pass them all, four frameworks included (ARGS="-k chain" for some)
	$(PY) -m pytest $(ARGS)
	$(if $(ARGS),,$(MAKE) --no-print-directory test-frameworks ARGS="$(CI_FRAMEWORKS)")

test-frameworks: $(addprefix test-framework-,$(or $(ARGS),$(FRAMEWORKS)))  ## test every agent framework in its own environment (ARGS="langchain pydantic-ai" for some)

# The ledger that they talk to runs with the project's own Python and packages.
test-framework-%: $(FRAMEWORK_VENVS)/%/.installed $(VENV)/.test
	AGENT_LEDGER_PYTHON=$(abspath $(PY)) $(FRAMEWORK_VENVS)/$*/bin/python -m pytest -c tests/frameworks/pytest.ini --rootdir=. tests/frameworks/$*

lint: $(VENV)/.test  ## style, types, the arrows between rooms, generated files, the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PY) -m ledger.records.generate --check
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.test  ## put every file into the one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

captures: $(VENV)/.test  ## print what is found of each capture's actions and facets (ARGS=folder of captures)
	$(PY) -m tests.captures $(ARGS)

bench: $(VENV)/.test  ## print the ratios of benchmarks/
	$(PY) -m benchmarks $(ARGS)

soak: $(VENV)/.test $(STORM_FRAMEWORKS:%=$(FRAMEWORK_VENVS)/%/.installed)  ## the tests that are too long for every run (ARGS="-k storm" for some)
	FRAMEWORK_VENVS=$(abspath $(FRAMEWORK_VENVS)) $(PY) -m pytest -m soak $(ARGS)

build: $(VENV)/.test  ## a wheel and an sdist in dist/
	$(BIN)/hatchling build --clean

# The largest set first, then the smaller ones as parts of it: one version of a package everywhere.
lock: $(VENV)/.lock  ## compile requirements/*.txt anew from pyproject.toml (ARGS=--upgrade for newer versions)
	$(LOCK) pyproject.toml --extra server --group test -o requirements/test.txt
	$(LOCK) pyproject.toml --extra server --group demo --group build -c requirements/test.txt -o requirements/demo.txt
	$(LOCK) pyproject.toml --extra server -c requirements/test.txt -o requirements/runtime.txt
	$(LOCK) pyproject.toml -c requirements/test.txt -o requirements/client.txt
	$(LOCK) --group build -c requirements/test.txt -o requirements/build.txt
	$(LOCK) --group lock -o requirements/lock.txt

lock-frameworks: $(VENV)/.lock  ## compile requirements/frameworks/*.txt anew from the .in beside each (ARGS=--upgrade, too)
	@for source in requirements/frameworks/[a-z]*.in; do \
	  echo "$$source"; \
	  $(LOCK) --custom-compile-command "make lock-frameworks" "$$source" -o "$${source%.in}.txt" || exit 1; \
	done

clean:  ## remove what the commands above made
	rm -rf $(VENV) $(FRAMEWORK_VENVS) dist build .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$$($(PYTHON) --version) is too old: Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "no virtual environment could be made: on Debian, apt install python3-venv"; rm -rf $(VENV); exit 1; }

# A stamp is newer than what it was made from. The tests' packages include the demo's.
$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(PY)
	$(PIP) --require-hashes -r $<
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml | $(PY)
	$(PIP) --require-hashes -r $<
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.demo

# uv: some of these environments have 200 packages.
.PRECIOUS: $(FRAMEWORK_VENVS)/%/.installed
$(FRAMEWORK_VENVS)/%/.installed: requirements/frameworks/%.txt | $(VENV)/.lock
	test -x $(@D)/bin/python || $(PY) -m venv --without-pip $(@D)
	$(UV) sync --python $(@D)/bin/python --require-hashes $<
	@touch $@

$(VENV)/.lock: requirements/lock.txt | $(PY)
	$(PIP) --require-hashes -r $<
	@touch $@
