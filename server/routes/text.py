"""POST /v1/audio/text: what would be spoken of a text, and what was changed for it. Nothing is generated."""

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
    """A text, and how it is to be read."""

    model_config = ConfigDict(extra="forbid", strict=True)

    input: str = Field(min_length=1, max_length=4096, description="The text.")


class TextChange(BaseModel):
    """What stood in the text, what is spoken instead, and the rule that says so."""

    rule: str
    written: str
    spoken: str


class SpokenText(BaseModel):
    """A sentence as it is spoken."""

    text: str
    changes: list[TextChange]


class SpokenTextList(BaseModel):
    """All sentences, in order; none if the text has nothing to say."""

    object: Literal["list"] = "list"
    data: list[SpokenText]


@router.post("")
async def read_text(body: ReadTextRequest, service: ServiceDependency) -> SpokenTextList:
    """Say how a text would be read, sentence by sentence."""
    options = service.settings.engine.reading(body.reading)
    sentences = await asyncio.to_thread(spoken_sentences, body.input, options)
    return SpokenTextList.model_validate({"data": sentences}, from_attributes=True)
