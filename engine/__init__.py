"""Speech from text: the engine. It knows nothing of HTTP, and importing it imports no backend."""

from engine import checkpoints
from engine.config import SPARK_TTS, EngineConfig, Hub, ListenerConfig, PauseConfig, Quantization, RemoteConfig, Size
from engine.errors import (
    BackendFailed,
    CheckpointError,
    ConsentRequired,
    EngineClosed,
    EngineError,
    InvalidRequest,
    NothingToSay,
    NotOwner,
    StoreFailed,
    UnknownConsent,
    UnknownVoice,
    VoiceExists,
)
from engine.events import IgnoredMarkup, MarkTime, SentenceBegun, SentenceTimes, WordTime, WordTimes
from engine.llm.registry import convert, prepare
from engine.observer import Observer
from engine.runtime.native import Native
from engine.runtime.processors import claim_processors
from engine.script.format import Format, InputFormat
from engine.script.growing import Flush
from engine.speech import SpeechEngine, expected_seconds, open_database
from engine.text import (
    Language,
    Lexicon,
    Split,
    SpokenSentence,
    TextOptions,
    foreign,
    language_name,
    speech_weight,
    spoken_language,
    spoken_sentences,
)
from engine.tuning.measure import tune
from engine.tuning.store import host_and_versions
from engine.tuning.tables import Tuning
from engine.types import (
    CODEC_SAMPLE_RATE,
    AudioChunk,
    Caller,
    ClonedVoiceTokens,
    Consent,
    Gender,
    Level,
    Progress,
    Samples,
    Sampling,
    SpeechEvent,
    SpeechRequest,
    SpeechWarning,
    Usage,
    Voice,
    VoiceAttributes,
)
from engine.voices.archive import export_voice, import_voice
from engine.voices.catalogue import BUILT_IN, loggable
from engine.voices.naming import Page
from engine.voices.samples import SAMPLE_TYPES
from engine.voices.speakers import import_speakers
from engine.voices.store import VoiceStore

__all__ = [
    "BUILT_IN",
    "CODEC_SAMPLE_RATE",
    "SAMPLE_TYPES",
    "SPARK_TTS",
    "AudioChunk",
    "BackendFailed",
    "Caller",
    "CheckpointError",
    "ClonedVoiceTokens",
    "Consent",
    "ConsentRequired",
    "EngineClosed",
    "EngineConfig",
    "EngineError",
    "Flush",
    "Format",
    "Gender",
    "Hub",
    "IgnoredMarkup",
    "InputFormat",
    "InvalidRequest",
    "Language",
    "Level",
    "Lexicon",
    "ListenerConfig",
    "MarkTime",
    "Native",
    "NotOwner",
    "NothingToSay",
    "Observer",
    "Page",
    "PauseConfig",
    "Progress",
    "Quantization",
    "RemoteConfig",
    "Samples",
    "Sampling",
    "SentenceBegun",
    "SentenceTimes",
    "Size",
    "SpeechEngine",
    "SpeechEvent",
    "SpeechRequest",
    "SpeechWarning",
    "Split",
    "SpokenSentence",
    "StoreFailed",
    "TextOptions",
    "Tuning",
    "UnknownConsent",
    "UnknownVoice",
    "Usage",
    "Voice",
    "VoiceAttributes",
    "VoiceExists",
    "VoiceStore",
    "WordTime",
    "WordTimes",
    "checkpoints",
    "claim_processors",
    "convert",
    "expected_seconds",
    "export_voice",
    "foreign",
    "host_and_versions",
    "import_speakers",
    "import_voice",
    "language_name",
    "loggable",
    "open_database",
    "prepare",
    "speech_weight",
    "spoken_language",
    "spoken_sentences",
    "tune",
]
