"""Tokens of the language model: the vocabulary, prompts, and the grammar of outputs."""
