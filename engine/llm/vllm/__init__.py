"""vLLM, on a CUDA device."""
