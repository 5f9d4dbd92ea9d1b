# `make check` is what CI runs. Another interpreter: make PYTHON=python3.12 install

PYTHON ?= python3
OUT := $(or $(OUT),runs/demo-$(shell date +%Y%m%d-%H%M%S))
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo test check clean

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or too old: Python 3.11 or newer is needed." \
			"Name one, as in: make PYTHON=python3.12 install" >&2; exit 1; }
	@echo "Installing into .venv; the first time takes some minutes."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-c constraints.txt -e '.[dev]'
	@touch $@
	@echo "Installed: $(BIN)/textenv --help"

demo: install
	$(BIN)/textenv train TextSummarize-v0 --out $(OUT)

test: install
	$(BIN)/python -m pytest -q

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory test

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
