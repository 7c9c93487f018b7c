"""Texts for training: prose, templates filled with words, and words by how often people use them.

The prose is that of Debian's package `fortunes`, cut into pieces of a sentence. It stays on the machine that trains.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from engine.text.normalise import normalise

PROSE = Path("/usr/share/games/fortunes")
COMMON = 30_000  # words, by frequency
VOCABULARY = Path(__file__).with_name("vocabulary.yaml")
HELD_OUT = Path(__file__).with_name("held_out.txt")
PHRASES = Path(__file__).with_name("phrases.txt")
LISTENED = Path(__file__).with_name("listened.txt")
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


def listened() -> list[str]:
    """Everyday sentences for independent judges to hear."""
    return LISTENED.read_text().splitlines()


@cache
def prose() -> list[list[str]]:
    """Sentences of ordinary prose, as words with punctuation; raises RuntimeError if none is installed."""
    if not PROSE.is_dir():
        raise RuntimeError("There is no prose to learn from: apt install fortunes")
    found = []
    for file in sorted(path for path in PROSE.iterdir() if path.suffix == "" and path.is_file()):
        for piece in re.split(r"\n%\n", file.read_text(errors="replace")):
            text = re.sub(r"\s+", " ", piece.partition("\t\t--")[0])
            for sentence in re.split(r"(?<=[.?!]) ", text):
                words = normalise(sentence).split()
                if len(words) > 2 and all(
                    re.fullmatch(r"[A-Za-z][a-z]*('[a-z]+)?[,;:]?[.?!]?", word) for word in words
                ):
                    found.append(words)
    return found


class Texts:
    """Random texts of one sentence, none of which is held out."""

    def __init__(self, random: np.random.Generator) -> None:
        """Read the words and the prose; raises RuntimeError if something is not installed."""
        try:
            from wordfreq import top_n_list
        except ImportError as error:
            raise RuntimeError("The frequencies of words are not installed: pip install -e '.[demo]'") from error
        self._random = random
        content = yaml.safe_load(VOCABULARY.read_text())
        self._templates: dict[str, list[str]] = {kind: content[kind] for kind in ("templates", "short", "numbered")}
        self._words: dict[str, list[str]] = {kind: words.split() for kind, words in content["words"].items()}
        self._common = [word for word in top_n_list("en", COMMON) if re.fullmatch(r"[a-z]{1,14}('[a-z]+)?", word)]
        self._prose = prose()
        self._excluded = {simplified(text) for text in held_out() + phrases() + listened()}

    def draw(self) -> str:
        """A text of 1 to about 16 words."""
        while True:
            kind = self._random.random()
            if kind < 0.15:
                text = self._filled("templates")
            elif kind < 0.23:
                text = self._filled("short")
            elif kind < 0.29:
                text = normalise(self._filled("numbered"))
            elif kind < 0.6:
                text = self._any_words()
            else:
                text = self._piece()
            if simplified(text) not in self._excluded:
                return text

    def _filled(self, kind: str) -> str:
        """A template with its placeholders filled."""
        template = self._pick(self._templates[kind])
        text = re.sub(r"\{(\w+)\}", lambda match: self._word(match[1]), template)
        text = re.sub(r"\ba(?= [aeiou])", "an", text)
        text = re.sub(r"\bA(?= [aeiou])", "An", text)
        return text[0].upper() + text[1:]

    def _word(self, kind: str) -> str:
        if kind.isdecimal():  # a number, as likely short as long
            return str(int((int(kind) + 1) ** self._random.random()) - 1)
        if kind in ("noun", "adjective") and self._random.random() < 0.25:
            return self._frequent()
        return self._pick(self._words[kind])

    def _frequent(self) -> str:
        """A word: the more frequent, the likelier, with the ranks' logarithms evenly drawn."""
        rank = len(self._common) ** self._random.random() if self._random.random() < 0.5 else None
        return self._pick(self._common) if rank is None else self._common[int(rank) - 1]

    def _any_words(self) -> str:
        """Random words, which must be read and cannot be guessed from the context."""
        count = int(self._random.integers(1, 9))
        words = [self._frequent() for _ in range(count)]
        if count > 3 and self._random.random() < 0.5:
            words[int(self._random.integers(1, count - 1))] += ","
        text = " ".join(words)
        return text[0].upper() + text[1:] + "...?!"[min(4, int(self._random.integers(0, 9)))]

    def _piece(self) -> str:
        """Words that follow one another in prose, from a whole sentence to a single one."""
        words = self._prose[int(self._random.integers(len(self._prose)))]
        count = int(self._random.integers(1, 5) if self._random.random() < 0.25 else self._random.integers(4, 15))
        start = int(self._random.integers(max(1, len(words) - count + 1)))
        text = " ".join(words[start : start + count]).rstrip(",;:.?!")
        end = words[min(start + count, len(words)) - 1][-1]
        return text[0].upper() + text[1:] + (end if end in "?!" else ".")

    def _pick(self, options: list[str]) -> str:
        return options[int(self._random.integers(len(options)))]
