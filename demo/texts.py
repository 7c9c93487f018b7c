"""Sentences for training: templates filled with common words and words of the system's list."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import yaml

from engine.text.normalise import normalise

WORD_LISTS = (Path("/usr/share/dict/american-english-small"), Path("/usr/share/dict/words"))
VOCABULARY = Path(__file__).with_name("vocabulary.yaml")
HELD_OUT = Path(__file__).with_name("held_out.txt")
PHRASES = Path(__file__).with_name("phrases.txt")
"""The sentences and short phrases of the evaluation: training never sees them."""


def simplified(text: str) -> str:
    """A text's letters in lower case, for comparisons."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))


def held_out() -> list[str]:
    """The held-out sentences, which are not in the training data, with numbers as words."""
    return [normalise(line) for line in HELD_OUT.read_text().splitlines() if line]


def phrases() -> list[str]:
    """Short held-out phrases without a full stop, as people type them to try a server."""
    return PHRASES.read_text().splitlines()


class Texts:
    """Random sentences, none of which is held out."""

    def __init__(self, random: np.random.Generator) -> None:
        """Read the word lists; raises RuntimeError if the system has none."""
        self._random = random
        content = yaml.safe_load(VOCABULARY.read_text())
        self._templates: list[str] = content["templates"]
        self._words: dict[str, list[str]] = {kind: words.split() for kind, words in content["words"].items()}
        self._common = sorted(
            {word for words in self._words.values() for word in words} | set(content["small"].split())
        )
        found = next((path for path in WORD_LISTS if path.is_file()), None)
        if found is None:
            raise RuntimeError("There is no list of English words: apt install wamerican-small")
        self._rare = [w for w in found.read_text().split() if re.fullmatch("[a-z]{3,11}", w)]
        self._excluded = {simplified(text) for text in held_out() + phrases()}

    def draw(self) -> str:
        """One sentence of 1 to about 16 words."""
        while True:
            kind = self._random.random()
            if kind < 0.62:
                text = self._filled()
            elif kind < 0.86:
                text = self._any_words()
            else:
                text = f"{self._filled()} {self._filled()}"
            if simplified(text) not in self._excluded:
                return text

    def _filled(self) -> str:
        """A template with its placeholders filled."""
        template = self._pick(self._templates)
        text = re.sub(r"\{(\w+)\}", lambda match: self._word(match[1]), template)
        text = re.sub(r"\ba(?= [aeiou])", "an", text)
        text = re.sub(r"\bA(?= [aeiou])", "An", text)
        return text[0].upper() + text[1:]

    def _word(self, kind: str) -> str:
        if kind in ("noun", "adjective") and self._random.random() < 0.25:
            return self._pick(self._rare)
        return self._pick(self._words[kind])

    def _any_words(self) -> str:
        """Random words, which must be read and cannot be guessed from the context."""
        count = int(self._random.integers(1, 8))
        words = [self._pick(self._rare if self._random.random() < 0.5 else self._common) for _ in range(count)]
        if count > 3 and self._random.random() < 0.5:
            words[int(self._random.integers(1, count - 1))] += ","
        text = " ".join(words)
        return text[0].upper() + text[1:] + "...?!"[min(4, int(self._random.integers(0, 9)))]

    def _pick(self, options: list[str]) -> str:
        return options[int(self._random.integers(len(options)))]
