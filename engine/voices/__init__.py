"""Voices: made from samples and from attributes, kept in a database, found by name and id."""
