"""Takes: a take is one drawing of a sentence. Here it is watched, judged and trimmed, by pure functions."""
