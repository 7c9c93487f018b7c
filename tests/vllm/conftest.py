"""Tests that need vLLM, which has an environment of its own: `make test-vllm` runs them, `make test` does not."""

import importlib.util

collect_ignore_glob = [] if importlib.util.find_spec("vllm") else ["test_*.py"]
