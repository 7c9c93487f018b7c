"""What cannot run here is not collected: vLLM's tests have an environment of their own, `make test-vllm`."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("vllm") else ["test_vllm_*.py"]
