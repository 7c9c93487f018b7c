"""Where and in which order work runs: devices, threads, batches, ordered streams."""
