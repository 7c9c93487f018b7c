"""PyTorch, on a CPU or a CUDA device."""
