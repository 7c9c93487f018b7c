"""The language model: a Protocol, a registry of backends, and a module for each."""
