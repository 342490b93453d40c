# Everything runs in .venv, which the first target makes; all that is needed beforehand is Python 3.11 or later and make.

PYTHON ?= python3
PORT ?= 8000
SECONDS ?= 60
LABELS ?=
ROWS ?= 20000
SIZES ?= 1000,20000,1000000

BIN := .venv/bin
STAMP := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help demo test lint django bench golden fuzz crash clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,django]'
	@touch $@

demo: $(STAMP) ## a bookshop in Django's admin on a ZODB file, at http://127.0.0.1:$PORT/admin/ (admin / admin)
	@$(BIN)/python -m tests.demo --port $(PORT)

test: lint ## ruff, mypy, import-linter and pytest
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(STAMP) ## ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

django: $(STAMP) ## Django's own test suite on django_zodb (LABELS="queries lookup" for a part of it)
	$(BIN)/python -m tests.django $(LABELS)

bench: $(STAMP) ## speed side by side with sqlite3: the driver and processes (ROWS=20000), the ORM (SIZES=1000,20000,1000000), memory
	$(BIN)/python -m tests.bench --rows $(ROWS) --sizes $(SIZES)
	$(BIN)/python -m tests.bench memory --rows 1000000

golden: $(STAMP) ## rewrite the golden files; review the difference before committing it
	$(BIN)/python -m pytest tests -k golden --golden=rewrite

fuzz: $(STAMP) ## random schemas, rows and queries against sqlite3 for SECONDS
	$(BIN)/python -m tests.fuzz $(SECONDS)

crash: $(STAMP) ## eight processes, killed at random, on one file, with blobs and over ZEO, for SECONDS each
	$(BIN)/python -m tests.crash --seconds $(SECONDS)
	$(BIN)/python -m tests.crash --seconds $(SECONDS) --blobs
	$(BIN)/python -m tests.crash --seconds $(SECONDS) --zeo

clean: ## remove what the targets made
	rm -rf .venv .demo .django .bench build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
