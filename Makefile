# What a person does here. Everything is installed under .venv, with the versions of constraints.txt.

VENV ?= .venv
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
WORKERS ?= 3
TORCH = 2.13.0

# what Python has compiled is kept, whatever the shell says: else each process of the tests compiles all that it imports anew
unexport PYTHONDONTWRITEBYTECODE

BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip
INSTALLED = $(VENV)/.installed
PLUGINS = $(patsubst %/pyproject.toml,./%,$(wildcard plugins/*/pyproject.toml))
EDITABLE = $(foreach folder,$(PLUGINS),-e $(folder)) -e '.[dev]'
QUICKSTART = -c configs/quickstart.yaml

.DEFAULT_GOAL := help
.PHONY: help setup demo test tests lint format types docs clean constraints

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# pip runs again only when what is to be installed has changed; the one that comes with Python 3.11 takes much longer
$(INSTALLED): constraints.txt pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ragkit needs Python 3.11 or newer: make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "installing into $(VENV); the first time takes some minutes"
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q 'pip>=26'
	$(PIP) install -q -c constraints.txt hatchling editables
	$(PIP) install -q -c constraints.txt --no-compile --no-build-isolation $(EDITABLE)
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib ragkit plugins || true # some packages bring templates that are no Python
	@touch $@

setup: $(INSTALLED) ## create .venv and install ragkit, its plugins and the tools

demo: $(INSTALLED) ## ingest ragkit's own docs/, answer a question with citations, open the chat page
	$(BIN)/ragkit ingest $(QUICKSTART)
	$(BIN)/ragkit ask $(QUICKSTART) "What happens to a document when its source fails midway?"
	@if [ -t 1 ]; then exec $(BIN)/ragkit chat $(QUICKSTART); else $(PAGE_BEHIND); fi

# where nobody sits at a terminal the page is left running, and its address and its end are said
PAGE_BEHIND = log=.ragkit/page.log; nohup $(BIN)/ragkit chat $(QUICKSTART) --port 0 >$$log 2>&1 </dev/null & page=$$!; \
	for try in $$(seq 240); do grep -q 'the page:' $$log && break; kill -0 $$page 2>/dev/null || { cat $$log >&2; exit 1; }; sleep 0.25; done; \
	grep -A1 'the page:' $$log; echo "it runs until: kill $$page"

# a core for each worker: where both have torch compute on all of them, they wait for each other
test: export OMP_NUM_THREADS = 1

test: $(INSTALLED) lint ## every check
	@$(MAKE) --no-print-directory -j 2 types tests

tests: $(INSTALLED)
	$(BIN)/pytest -q -n $(WORKERS)

lint: $(INSTALLED) ## ruff, and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

format: $(INSTALLED) ## rewrite with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(INSTALLED) ## mypy, strict
	$(BIN)/mypy ragkit $(foreach folder,$(PLUGINS),$(folder)) examples

docs: $(INSTALLED) ## write the generated parts of the pages anew, and run every snippet and example
	$(BIN)/python tests/house/reference.py
	$(BIN)/pytest -q tests/house

clean: ## remove what tools and builds left; .venv and .ragkit stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

constraints: ## resolve every dependency anew and pin it in constraints.txt
	rm -rf build/constraints
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/python -m pip install -q hatchling editables
	build/constraints/bin/python -m pip install -q --no-build-isolation torch==$(TORCH) $(EDITABLE)
	{ echo "# Every version that ragkit is tested with (make constraints)."; \
	  build/constraints/bin/python -m pip freeze --exclude-editable | sed -E 's/\+[a-z0-9.]+$$//'; } > constraints.txt
	rm -rf build/constraints
