"""Benchmarks: what the documentation says of speed, measured on the host at hand."""
