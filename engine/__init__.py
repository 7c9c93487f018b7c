"""Speech from text: the engine. It knows nothing of HTTP."""
