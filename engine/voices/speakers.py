"""Imports speakers as fine-tunes publish them: a JSON file of global tokens, speaker_global_tokens.json."""

from __future__ import annotations

import re
import time
from typing import Annotated

import numpy as np
from pydantic import AliasChoices, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from engine.config import EngineConfig
from engine.errors import InvalidRequest, VoiceExists
from engine.types import GLOBAL_TOKENS, ClonedVoiceTokens, Voice
from engine.voices.archive import GLOBAL_CODES
from engine.voices.catalogue import PREFIX, free_name
from engine.voices.naming import check_language, new_id
from engine.voices.store import GIVEN, VoiceStore

MOST_SPEAKERS = 10_000
Token = Annotated[int, Field(ge=0, lt=GLOBAL_CODES)]


class Speaker(BaseModel):
    """One speaker. Other keys, such as the gender, are left out."""

    id: Annotated[str, Field(coerce_numbers_to_str=True)]
    global_tokens: list[Token] = Field(
        min_length=GLOBAL_TOKENS,
        max_length=GLOBAL_TOKENS,
        validation_alias=AliasChoices("global_ids", "global_tokens"),
    )
    language: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_names(cls, content: object) -> object:
        """Read the names of tokens where their numbers are missing."""
        if isinstance(content, dict) and isinstance(names := content.get("global_str"), str):
            found = [int(number) for number in re.findall(r"<\|bicodec_global_(\d+)\|>", names)]
            return {"global_ids": found, **content}
        return content


SPEAKERS = TypeAdapter(list[Speaker])
CONTENT = TypeAdapter(dict[str, dict[str, object]] | list[dict[str, object]])


def import_speakers(store: VoiceStore, data: bytes, config: EngineConfig, consent: str | None = None) -> list[Voice]:
    """Save all speakers of a file as shared voices named by their ids, or none of them.

    Raises InvalidRequest, VoiceExists or UnknownConsent.
    """
    if config.require_consent and not consent:
        raise InvalidRequest("A voice made from tokens requires a consent here: give the id of a consent recording.")
    speakers = _read(data)
    names = [free_name(speaker.id) for speaker in speakers]
    for position, name in enumerate(names):
        if name in names[:position] or store.is_taken("", name):
            raise VoiceExists(name)
    voices = []
    for name, speaker in zip(names, speakers, strict=True):
        voice = Voice(
            id=new_id(PREFIX),
            name=name,
            created_at=int(time.time()),
            consent=consent,
            from_tokens=True,
            language=check_language(speaker.language) if speaker.language else None,
        )
        voices.append((voice, ClonedVoiceTokens(np.array(speaker.global_tokens, np.int64))))
    for voice, tokens in voices:
        store.add(voice, None, {GIVEN: tokens})
    return [voice for voice, _ in voices]


def _read(data: bytes) -> list[Speaker]:
    try:
        content = CONTENT.validate_json(data)
    except ValidationError as error:
        raise InvalidRequest(
            'A file of speakers has the form {"ID": {"global_ids": [32 numbers], "language": "en"}, ...}.', "file"
        ) from error
    if isinstance(content, dict):
        content = [{"id": name, **speaker} for name, speaker in content.items()]
    if not 1 <= len(content) <= MOST_SPEAKERS:
        raise InvalidRequest(f"The file has {len(content)} speakers; it must have 1 to {MOST_SPEAKERS}.", "file")
    try:
        return SPEAKERS.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        position, *where = first["loc"]
        name = content[int(position)].get("id", f"number {int(position) + 1}")
        field = ".".join(map(str, where))
        raise InvalidRequest(f"The speaker {name}: {field}: {first['msg']}.", "file") from error
