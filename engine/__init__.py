"""Speech from text: the engine. It knows nothing of HTTP, and importing it imports no backend."""

from engine.config import EngineConfig
from engine.errors import (
    BackendFailed,
    CheckpointError,
    EngineClosed,
    EngineError,
    InvalidRequest,
    UnknownVoice,
    VoiceExists,
)
from engine.speech import SpeechEngine
from engine.types import AudioChunk, Gender, Level, Sampling, SpeechRequest, Usage, Voice

__all__ = [
    "AudioChunk",
    "BackendFailed",
    "CheckpointError",
    "EngineClosed",
    "EngineConfig",
    "EngineError",
    "Gender",
    "InvalidRequest",
    "Level",
    "Sampling",
    "SpeechEngine",
    "SpeechRequest",
    "UnknownVoice",
    "Usage",
    "Voice",
    "VoiceExists",
]
