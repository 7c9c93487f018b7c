"""W3C's Speech Synthesis Markup Language (SSML) 1.1: the elements that change what is said, when, and by whom.

defusedxml's parser refuses document types and entities, and stops at the first error, with its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from engine.errors import InvalidRequest
from engine.script.prosody import break_seconds, tempo
from engine.script.say_as import say_as
from engine.script.tree import Mark, Pause, Script, Speech, pause
from engine.text import Language, Span, Traced
from engine.text.script import is_chinese

MAX_DEPTH: Final = 100
_TAG: Final = re.compile("<[^<>]*>")
_PARAGRAPH: Final = "\n\n"
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_ATTRIBUTES: Final = {
    "speak": {"version", _LANGUAGE},
    "p": {_LANGUAGE},
    "s": {_LANGUAGE},
    "break": {"time", "strength"},
    "sub": {"alias"},
    "say-as": {"interpret-as", "format"},
    "voice": {"name"},
    "prosody": {"rate"},
    "lang": {_LANGUAGE},
    "mark": {"name"},
}
"""The known elements, and their attributes that have an effect."""


def parse_ssml(text: str, voices: Mapping[str, str], language: Language | None) -> Script:
    """Return the script of an SSML document; raises InvalidRequest with the line and the column of a fault.

    `voices` are voices for the names of `voice` elements; any other name is that of a voice itself.
    """
    builder = _Builder(text, voices, language)
    parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    parser.parser.buffer_text = False  # each text is reported at its own place
    builder.parser = parser.parser
    try:
        parser.feed(text)
        parser.close()
    except ParseError as error:
        line, column = error.position
        raise InvalidRequest(
            f"The SSML is not well-formed at line {line}, column {column + 1}: {str(error).partition(':')[0]}.", "input"
        ) from error
    except DefusedXmlException as error:
        raise builder.fault("The SSML has a document type or an entity declaration, which is not allowed") from error
    except UnicodeEncodeError as error:
        raise InvalidRequest("The SSML has a character that is not valid in XML: a lone surrogate.", "input") from error
    return Script(tuple(builder.pieces), tuple(builder.marks), tuple(builder.ignored))


@dataclass(frozen=True, slots=True)
class _Element:
    """An open element: how the text around it is said, and how many pieces, and parts of the next, came before."""

    name: str
    attributes: Mapping[str, str]
    start: int
    like: Speech
    pieces: int
    words: int


class _Builder:
    """The parser's target: makes pieces from elements and their text."""

    def __init__(self, text: str, voices: Mapping[str, str], language: Language | None) -> None:
        self.parser: Any = None  # expat's, which knows the place
        self.pieces: list[Speech | Pause] = []
        self.marks: list[Mark] = []
        self.ignored: dict[str, None] = {}
        self._text = text
        self._voices = voices
        self._language = language or _shown(_TAG.sub(" ", text))
        self._bytes = text.encode("utf-8", "surrogatepass")
        self._at = (0, 0)  # the current place, in bytes of UTF-8 as expat counts, and in characters
        self._open: list[_Element] = []
        self._words: list[Traced] = []  # of the next piece
        self._finished = 0  # pieces, with those that had no words
        self._like = Speech(Traced.plain(""), language=language)

    def fault(self, message: str) -> InvalidRequest:
        """An error at the current place."""
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1
        return InvalidRequest(f"{message} (line {line}, column {column}).", "input")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        name = tag.rpartition("}")[2]
        if not self._open and name != "speak":
            raise self.fault(f"SSML begins with <speak>, not with <{name}>")
        if len(self._open) >= MAX_DEPTH:
            raise self.fault(f"The SSML has more than {MAX_DEPTH} elements within each other")
        known = _ATTRIBUTES.get(name)
        replaced = any(element.name in ("sub", "say-as") for element in self._open)
        if known is None or (replaced and name != "mark"):
            self.ignored[name] = None
        else:
            self.ignored |= {f"{name}@{key.rpartition('}')[2]}": None for key in attributes if key not in known}
        here = (self._place(), self._like, self._finished, len(self._words))
        self._open.append(_Element("" if replaced else name, attributes, *here))
        if not replaced and (begin := _STARTS.get(name)):
            begin(self, attributes)

    def end(self, tag: str) -> None:
        """An element ends."""
        element = self._open.pop()
        if element.name in ("sub", "say-as", "lang"):
            self._replace(element)
        elif element.name in ("p", "s"):
            self._insert(_PARAGRAPH)
        self._say_like(element.like)

    def data(self, data: str) -> None:
        """A text, or a reference to one character."""
        start = self._place()
        if self._text.startswith("&", start):
            end = self._text.index(";", start) + 1
            self._words.append(Traced(data, [start] * len(data), [end] * len(data)))
        else:
            self._words.append(Traced.plain(data, start))

    def close(self) -> None:
        """The document ends."""
        self._finish()

    def _say_like(self, like: Speech) -> None:
        if like != self._like:
            self._finish()
            self._like = like

    def _finish(self) -> None:
        """Make a piece of the words so far."""
        for element in reversed(self._open):
            if element.name == "lang":  # its words so far
                self._replace(element)
        words = _joined(self._words)
        self._words = []
        self._finished += 1
        if words.text.strip():
            self.pieces.append(replace(self._like, words=words))

    def _replace(self, element: _Element) -> None:
        """Put words in the place of the element's text."""
        begin = element.words if element.pieces == self._finished else 0
        inside = _joined(self._words[begin:])
        del self._words[begin:]
        language = self._number_language(element)
        match element.name:
            case "sub":
                words: str | None = element.attributes.get("alias")
            case "say-as":
                kind = element.attributes.get("interpret-as", "")
                words = say_as(inside.text, kind, element.attributes.get("format", ""), language)
            case _:  # the language is clear where there are letters
                no_letters = not any(map(str.isalpha, inside.text))
                words = say_as(inside.text, "currency", "", language) if no_letters else inside.text
        if words is None:
            missing = "alias" if element.name == "sub" else "interpret-as"
            self.ignored[f"{element.name}@{element.attributes.get('interpret-as', missing)}"] = None
        if words is None or words == inside.text:
            self._words.append(inside)
        else:
            start, end = inside.span if inside.text else (element.start, self._place())
            self._words.append(Traced(words, [start] * len(words), [end] * len(words)))

    def _number_language(self, element: _Element) -> Language:
        """The language of numbers in an element: of the nearest that says it, of the text, or of the document."""
        inner = (element, *reversed(self._open[1:]))
        said = next(filter(None, (_language(one.attributes) for one in inner)), None)
        return said or self._language or self._like.language or "en"

    def _insert(self, text: str) -> None:
        place = self._place()
        self._words.append(Traced(text, [place] * len(text), [place] * len(text)))

    def _place(self) -> int:
        before, characters = self._at
        now = self.parser.CurrentByteIndex
        self._at = (now, characters + len(self._bytes[before:now].decode()))
        return self._at[1]

    def _paragraph(self, attributes: Mapping[str, str]) -> None:
        self._insert(_PARAGRAPH)
        self._set_language(attributes)

    def _set_language(self, attributes: Mapping[str, str]) -> None:
        if language := _language(attributes):
            self._say_like(replace(self._like, language=language))

    def _break(self, attributes: Mapping[str, str]) -> None:
        seconds = break_seconds(attributes)
        if seconds is None:
            raise self.fault("A <break> has a time such as 500ms or 1.5s, or a strength from none to x-strong")
        if seconds:
            start = self._place()
            self._finish()
            where = f" at line {self.parser.CurrentLineNumber}"
            self.pieces.append(pause(seconds, Span(start, self._text.index(">", start) + 1), where))

    def _voice(self, attributes: Mapping[str, str]) -> None:
        if name := attributes.get("name", "").strip():
            self._say_like(replace(self._like, voice=self._voices.get(name, name), speaker=name))

    def _prosody(self, attributes: Mapping[str, str]) -> None:
        if "rate" in attributes:
            factor = tempo(attributes["rate"])
            if factor is None:
                raise self.fault("A rate is x-slow to x-fast, a percentage such as 120% or +20%, or a factor")
            self._say_like(replace(self._like, tempo=self._like.tempo * factor))

    def _mark(self, attributes: Mapping[str, str]) -> None:
        self.marks.append(Mark(attributes.get("name", ""), self._place()))


_STARTS: Final[dict[str, Callable[[_Builder, Mapping[str, str]], None]]] = {
    "speak": _Builder._set_language,
    "p": _Builder._paragraph,
    "s": _Builder._paragraph,
    "break": _Builder._break,
    "voice": _Builder._voice,
    "prosody": _Builder._prosody,
    "mark": _Builder._mark,
}
"""What an element does at its start."""


def _shown(text: str) -> Language | None:
    """The language that a text shows; None if it has no letters."""
    return None if not any(map(str.isalpha, text)) else "zh" if is_chinese(text) else "en"


def _language(attributes: Mapping[str, str]) -> Language | None:
    primary = attributes.get(_LANGUAGE, "").lower().partition("-")[0]
    return "zh" if primary in ("zh", "cmn") else "en" if primary == "en" else None


def _joined(parts: list[Traced]) -> Traced:
    return Traced(
        "".join(part.text for part in parts),
        [start for part in parts for start in part.starts],
        [end for part in parts for end in part.ends],
    )
