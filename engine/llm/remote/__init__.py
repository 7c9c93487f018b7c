"""`backend: remote`: the language model runs in other servers, over HTTP."""
