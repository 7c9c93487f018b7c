"""`backend: torch`: the language model in PyTorch, on a CPU or a CUDA device."""
