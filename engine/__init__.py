"""Speech from text: the engine. It knows nothing of HTTP, and importing it imports no backend."""

from engine import checkpoint
from engine.config import SPARK_TTS, EngineConfig, Hub, Quantization, Size
from engine.errors import (
    BackendFailed,
    CheckpointError,
    EngineClosed,
    EngineError,
    InvalidRequest,
    UnknownVoice,
    VoiceExists,
)
from engine.observer import Observer
from engine.prepare import convert, prepare
from engine.speech import SpeechEngine
from engine.types import AudioChunk, Gender, Level, Progress, Samples, Sampling, SpeechRequest, Usage, Voice

__all__ = [
    "SPARK_TTS",
    "AudioChunk",
    "BackendFailed",
    "CheckpointError",
    "EngineClosed",
    "EngineConfig",
    "EngineError",
    "Gender",
    "Hub",
    "InvalidRequest",
    "Level",
    "Observer",
    "Progress",
    "Quantization",
    "Samples",
    "Sampling",
    "Size",
    "SpeechEngine",
    "SpeechRequest",
    "UnknownVoice",
    "Usage",
    "Voice",
    "VoiceExists",
    "checkpoint",
    "convert",
    "prepare",
]
