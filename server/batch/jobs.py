"""From lines to jobs: a validated request, its audio file, and a digest that tells whether it was done before."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field, ValidationError

from engine import InvalidRequest, SpeechRequest, expected_seconds
from server.batch.reading import Line
from server.encoding import AudioFormat
from server.errors import invalid_field
from server.schemas import CreateSpeechRequest
from server.settings import Settings
from server.subtitles import SubtitleFormat

LONGEST_TEXT = 1_000_000  # characters; the limit of a server's clients is for the server's sake
LONGEST_ID = 200  # bytes; a file's name has at most 255, with its suffix


class BatchRequest(CreateSpeechRequest):
    """The fields of a line: those of a speech request. The text can be longer."""

    model: str = "tts-1"
    input: str = Field(min_length=1, max_length=LONGEST_TEXT)


@dataclass(frozen=True, slots=True)
class Job:
    """A line to speak. `digest` changes with everything that changes the audio."""

    id: str
    asked: SpeechRequest
    audio_format: AudioFormat
    digest: str
    subtitles: tuple[SubtitleFormat, ...] = ()

    @property
    def path(self) -> str:
        """Its audio file, in the output's directory."""
        return f"{self.id}.{self.audio_format}"

    @property
    def seconds(self) -> float:
        """The estimated length of its speech."""
        return expected_seconds(self.asked)


def job_of(
    line: Line, settings: Settings, defaults: Mapping[str, Any], subtitles: tuple[SubtitleFormat, ...] = ()
) -> Job:
    """Validate a line; raises InvalidRequest. `defaults` are the values of fields that it does not have.

    A line without a seed gets one that follows from its content, so every run gives it the same audio.
    """
    if line.error:
        raise InvalidRequest(line.error)
    _check_id(line.id)
    try:
        request = BatchRequest.model_validate({**defaults, **line.fields}, strict=line.typed)
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidRequest(invalid_field({**first, "loc": ("", *first["loc"])}).message) from error
    request.ignored(settings.unknown_fields)
    if request.response_format == "json":
        raise InvalidRequest("A line makes an audio file, so its format cannot be json.", "response_format")
    asked = replace(request.to_engine(caller=None), timestamps=bool(subtitles), words="vtt" in subtitles)
    models = [settings.engine.model, settings.engine.language_model]
    content = {"id": line.id, "models": models, **request.model_dump(mode="json")}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    if asked.sampling.seed is None:
        asked = replace(asked, sampling=replace(asked.sampling, seed=int(digest[:8], 16)))
    return Job(line.id, asked, request.response_format, digest, subtitles)


def _check_id(line_id: str) -> None:
    """Raise InvalidRequest if the id cannot be the name of a file."""
    plain = not any(unicodedata.category(sign).startswith("C") or sign in "/\\" for sign in line_id)
    if not (plain and line_id.strip() and not line_id.startswith(".") and len(line_id.encode()) <= LONGEST_ID):
        raise InvalidRequest(
            f"The id {line_id[:LONGEST_ID]!r} cannot name a file. It must have 1 to {LONGEST_ID} bytes, without "
            "slashes, backslashes and control characters, and must not begin with a dot."
        )
