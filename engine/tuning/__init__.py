"""Measured choices: which form of the codec and which backend of the language model are fastest on this host."""
