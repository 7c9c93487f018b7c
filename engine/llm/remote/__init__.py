"""`backend: remote`: the language model in servers of its own, over HTTP."""
