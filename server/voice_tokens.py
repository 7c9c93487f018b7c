"""Tokens of voices as text: JSON lists or names of tokens, in forms and on the command line."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field

from engine import ClonedVoiceTokens, InvalidRequest

GLOBAL_TOKENS: Final = 32
LONGEST: Final = 15_000  # semantic tokens: 300 s
LARGEST: Final = 2**16  # of any codec's codebook
_INTEGER: Final = "(0|[1-9][0-9]{0,2}|[1-3][0-9]{3})"


def _list(repeated: str) -> dict[str, Any]:
    """The published pattern of a JSON list. Names of tokens are accepted too."""
    return {"pattern": rf"^\[{_INTEGER}(, ?{_INTEGER}){repeated}\]$"}


GlobalTokens = Annotated[
    str,
    Field(
        max_length=2048,
        description="The 32 global tokens of a voice, as a JSON list or as `<|bicodec_global_N|>...`.",
        json_schema_extra=_list(f"{{{GLOBAL_TOKENS - 1}}}"),
    ),
]
SemanticTokens = Annotated[
    str,
    Field(
        max_length=500_000,
        description="The semantic tokens of the transcript, as a JSON list or as `<|bicodec_semantic_N|>...`.",
        json_schema_extra=_list("*"),
    ),
]


def given_tokens(
    global_tokens: str, semantic_tokens: str | None = None, transcript: str | None = None
) -> ClonedVoiceTokens:
    """Read the tokens of a voice; raises InvalidRequest."""
    voice = _read(global_tokens, "global")
    if len(voice) != GLOBAL_TOKENS:
        raise InvalidRequest(f"A voice has {GLOBAL_TOKENS} global tokens, not {len(voice)}.", "global_tokens")
    if bool(semantic_tokens) != bool(transcript):
        given, missing = ("transcript", "semantic_tokens") if transcript else ("semantic_tokens", "transcript")
        raise InvalidRequest(f"A voice made from tokens with {given} also needs {missing}.", missing)
    semantic = _read(semantic_tokens, "semantic") if semantic_tokens else []
    if len(semantic) > LONGEST:
        raise InvalidRequest(f"At most {LONGEST} semantic tokens are taken, not {len(semantic)}.", "semantic_tokens")
    return ClonedVoiceTokens(np.array(voice, np.int64), np.array(semantic, np.int64), transcript)


def _read(text: str, kind: str) -> list[int]:
    """The tokens of a JSON list or of names; raises InvalidRequest."""
    param, name = f"{kind}_tokens", rf"<\|bicodec_{kind}_([0-9]{{1,5}})\|>"
    if re.fullmatch(rf"(?:{name}\s*)+", text.strip()):
        return [int(number) for number in re.findall(name, text)]
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, list) or not all(
        isinstance(token, int) and not isinstance(token, bool) and 0 <= token < LARGEST for token in content
    ):
        raise InvalidRequest(f"{param} must be a JSON list of tokens, such as [12, 4000, ...].", param)
    return content
