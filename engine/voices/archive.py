"""Exports a voice to one file and imports it on another server: its sample, and the tokens that models made of it.

The format is safetensors, which holds numbers and text and no code. The content is checked at import, because the
file can come from anywhere.
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.config import EngineConfig
from engine.errors import InvalidRequest
from engine.types import Recording, Sample, Voice, VoiceAttributes, VoiceTokens
from engine.voices import sandbox
from engine.voices.library import PREFIX, free_name
from engine.voices.naming import new_id
from engine.voices.rows import prompt_tokens, voice_tokens
from engine.voices.store import VoiceStore

GLOBAL_CODES = 4096
SEMANTIC_CODES = 8192
LONGEST = 300 * 50  # tokens; `max_sample_seconds` goes no further
LARGEST_ID = 2**20  # of any language model's vocabulary

Tensors = dict[str, npt.NDArray[Any]]
ATTRIBUTES = TypeAdapter(VoiceAttributes)


class Manifest(BaseModel):
    """The metadata of the file. safetensors allows only strings here; an empty string means none."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["fast-spark voice 1"] = "fast-spark voice 1"
    name: str
    transcript: Annotated[str, Field(max_length=4096)] = ""
    attributes: str = ""
    cut: Literal["", "yes"] = ""


class Header(BaseModel):
    """The part of a safetensors header that is used here."""

    manifest: Manifest = Field(alias="__metadata__")


def export_voice(store: VoiceStore, voice: Voice) -> bytes:
    """The file of a voice, without its owner and its consent."""
    manifest = Manifest(name=voice.name, transcript=voice.transcript or "")
    tensors: Tensors = {}
    if voice.attributes:
        manifest.attributes = ATTRIBUTES.dump_json(voice.attributes).decode()
    else:
        sample = store.sample(voice.id)
        manifest.cut = "yes" if sample.cut else ""
        tensors["sample"] = np.frombuffer(sample.recording.data, np.uint8)
    for model, tokens in store.tokens_by_model(voice).items():
        tensors[f"{model}/global"] = tokens.global_tokens
        tensors[f"{model}/prompt"] = prompt_tokens(tokens)
    return safetensors.numpy.save(tensors, manifest.model_dump())


def import_voice(
    store: VoiceStore, data: bytes, config: EngineConfig, name: str | None = None, consent: str | None = None
) -> Voice:
    """Save an exported voice under its own or another name; raises InvalidRequest, VoiceExists or UnknownConsent."""
    try:
        tensors: Tensors = safetensors.numpy.load(data)
        manifest = Header.model_validate_json(data[8 : 8 + int.from_bytes(data[:8], "little")]).manifest
        attributes = ATTRIBUTES.validate_json(manifest.attributes) if manifest.attributes else None
        recording = None if attributes else tensors["sample"].tobytes()
        models = sorted({model for model, slash, _ in (key.partition("/") for key in tensors) if slash})
        made = {model: _voice_tokens(tensors, model, attributes) for model in models}
    except (safetensors.SafetensorError, ValidationError, KeyError, ValueError) as error:
        raise InvalidRequest("The file is not a voice that Fast-Spark exported, or it is damaged.", "file") from error
    voice = Voice(
        id=new_id(PREFIX),
        name=free_name(name or manifest.name),
        created_at=int(time.time()),
        attributes=attributes,
        transcript=manifest.transcript or None,
        consent=consent,
    )
    sample = None
    if recording is not None:
        media_type = sandbox.decode(recording, config.max_sample_seconds, "file").media_type
        sample = Sample(Recording(recording, media_type), manifest.cut == "yes")
    store.add(voice, sample, made)
    return voice


def _voice_tokens(tensors: Tensors, model: str, attributes: VoiceAttributes | None) -> VoiceTokens:
    """The tokens of one model; raises KeyError or ValueError if they cannot be tokens of this kind of voice."""
    if not 1 <= len(model) <= 64:
        raise ValueError(f"model {model!r}")
    global_tokens = _tokens(tensors[f"{model}/global"], GLOBAL_CODES)
    prompt = _tokens(tensors[f"{model}/prompt"], LARGEST_ID if attributes else SEMANTIC_CODES)
    return voice_tokens(global_tokens, prompt, attributes)


def _tokens(values: npt.NDArray[Any], codes: int) -> npt.NDArray[np.int64]:
    """The values as tokens; raises ValueError if one is out of range or the type is wrong."""
    if values.dtype != np.int64 or values.ndim != 1 or len(values) > LONGEST:
        raise ValueError(f"{values.dtype} {values.shape}")
    tokens = values.astype(np.int64)
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < codes:
        raise ValueError("out of range")
    return tokens
