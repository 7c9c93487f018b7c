"""The built-in voices: their names, and the attributes that the model creates them from."""

from __future__ import annotations

import re
import time

from engine.errors import InvalidRequest, VoiceExists
from engine.types import Caller, Voice, VoiceAttributes
from engine.voices.naming import check_language, clean_name, clean_prefix, new_id

BUILT_IN: dict[str, VoiceAttributes] = {
    "female": VoiceAttributes("female"),
    "male": VoiceAttributes("male"),
    # OpenAI's names, each with its own attributes and seed.
    "alloy": VoiceAttributes("female", "low", seed=1),
    "ash": VoiceAttributes("male", "moderate", seed=2),
    "ballad": VoiceAttributes("male", "high", "low", seed=3),
    "cedar": VoiceAttributes("male", "low", seed=4),
    "coral": VoiceAttributes("female", "high", seed=5),
    "echo": VoiceAttributes("male", "moderate", "low", seed=6),
    "fable": VoiceAttributes("male", "high", seed=7),
    "marin": VoiceAttributes("female", "moderate", seed=8),
    "nova": VoiceAttributes("female", "high", "high", seed=23),
    "onyx": VoiceAttributes("male", "very_low", seed=10),
    "sage": VoiceAttributes("female", "moderate", "low", seed=11),
    "shimmer": VoiceAttributes("female", "high", "low", seed=12),
    "verse": VoiceAttributes("male", "moderate", "high", seed=13),
}

VOICE_TEXT = "Good morning. It is a pleasure to read this to you, and I hope that you will enjoy it."
"""The text that a voice speaks while it is created. Only the tokens of the voice are saved."""


PREFIX = "voice_"  # of the ids
_VOICE_ID = re.compile(r"voice_[0-9a-f]{8,64}")


def loggable(voice: str) -> str:
    """What the log has of the voice of a request: a built-in one's name, or an id. Other names are users' own words."""
    return voice if voice in BUILT_IN or _VOICE_ID.fullmatch(voice) else "(by name)"


def built_in_voices() -> list[Voice]:
    """The built-in voices, with 0 as their time."""
    return [Voice(name, name, 0, attributes, built_in=True) for name, attributes in BUILT_IN.items()]


def free_name(name: str) -> str:
    """The cleaned name, if it is not a built-in voice's; raises InvalidRequest or VoiceExists."""
    name = clean_name(name)
    if name.lower() in BUILT_IN:
        raise VoiceExists(name)
    return name


def check_scope(caller: Caller, private: bool) -> None:
    """Raise InvalidRequest if this caller cannot have a private voice."""
    if private and not caller:
        raise InvalidRequest("Only a request with an API key can make a private voice. Use scope shared.", "scope")


def new_voice(name: str, caller: Caller, private: bool, text_prefix: str, language: str | None) -> Voice:
    """A cloned voice with a new id; raises InvalidRequest or VoiceExists if it cannot be made."""
    check_scope(caller, private)
    return Voice(
        new_id(PREFIX),
        free_name(name),
        int(time.time()),
        owner=caller or "",
        private=private,
        text_prefix=clean_prefix(text_prefix),
        language=check_language(language) if language else None,
    )
