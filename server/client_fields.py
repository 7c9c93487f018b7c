"""What a request asks for that has no effect here. It is accepted, and a header of the response names it."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Final, Literal
from urllib.parse import quote

from asgi_correlation_id import correlation_id

from engine import InvalidRequest, Language, foreign, language_name

logger = logging.getLogger(__name__)

UnknownFields = Literal["error", "ignore"]
"""How the server handles a field that neither this server nor any known client has."""

IGNORED: Final[dict[str, str]] = {
    "instructions": "OpenAI",  # Spark-TTS does not support them
    "user": "LiteLLM",
    "backend": "LocalAI",
    "params": "LocalAI, SillyTavern (TTS WebUI)",
    "lang_code": "Kokoro-FastAPI",
    "volume_multiplier": "Kokoro-FastAPI",
    "normalization_options": "Kokoro-FastAPI",
    "download_format": "Kokoro-FastAPI",
    "return_download_link": "Kokoro-FastAPI",
    "task_type": "vLLM-Omni",
    "ref_text": "vLLM-Omni",
    "x_vector_only_mode": "vLLM-Omni",
    "max_new_tokens": "vLLM-Omni",
    "initial_codec_chunk_frames": "vLLM-Omni",
    "non_streaming_mode": "vLLM-Omni",
    "word_timestamps": "vLLM-Omni",
    "extra_params": "vLLM-Omni",
    "exaggeration": "Chatterbox TTS API",
    "cfg_weight": "Chatterbox TTS API",
    "streaming_chunk_size": "Chatterbox TTS API",
    "streaming_strategy": "Chatterbox TTS API",
    "streaming_buffer_size": "Chatterbox TTS API",
    "streaming_quality": "Chatterbox TTS API",
    "length_threshold": "FlashTTS",
    "window_size": "FlashTTS",
}
"""Ignored fields, and the clients that send them. Fields that select a voice, such as `ref_audio`, are refused."""

LONGEST_HEADER = 1024  # characters


def ignored_fields(sent: Iterable[str], own: Iterable[str], unknown: UnknownFields) -> list[str]:
    """Return the names in `sent` that have no effect. `own` are the names of the request's fields.

    Raises InvalidRequest for a name that no known client sends, unless `unknown` is "ignore".
    """
    own = [name for name in own if name not in IGNORED]
    ignored = [name for name in sent if name not in own]
    for name in ignored:
        if name not in IGNORED and unknown == "error":
            similar = get_close_matches(name, own, 1)
            hint = f" Did you mean {similar[0]!r}?" if similar else ""
            raise InvalidRequest(f"Unknown parameter: {name!r}.{hint}", name)
    return ignored


def ignored_header(names: list[str]) -> dict[str, str]:
    """Return the header with the names of ignored fields, and log them."""
    return names_header("X-Ignored-Fields", names)


def names_header(header: str, names: list[str]) -> dict[str, str]:
    """Return a header with these names, cut to LONGEST_HEADER, and log them; none without names."""
    if not names:
        return {}
    # Clients choose these names. Percent-encoding makes them safe in a header and in a log.
    listed = ", ".join(quote(name, safe="@") for name in names)[:LONGEST_HEADER]
    logger.info("speech id=%s %s=%s", correlation_id.get(), header.removeprefix("X-").lower().replace("-", "_"), listed)
    return {header: listed}


def foreign_header(text: str, languages: Collection[Language]) -> dict[str, str]:
    """Return the header that names the scripts in `text` that the model does not speak, and log it."""
    found = foreign(text, languages)
    if found is None:
        return {}
    spoken = " and ".join(map(language_name, languages))
    warning = f"The model speaks {spoken} only: {', '.join(found.scripts)} in the text is not spoken as written."
    logger.warning("speech id=%s %s", correlation_id.get(), warning)
    return {"X-Warning": warning[:LONGEST_HEADER]}
