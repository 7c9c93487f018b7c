"""Trains the demo model: a tiny Spark-TTS that speaks, taught by espeak-ng. The server does not import it."""
