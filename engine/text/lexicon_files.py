"""Reads lexicons: YAML, or the aliases of W3C's Pronunciation Lexicon Specification (PLS) 1.0."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError

import yaml
from defusedxml import DefusedXmlException, ElementTree

from engine.text.lexicon import NO_LEXICON, Entry, Lexicon

logger = logging.getLogger(__name__)

_PLS: Final = "{http://www.w3.org/2005/01/pronunciation-lexicon}"
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"


@lru_cache
def read_lexicons(files: tuple[Path, ...]) -> Lexicon:
    """Return the lexicon of these files; a later file goes over an earlier one. Raises ValueError with one line."""
    lexicon = NO_LEXICON
    for file in files:
        lexicon = Lexicon(_entries(file)).over(lexicon)
    return lexicon


def _entries(file: Path) -> Iterator[Entry]:
    try:
        if file.suffix in (".pls", ".xml"):
            yield from _pls(file, ElementTree.parse(file, forbid_dtd=True).getroot())
        else:
            yield from _yaml(file, yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"the lexicon cannot be read: {error}") from error
    except (ParseError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"the lexicon {file} cannot be parsed: {' '.join(str(error).split())}") from error
    except DefusedXmlException as error:
        raise ValueError(f"the lexicon {file} must not have a DTD or entities") from error


def _yaml(file: Path, content: object) -> Iterator[Entry]:
    if not isinstance(content, dict):
        raise ValueError(f"the lexicon {file} must have lines `word: respelling`")
    for word, respelling in content.items():
        if isinstance(respelling, dict):
            for inner, spelt in respelling.items():
                yield _entry(file, inner, spelt, chinese=_is_chinese(str(word)))
        else:
            yield _entry(file, word, respelling, chinese=None)


def _entry(file: Path, word: object, respelling: object, *, chinese: bool | None) -> Entry:
    if not isinstance(word, str) or not isinstance(respelling, str) or not word.strip():
        raise ValueError(f"the lexicon {file} has {word!r}: {respelling!r}; both must be text, in quotes if necessary")
    return Entry(word, respelling, chinese)


def _pls(file: Path, root: Element) -> Iterator[Entry]:
    if root.tag != f"{_PLS}lexicon":
        raise ValueError(f"the lexicon {file} must begin with a <lexicon> of PLS 1.0")
    language = root.get(_LANGUAGE)
    skipped = 0
    for lexeme in root.iter(f"{_PLS}lexeme"):
        alias = lexeme.findtext(f"{_PLS}alias")
        if alias is None:
            skipped += 1
            continue
        for grapheme in lexeme.findall(f"{_PLS}grapheme"):
            word = " ".join((grapheme.text or "").split())
            yield _entry(file, word, " ".join(alias.split()), chinese=_is_chinese(language) if language else None)
    if skipped:
        logger.warning("%s: lexemes without an <alias> are skipped (phonemes are not supported): %d", file, skipped)


def _is_chinese(language: str) -> bool:
    """Whether entries of a language are for Chinese sentences; those of all others are for other sentences."""
    return language.lower().partition("-")[0] in ("zh", "cmn", "yue")
