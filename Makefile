# Every command the project knows. Needs make and Python 3.11 or newer with venv; the rest goes into ./.venv, by hash.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin
# Test processes: one more than there are cores, since many tests wait for a server of theirs.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# In the whole run thousands of tests share two cores with hundreds of servers: what fails there is tried once more, and both are told.
AGAIN  := --reruns 1 --reruns-delay 1 -r R
PY     := $(BIN)/python
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet
UV     := $(BIN)/uv --quiet pip
LOCK   := $(UV) compile $(ARGS)

# Agent frameworks do not agree on their dependencies: each has an environment of its own, made from requirements/frameworks/<name>.txt.
FRAMEWORK_VENVS ?= $(VENV)-frameworks
FRAMEWORKS      := $(patsubst requirements/frameworks/%.txt,%,$(wildcard requirements/frameworks/*.txt))
STORM_FRAMEWORKS := agent-framework azure-ai langchain openai-agents pydantic-ai
CI_FRAMEWORKS   := langchain pydantic-ai

CONSOLE := ledger/console/static/index.html

.DEFAULT_GOAL := help
.PHONY: help demo console test test-frameworks test-interop lint format captures bench faults soak fuzz audit sbom lock lock-frameworks build clean
.DELETE_ON_ERROR:

help:  ## say what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo $(CONSOLE)  ## install, run a small agent through a ledger, verify it, ask it, keep serving (ARGS=--once: do not)
	$(PY) -m demo $(ARGS)

console: $(CONSOLE)  ## build the page at /console, with node 20 or newer, else with one from PyPI

test: lint  ## install what tests need and pass them all, two frameworks included (ARGS="-k chain" for some)
	$(PY) -m pytest -n $(WORKERS) --dist loadfile $(if $(ARGS),,$(AGAIN)) $(ARGS)
	$(if $(ARGS),,$(MAKE) --no-print-directory test-frameworks ARGS="$(CI_FRAMEWORKS)")

test-frameworks: $(addprefix test-framework-,$(or $(ARGS),$(FRAMEWORKS)))  ## test every agent framework in its own environment (ARGS="langchain pydantic-ai" for some)

# The ledger that they talk to runs with the project's own Python and packages.
test-framework-%: $(FRAMEWORK_VENVS)/%/.installed $(VENV)/.test
	AGENT_LEDGER_PYTHON=$(abspath $(PY)) $(FRAMEWORK_VENVS)/$*/bin/python -m pytest -c tests/frameworks/pytest.ini --rootdir=. tests/frameworks/$*

test-interop: $(VENV)/.test $(VENV)-interop/.installed  ## witnesses, proofs and tiles against programs that are not ours; needs Go (ARGS="-k fsck" for some)
	INTEROP_PYTHON=$(abspath $(VENV)-interop/bin/python) $(PY) -m pytest -m interop tests/interop $(ARGS)

lint: $(VENV)/.test $(CONSOLE)  ## style, types, the arrows between rooms, generated files, the Dockerfile
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PY) -m ledger.records.generate --check
	$(PY) -m ledger.forensics.generate --check
	$(PY) -m ledger.api.generate --check
	$(BIN)/hadolint Dockerfile

format: $(VENV)/.test  ## put every file into the one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

captures: $(VENV)/.test  ## print what is found of each capture's actions and facets (ARGS=folder of captures)
	$(PY) -m tests.captures $(ARGS)

bench: $(VENV)/.test  ## print the ratios of benchmarks/, keep numbers and plots in .bench/ (ARGS="peers --quick" for one)
	$(PY) -m benchmarks --installed $(VENV)-peers $(ARGS)

faults: $(VENV)/.test  ## fail every call that touches the disk, in every way, and judge from outside (ARGS="--sample 500" for some)
	$(PY) -m tests.faults $(ARGS)

soak: $(VENV)/.test $(STORM_FRAMEWORKS:%=$(FRAMEWORK_VENVS)/%/.installed)  ## the tests that are too long for every run (ARGS="-k storm" for some)
	FRAMEWORK_VENVS=$(abspath $(FRAMEWORK_VENVS)) $(PY) -m pytest -m soak $(ARGS)

# atheris has an environment of its own: it replaces the modules that it watches, and is needed for nothing else.
fuzz: $(VENV)-fuzz/.installed  ## fuzz every parser (ARGS="--seconds 60 note policy" for some, --keep to put what was reached into the corpus)
	$(VENV)-fuzz/bin/python -m tests.fuzz $(ARGS)

audit: $(VENV)-audit/.installed  ## ask PyPI about known vulnerabilities of what requirements/*.txt pin (ARGS="-s osv" for OSV)
	@failed=; for file in requirements/*.txt; do echo "$$file"; \
	  $(VENV)-audit/bin/pip-audit --strict --progress-spinner off --disable-pip --require-hashes $(ARGS) --requirement $$file || failed=1; \
	done; test -z "$$failed"

sbom: $(VENV)-audit/.installed | $(PY)  ## write requirements/runtime.cdx.json: what a server installs, as CycloneDX
	$(VENV)-audit/bin/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml --mc-type application --index-url pkg:pypi \
	  --output-reproducible --output-format JSON --output-file - | $(PY) requirements/sbom.py requirements/runtime.cdx.json

build: $(VENV)/.test $(CONSOLE)  ## a wheel and an sdist in dist/
	$(BIN)/hatchling build --clean

# The largest set first, then the smaller ones as parts of it: one version of a package everywhere.
lock: $(VENV)/.lock  ## compile requirements/*.txt anew from pyproject.toml (ARGS=--upgrade for newer versions)
	$(LOCK) pyproject.toml --extra server --extra s3 --extra oidc --group test -o requirements/test.txt
	$(LOCK) pyproject.toml --extra server --extra s3 --extra oidc --group demo --group build -c requirements/test.txt -o requirements/demo.txt
	$(LOCK) pyproject.toml --extra server --extra s3 --extra oidc -c requirements/test.txt -o requirements/runtime.txt
	$(LOCK) pyproject.toml -c requirements/test.txt -o requirements/client.txt
	$(LOCK) --group build -c requirements/test.txt -o requirements/build.txt
	$(LOCK) pyproject.toml --extra server --extra s3 --extra oidc --group fuzz -c requirements/test.txt -o requirements/fuzz.txt
	$(LOCK) --group interop -o requirements/interop.txt
	$(LOCK) --group node -o requirements/node.txt
	$(LOCK) --group lock -o requirements/lock.txt
	$(LOCK) --group audit -o requirements/audit.txt
	$(MAKE) --no-print-directory sbom ARGS=

lock-frameworks: $(VENV)/.lock  ## compile requirements/frameworks/*.txt anew from the .in beside each (ARGS=--upgrade, too)
	@for source in requirements/frameworks/[a-z]*.in; do \
	  echo "$$source"; \
	  $(LOCK) --custom-compile-command "make lock-frameworks" "$$source" -o "$${source%.in}.txt" || exit 1; \
	done

clean:  ## remove what the commands above made
	rm -rf ledger/console/static web/node_modules
	rm -rf $(VENV) $(VENV)-node $(VENV)-peers $(VENV)-fuzz $(VENV)-audit $(VENV)-interop $(FRAMEWORK_VENVS) dist build .demo .bench .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Where its packages cannot be fetched (3) there is no console, and all else.
$(CONSOLE): $(wildcard web/src/* web/src/*/*) web/package-lock.json web/tsconfig.json web/build.mjs web/build.py | $(PY)
	$(PY) web/build.py $(VENV)-node || test $$? -eq 3

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

$(VENV)-fuzz/.installed: requirements/fuzz.txt | $(VENV)/.lock
	test -x $(@D)/bin/python || $(PY) -m venv --without-pip $(@D)
	$(UV) sync --python $(@D)/bin/python --require-hashes $<
	@touch $@

$(VENV)-interop/.installed: requirements/interop.txt | $(VENV)/.lock
	test -x $(@D)/bin/python || $(PY) -m venv --without-pip $(@D)
	$(UV) sync --python $(@D)/bin/python --require-hashes $<
	@touch $@

$(VENV)-audit/.installed: requirements/audit.txt | $(VENV)/.lock
	test -x $(@D)/bin/python || $(PY) -m venv --without-pip $(@D)
	$(UV) sync --python $(@D)/bin/python --require-hashes $<
	@touch $@

$(VENV)/.lock: requirements/lock.txt | $(PY)
	$(PIP) --require-hashes -r $<
	@touch $@
