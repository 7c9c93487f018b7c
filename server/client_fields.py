"""Fields that known clients send with a text and that change nothing here: they are taken, and named in the answer."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, Literal
from urllib.parse import quote

from asgi_correlation_id import correlation_id

from engine import InvalidRequest

logger = logging.getLogger(__name__)

UnknownFields = Literal["error", "ignore"]
"""What becomes of a request with a field that is neither this server's nor any known client's."""

IGNORED: Final[dict[str, str]] = {
    "instructions": "OpenAI",  # Spark-TTS takes none
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
"""Names, and who sends them. What asks for another voice, such as `ref_audio`, is not among them: it is refused."""

LONGEST_HEADER = 1024  # characters


def ignored_fields(sent: Iterable[str], own: Iterable[str], unknown: UnknownFields) -> list[str]:
    """Those of the names that were sent which change nothing; `own` are the names of fields that do something.

    Raises InvalidRequest at a name that nobody is known to send, unless `unknown` says that such are ignored.
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
    """The header that names what was ignored, as far as it fits; the log has it too."""
    if not names:
        return {}
    # A client chose these names: percent-encoded, no character of theirs means anything in a header or a log.
    listed = ", ".join(quote(name) for name in names)[:LONGEST_HEADER]
    logger.info("speech id=%s ignored=%s", correlation_id.get(), listed)
    return {"X-Ignored-Fields": listed}
