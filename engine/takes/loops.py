"""Finds tokens that repeat more often than speech does, while they come."""

from __future__ import annotations

import numpy as np

from engine.types import TOKENS_PER_SECOND

LONGEST = 4 * TOKENS_PER_SECOND  # of a repeated phrase, in tokens
REPEATS = 3  # of a phrase that the text has once, the first time included
HELD = 30  # tokens, 0.6 s: of a sound, or a shorter phrase repeated so long
SUSPICIOUS = 12  # tokens, 0.24 s, that repeat others; not more than the first window looks ahead
MISMATCH = 3  # tokens that repeat others, and make up for one amid them that does not


class Loops:
    """The repetitions in a growing list of tokens.

    For each period up to LONGEST it keeps a score: the tokens that are the same as those one period earlier, less
    MISMATCH for each that is not, and 0 at least. Sampling seldom repeats a phrase token for token. A token costs a
    fixed number of operations, so the whole is linear in time.
    """

    def __init__(self, said: int = 1) -> None:
        """`said` is how many times in a row the text itself says the same: so often it is no loop."""
        self._tokens = np.zeros(1024, np.int64)
        self._count = 0
        self._scores = np.zeros(LONGEST, np.int64)  # by period - 1
        self._begun = np.zeros(LONGEST, np.int64)  # the first token of each score
        periods = np.arange(1, LONGEST + 1)
        turns = REPEATS - 1 + said
        self._needed = np.maximum((turns - 1) * periods, HELD * turns // REPEATS - periods)
        self._more = (said - 1) * periods  # tokens that repeat others as the text does
        self._suspicious = SUSPICIOUS + self._more

    @property
    def suspicious(self) -> bool:
        """Whether the last tokens may be the beginning of a loop."""
        return bool(np.any(self._scores >= self._suspicious))

    def push(self, token: int) -> int | None:
        """Take the next token; return the number of tokens before the loop's second turn if this completes a loop.

        A held token's second turn is its second token. What the text says more than once is one turn.
        """
        if self._count == len(self._tokens):
            self._tokens = np.concatenate((self._tokens, np.zeros_like(self._tokens)))
        count = min(self._count, LONGEST)
        same = self._tokens[self._count - count : self._count][::-1] == token
        scores, begun = self._scores[:count], self._begun[:count]
        begun[same & (scores == 0)] = self._count
        scores += np.where(same, 1, -MISMATCH)
        np.maximum(scores, 0, out=scores)
        self._tokens[self._count] = token
        self._count += 1
        looping = np.flatnonzero(self._scores >= self._needed)
        return int((self._begun + self._more)[looping].min()) if looping.size else None
