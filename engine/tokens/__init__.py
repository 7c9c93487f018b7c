"""Tokens of the language model: the vocabulary, the prompts, and the grammar of the output."""
