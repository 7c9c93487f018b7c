"""Respellings of words that a model reads wrongly, for all requests or for one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.text.draft import Draft, Edit
from engine.text.language import Language, Languages
from engine.text.script import CJK

_IN_WORD = re.compile(rf"[^\W_{CJK}]")
_TOKEN = re.compile(rf"{_IN_WORD.pattern}+|\S")


@dataclass(frozen=True, slots=True)
class Entry:
    """A word and its respelling. A `word` in lower case stands for all its cases, any other for itself only.

    `chinese` restricts it to Chinese sentences, or to others; None does not.
    """

    word: str
    respelling: str
    chinese: bool | None = None

    @property
    def any_case(self) -> bool:
        """Whether the word stands for all its cases."""
        return self.word == self.word.lower()

    def pattern(self) -> re.Pattern[str]:
        """What is written as the word. Its spaces are any white space, its apostrophes of any form."""
        parts = (re.escape(part).replace("'", "['’]") for part in self.word.split())
        return re.compile(r"\s+".join(parts), re.IGNORECASE if self.any_case else 0)

    def ends_at(self, text: str, end: int) -> bool:
        """Whether the word, written up to this position, is not the beginning of a longer one."""
        # Not in the pattern: to compile that for each entry of a request would take milliseconds.
        return not (_IN_WORD.match(self.word[-1]) and _IN_WORD.match(text, end))


class Lexicon:
    """Entries by the first token of their words, in layers: an earlier one goes over a later one."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Make a lexicon of one layer; a later entry goes over an earlier one with the same word and language."""
        index: dict[str, list[tuple[Entry, re.Pattern[str]]]] = {}
        unique = {(entry.word, entry.chinese): entry for entry in map(_composed, entries)}
        # The longest first, then those that say more: of one case, of one language.
        for entry in sorted(unique.values(), key=lambda one: (-len(one.word), one.any_case, one.chinese is None)):
            if first := _TOKEN.match(entry.word):
                index.setdefault(first[0].lower(), []).append((entry, entry.pattern()))
        self._layers: tuple[dict[str, list[tuple[Entry, re.Pattern[str]]]], ...] = (index,) if index else ()

    @classmethod
    def of_words(cls, words: Mapping[str, str]) -> Lexicon:
        """A lexicon for all languages."""
        return cls(Entry(word, respelling) for word, respelling in words.items())

    def over(self, other: Lexicon) -> Lexicon:
        """Both lexicons; the entries of this one go over those of the other."""
        both = Lexicon()
        both._layers = self._layers + other._layers
        return both

    def apply(self, draft: Draft, language: Language | None) -> None:
        """Replace the words of the lexicon: whole words, the longest at each position."""
        if self._layers:
            draft.apply(self._edits(draft.text, Languages(draft.text, language)))

    def _edits(self, text: str, languages: Languages) -> Iterator[Edit]:
        done = 0
        for token in _TOKEN.finditer(text):
            start = token.start()
            if start < done:
                continue
            entries = [entry for layer in self._layers for entry in layer.get(token[0].lower(), ())]
            entries.sort(key=lambda entry: -len(entry[0].word))
            chinese = languages.chinese_at(start) if entries else False
            for entry, pattern in entries:
                match = pattern.match(text, start) if entry.chinese in (None, chinese) else None
                if match and entry.ends_at(text, match.end()):
                    done = match.end()
                    yield Edit(start, done, entry.respelling, "lexicon")
                    break


def _composed(entry: Entry) -> Entry:
    """The entry with its word as texts have it: in canonical composition, single spaces, straight apostrophes."""
    word = " ".join(unicodedata.normalize("NFC", entry.word).replace("’", "'").split())
    return Entry(word, entry.respelling, entry.chinese)


NO_LEXICON = Lexicon()
