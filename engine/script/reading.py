"""From a request's text to its script, by the format that the request names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from engine.script.dialogue import parse_dialogue
from engine.script.format import Format
from engine.script.plain import parse_plain
from engine.script.ssml import parse_ssml
from engine.script.tree import Pause, Script, Speech, checked
from engine.text import Language, SpokenSentence, TextOptions, spoken_sentences


def read_script(text: str, form: Format, language: Language | None, turn_pause: float) -> Script:
    """Return the script of `text`; raises InvalidRequest. `turn_pause` is the seconds between a dialogue's turns."""
    match form.kind:
        case "ssml":
            return checked(parse_ssml(text, form.voices, language))
        case "dialogue":
            return checked(parse_dialogue(text, form, turn_pause))
        case "text":
            return checked(parse_plain(text))


@dataclass(frozen=True, slots=True)
class Utterance:
    """A sentence as a model says it, and the speech that it is a part of."""

    sentence: SpokenSentence
    speech: Speech


def utterances(pieces: Iterable[Speech | Pause], options: TextOptions) -> Iterator[Utterance | Pause]:
    """Normalise each speech and split it into sentences; the pauses stay as they are."""
    for piece in pieces:
        if isinstance(piece, Pause):
            yield piece
            continue
        of_piece = replace(options, language=piece.language) if piece.language else options
        for sentence in spoken_sentences(piece.words, of_piece):
            yield Utterance(sentence, piece)
