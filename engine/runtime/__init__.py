"""Where and in which order work runs: devices, threads, batches and ordered streams."""
