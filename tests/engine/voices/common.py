"""What the tests of voices share: a recording, and whether tokens are the same."""

import io

import numpy as np
import soundfile

from engine.types import VoiceTokens


def recording(seconds: float = 2.0) -> bytes:
    """A wav file of noise."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, int(seconds * 16_000))
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format="WAV")
    return file.getvalue()


def same(one: VoiceTokens | None, other: VoiceTokens) -> bool:
    """Whether two objects hold the same tokens."""
    return one is not None and repr(one) == repr(other)
