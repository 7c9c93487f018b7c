"""POST /v1/audio/text: the normalized text of each sentence and the changes in it. No speech is generated."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from engine import spoken_sentences
from server.json_body import JsonRoute
from server.schemas import ReadingOptions
from server.service import ServiceDependency

router = APIRouter(prefix="/audio/text", tags=["Audio"], route_class=JsonRoute)


class ReadTextRequest(ReadingOptions):
    """The body of POST /v1/audio/text: a text and the normalization options."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: str = Field(min_length=1, max_length=4096, description="The text.")


class TextChange(BaseModel):
    """A change: the written text, the spoken text that replaces it, and the rule that replaced it."""

    rule: str
    written: str
    spoken: str


class SpokenText(BaseModel):
    """A normalized sentence, with the changes in it."""

    text: str
    changes: list[TextChange]


class SpokenTextList(BaseModel):
    """All sentences, in order. Empty if the text has no words."""

    object: Literal["list"] = "list"
    data: list[SpokenText]


@router.post("")
async def read_text(body: ReadTextRequest, service: ServiceDependency) -> SpokenTextList:
    """Normalize a text as for speech, and split it into sentences."""
    options = service.settings.engine.reading(body.reading)
    sentences = await asyncio.to_thread(spoken_sentences, body.input, options)
    return SpokenTextList.model_validate({"data": sentences}, from_attributes=True)
