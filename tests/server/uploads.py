"""Audio files for uploads, and helpers to send them."""

import io
from typing import Any

import httpx
import numpy as np
import soundfile


def sound(
    audio_format: str = "WAV", seconds: float = 2.0, rate: int = 16_000, channels: int = 1, **kwargs: str
) -> bytes:
    """A file of noise."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, (int(seconds * rate), channels))
    file = io.BytesIO()
    soundfile.write(file, noise, rate, format=audio_format, **kwargs)
    return file.getvalue()


def upload(http: httpx.Client, name: str, data: bytes, **fields: str) -> httpx.Response:
    return http.post("/v1/audio/voices", data={"name": name, **fields}, files={"audio_sample": ("sample", data)})


def agree(http: httpx.Client, data: bytes, **fields: Any) -> httpx.Response:
    form = {"name": "Ada agrees", "language": "en-GB", **fields}
    return http.post("/v1/audio/voice_consents", data=form, files={"recording": ("consent.wav", data)})
