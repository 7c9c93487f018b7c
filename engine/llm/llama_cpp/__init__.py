"""`backend: llama-cpp`: the language model in llama.cpp, through its C API, on a CPU."""
