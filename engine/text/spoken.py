"""Normalized sentences of a text, with the changes in them."""

from __future__ import annotations

from dataclasses import dataclass

from engine.text.draft import Change
from engine.text.normalise import rewrite
from engine.text.options import DEFAULT, TextOptions
from engine.text.sentences import split_sentences


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence as the model's input, and the changes in it, in order."""

    text: str
    changes: tuple[Change, ...] = ()


def spoken_sentences(text: str, options: TextOptions = DEFAULT) -> list[SpokenSentence]:
    """Return the normalized sentences of `text`; none if it has no words. Never raises."""
    draft = rewrite(text, options)
    sentences = split_sentences(draft.text, language=options.language)
    changes = draft.changes(sentences)
    return [SpokenSentence(*both) for both in zip(sentences, changes, strict=True)]
