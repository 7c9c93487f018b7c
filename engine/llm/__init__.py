"""The language model: a Protocol, a registry of backends, and a package for each backend."""
