"""Mandarin texts for training, as pinyin: words by how often people use them, in random order.

Pinyin tells how a syllable is said, so the words around it hardly matter, and any order of words teaches reading.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np

from engine.text.pinyin import spelled

COMMON = 20_000  # words, by frequency
LISTENED = Path(__file__).with_name("listened_zh.txt")
"""Everyday sentences of the evaluation. Training meets their words, never them."""
_LENGTHS = 10  # words at most


def listened() -> list[str]:
    """Everyday sentences for independent judges to hear."""
    return LISTENED.read_text().splitlines()


@cache
def words() -> list[str]:
    """Chinese words as pinyin, "-" between the syllables, the most frequent first."""
    import wordfreq

    common = [word for word in wordfreq.top_n_list("zh", 2 * COMMON) if re.fullmatch("[\u4e00-\u9fff]{1,4}", word)]
    return [spelled(word).replace(" ", "-") for word in common[:COMMON]]


class MandarinTexts:
    """Draws texts at random."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._words = words()

    def draw(self) -> str:
        """1 to 10 words of pinyin with punctuation, such as "wo3-men5 qu4, ma5?"."""
        count = int(self._random.integers(1, 4) if self._random.random() < 0.25 else self._random.integers(3, _LENGTHS))
        chosen = [self._word() for _ in range(count)]
        for place in range(1, count - 1):
            if self._random.random() < 0.1:
                chosen[place] += ","
        return " ".join(chosen) + "...?!"[min(4, int(self._random.integers(0, 9)))]

    def _word(self) -> str:
        """A word, the ranks' logarithms evenly drawn for half of them: the more frequent, the likelier."""
        if self._random.random() < 0.5:
            return self._words[int(len(self._words) ** self._random.random()) - 1]
        return self._words[int(self._random.integers(len(self._words)))]
