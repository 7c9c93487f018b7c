"""llama.cpp through its C API, on a CPU."""
