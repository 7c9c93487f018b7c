"""Normalized sentences of a text, with the changes in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.text.draft import Change
from engine.text.normalise import rewrite
from engine.text.options import DEFAULT, TextOptions
from engine.text.sentences import split_sentences
from engine.text.traced import Traced


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence as the model's input, with the origin of each character, and the changes in it, in order."""

    traced: Traced
    changes: tuple[Change, ...] = ()

    @property
    def text(self) -> str:
        """The model's input."""
        return self.traced.text


def spoken_sentences(text: str | Traced, options: TextOptions = DEFAULT) -> list[SpokenSentence]:
    """Return the normalized sentences of `text`; none if it has no words. Never raises."""
    draft = rewrite(Traced.plain(text) if isinstance(text, str) else text, options)
    sentences = split_sentences(draft.text, split=options.split, language=options.language)
    changes = draft.changes(sentences)
    return [SpokenSentence(*both) for both in zip(parts_of(draft.traced, sentences), changes, strict=True)]


def parts_of(whole: Traced, texts: Iterable[str]) -> Iterator[Traced]:
    """Return these parts of a text, which are in order, with the origins of their characters."""
    place = 0
    for text in texts:
        start = whole.text.index(text, place)
        place = start + len(text)
        yield whole.part(start, place)
