"""Text as a voice should read it: normalised, and in sentences; pure functions."""
