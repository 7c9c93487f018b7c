"""The command `fast-spark bench`: latency and throughput of a server by number of clients."""
