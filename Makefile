# make serve [MODEL=...]   set everything up and serve; without MODEL, the built-in demo model
# make llama               build llama.cpp for this processor; `make serve MODEL=...` does so where there is no GPU
# make llama-server        build llama.cpp's own server for the tests, which run without it too
# make test | lint | types what CI runs

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
LLAMA := $(VENV)/.installed-llama
LLAMA_SERVER := $(BIN)/llama-server
WITHOUT_GPU := $(if $(shell command -v nvidia-smi),,$(LLAMA))

.PHONY: serve llama llama-server test lint types

serve: $(VENV)/.installed $(if $(MODEL),$(WITHOUT_GPU))
	$(BIN)/fast-spark serve $(if $(MODEL),--model $(MODEL)) $(ARGS)

llama: $(LLAMA)

llama-server: $(LLAMA_SERVER)

test: $(VENV)/.installed-dev $(LLAMA)
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev $(LLAMA)
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fast-Spark needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

$(LLAMA): $(VENV)/.installed scripts/build-llama
	scripts/build-llama $(BIN)/python
	@touch $@

$(LLAMA_SERVER): $(VENV)/.installed scripts/build-llama-server
	scripts/build-llama-server $(BIN)/python
