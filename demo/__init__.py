"""Trains the demo model, a tiny Spark-TTS that learns from espeak-ng. The server does not import it."""
