"""Exports a voice to one file and imports it on another server: its sample, and the tokens that models made of it.

The format is safetensors, which holds numbers and text and no code. The content is checked at import, because the
file can come from anywhere.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from engine.config import EngineConfig
from engine.errors import InvalidRequest
from engine.types import Voice, VoiceAttributes, VoiceTokens
from engine.voices import sandbox
from engine.voices.catalogue import PREFIX, free_name
from engine.voices.naming import LANGUAGE_TAG, clean_prefix, new_id
from engine.voices.rows import prompt_tokens, voice_tokens
from engine.voices.samples import listen
from engine.voices.store import GIVEN, VoiceStore

GLOBAL_CODES = 4096
SEMANTIC_CODES = 8192
LONGEST = 300 * 50  # tokens; `max_sample_seconds` goes no further
MOST_MODELS = 64  # whose tokens are in one file
LARGEST_ID = 2**20  # of any language model's vocabulary

Tensors = dict[str, npt.NDArray[Any]]
ATTRIBUTES = TypeAdapter(VoiceAttributes)


class Manifest(BaseModel):
    """The metadata of the file. safetensors allows only strings here; an empty string means none."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["fast-spark voice 1"] = "fast-spark voice 1"
    name: str
    transcript: Annotated[str, Field(max_length=4096, pattern=r"^[^\x00]*$")] = ""
    attributes: str = ""
    cut: Literal["", "yes"] = ""
    text_prefix: Annotated[str, Field(max_length=64)] = ""
    language: Annotated[str, Field(pattern=f"^({LANGUAGE_TAG})?$")] = ""


class Header(BaseModel):
    """The part of a safetensors header that is used here."""

    manifest: Manifest = Field(alias="__metadata__")


def export_voice(store: VoiceStore, voice: Voice) -> bytes:
    """The file of a voice, without its owner and its consent."""
    manifest = Manifest(
        name=voice.name,
        transcript=voice.transcript or "",
        text_prefix=voice.text_prefix,
        language=voice.language or "",
    )
    tensors: Tensors = {}
    if voice.attributes:
        manifest.attributes = ATTRIBUTES.dump_json(voice.attributes).decode()
    elif not voice.from_tokens:
        sample = store.sample(voice.id)
        manifest.cut = "yes" if sample.cut else ""
        tensors["sample"] = np.frombuffer(sample.recording.data, np.uint8)
    for model, tokens in store.tokens_by_model(voice).items():
        tensors[f"{model}/global"] = tokens.global_tokens
        tensors[f"{model}/prompt"] = prompt_tokens(tokens)
    newer = {name: value for name in ("text_prefix", "language") if (value := getattr(manifest, name))}
    return safetensors.numpy.save(tensors, manifest.model_dump(exclude={"text_prefix", "language"}) | newer)


def import_voice(
    store: VoiceStore,
    data: bytes,
    config: EngineConfig,
    name: str | None = None,
    consent: str | None = None,
    *,
    owner: str = "",
    private: bool = False,
) -> Voice:
    """Save an exported voice under its own or another name; raises InvalidRequest, VoiceExists or UnknownConsent."""
    try:
        tensors: Tensors = safetensors.numpy.load(data)
        manifest = Header.model_validate_json(data[8 : 8 + int.from_bytes(data[:8], "little")]).manifest
        attributes = ATTRIBUTES.validate_json(manifest.attributes) if manifest.attributes else None
        from_tokens = f"{GIVEN}/global" in tensors
        recording = None if attributes or from_tokens else _sample(tensors.pop("sample"))
        made = {model: _voice_tokens(tensors, model, attributes) for model in _models(tensors)}
    except (safetensors.SafetensorError, ValidationError, KeyError, ValueError) as error:
        raise InvalidRequest("The file is not a voice that Fast-Spark exported, or it is damaged.", "file") from error
    voice = Voice(
        id=new_id(PREFIX),
        name=free_name(name or manifest.name),
        created_at=int(time.time()),
        attributes=attributes,
        owner=owner,
        private=private,
        transcript=manifest.transcript or None,
        consent=consent,
        from_tokens=from_tokens,
        text_prefix=clean_prefix(manifest.text_prefix),
        language=manifest.language or None,
    )
    sample = None
    if recording is not None:
        limits = config.min_sample_seconds, config.max_sample_seconds
        heard = listen(recording, sandbox.decode(recording, limits[1], "file"), *limits, "file").sample
        sample = replace(heard, cut=heard.cut or manifest.cut == "yes")
    store.add(voice, sample, made)
    return voice


def _sample(values: npt.NDArray[Any]) -> bytes:
    if values.dtype != np.uint8 or values.ndim != 1:
        raise ValueError(f"{values.dtype} {values.shape}")
    return values.tobytes()


def _models(tensors: Tensors) -> list[str]:
    """The models that have tokens in the file; raises ValueError if anything else is in it."""
    models = sorted({key.partition("/")[0] for key in tensors})
    if len(models) > MOST_MODELS or not all(re.fullmatch(r"\w[\w.-]{0,63}", model) for model in models):
        raise ValueError("names of models")
    if set(tensors) != {f"{model}/{part}" for model in models for part in ("global", "prompt")}:
        raise ValueError("other tensors")
    return models


def _voice_tokens(tensors: Tensors, model: str, attributes: VoiceAttributes | None) -> VoiceTokens:
    """The tokens of one model; raises ValueError if they cannot be tokens of this kind of voice."""
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
