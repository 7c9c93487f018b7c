"""What a text says and how: pauses, several speakers, tempo, before any of it is normalised; pure functions."""
