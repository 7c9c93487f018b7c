"""The engine's types: small frozen objects, passed through all layers."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from engine.script.format import Format
from engine.text.options import TextOptions
from engine.text.traced import Span

Samples = npt.NDArray[np.float32]
"""One channel of audio, float32 in [-1, 1], shape (samples,)."""

TokenIds = npt.NDArray[np.int64]
"""Codec tokens, int64, shape (tokens,): indices into a codebook, not ids of the language model."""

Progress = Callable[[int, int], None]
"""Called with the amounts done and in total, in bytes, weights or similar units."""


def no_progress(done: int, total: int) -> None:
    """Ignore the progress."""


Gender = Literal["female", "male"]
Level = Literal["very_low", "low", "moderate", "high", "very_high"]

CODEC_SAMPLE_RATE = 16_000  # Hz; of BiCodec's input and output
SAMPLES_PER_TOKEN = 320  # one semantic token is 20 ms at 16 kHz
TOKENS_PER_SECOND = CODEC_SAMPLE_RATE // SAMPLES_PER_TOKEN
GLOBAL_TOKENS = 32  # per voice

GREEDY_BELOW = 0.01
"""Lower temperatures are greedy: logits divided by them overflow in float32, and vLLM does not support them."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters. The defaults are those of the reference implementation.

    A `temperature` below GREEDY_BELOW is greedy. `top_k` 0 and `top_p` 1 disable these filters. `seed` None selects a
    random seed. `max_tokens` limits the generated ids of all kinds.
    """

    temperature: float = 0.8
    top_k: int = 50
    top_p: float = 0.95
    repetition_penalty: float = 1.0
    seed: int | None = None
    max_tokens: int = 3000

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is always selected."""
        return self.temperature < GREEDY_BELOW


class Passage(NamedTuple):
    """Semantic tokens (T,) to decode with global tokens (32,). Tokens outside of `kept` are context only."""

    semantic: TokenIds
    global_tokens: TokenIds
    kept: slice = slice(None)


class OutputGrammar(enum.Enum):
    """The grammar of the language model's output (see `engine.tokens.grammar`)."""

    SPEECH = enum.auto()  # semantic tokens, then the end
    VOICE_AND_SPEECH = enum.auto()  # acoustic block, 32 global tokens, semantic tokens, then the end
    OWN_VOICE_AND_SPEECH = enum.auto()  # 32 global tokens, then as AFTER_VOICE
    AFTER_VOICE = enum.auto()  # the end of the global and the start of the semantic tokens, or neither; then SPEECH


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input ids of the language model, and the grammar of its output."""

    ids: tuple[int, ...]
    answer: OutputGrammar


@dataclass(frozen=True, slots=True)
class VoiceAttributes:
    """The attributes of a created voice. The same attributes and seed always give the same voice."""

    gender: Gender
    pitch: Level = "moderate"
    speed: Level = "moderate"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


@dataclass(frozen=True, slots=True, eq=False)
class CreatedVoiceTokens:
    """The tokens of a created voice, which the language model made from `attributes`.

    `global_tokens` has shape (32,). `acoustic_ids` are the language model's ids from `<|start_acoustic_token|>` to
    `<|end_acoustic_token|>`; a self-voiced model has none. For `text_prefix` and `language` see Voice. Raises
    ValueError if the shape is wrong.
    """

    global_tokens: TokenIds
    attributes: VoiceAttributes
    acoustic_ids: tuple[int, ...]
    text_prefix: str = ""
    language: str | None = None

    def __post_init__(self) -> None:
        _check_shape(self.global_tokens)


@dataclass(frozen=True, slots=True, eq=False)
class ClonedVoiceTokens:
    """The tokens of a cloned voice, which the codec's encoder made from a sample.

    `global_tokens` has shape (32,), `semantic_tokens` (T,). The semantic tokens are part of a prompt only together
    with the `transcript` of the sample. `pitch` and `rate` ask the language model for another manner. For
    `text_prefix` and `language` see Voice. Raises ValueError if the shape is wrong.
    """

    global_tokens: TokenIds
    semantic_tokens: TokenIds = field(default_factory=lambda: np.zeros(0, np.int64))
    transcript: str | None = None
    pitch: Level | None = None
    rate: Level | None = None
    text_prefix: str = ""
    language: str | None = None

    def __post_init__(self) -> None:
        _check_shape(self.global_tokens)


VoiceTokens = CreatedVoiceTokens | ClonedVoiceTokens
"""The tokens of a voice for the language model and the decoder, computed once per voice."""


def _check_shape(global_tokens: TokenIds) -> None:
    if global_tokens.shape != (GLOBAL_TOKENS,):
        raise ValueError(f"a voice has {GLOBAL_TOKENS} global tokens, not an array of shape {global_tokens.shape}")


Caller = str | None
"""The name of the caller's API key, "" if there are no keys, or None for the operator, who has access to all."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice as users see it. `attributes` is set for created voices only.

    Without attributes it is a cloned voice, made from a sample or, if `from_tokens` is set, from tokens. `text_prefix`
    is the speaker's name that texts begin with in the training of some models. `language` is a BCP 47 tag, the language
    of texts that do not say theirs. `owner` is the name of the API key that can change it, or "". Only its owner sees a
    private voice. `warnings` say what reduces its quality.
    """

    id: str
    name: str
    created_at: int  # Unix seconds
    attributes: VoiceAttributes | None = None
    owner: str = ""
    private: bool = False
    transcript: str | None = None
    consent: str | None = None
    built_in: bool = False
    from_tokens: bool = False
    text_prefix: str = ""
    language: str | None = None
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def namespace(self) -> str:
        """The namespace in which its name is unique: the owner for a private voice, "" for a shared one."""
        return self.owner if self.private else ""


@dataclass(frozen=True, slots=True)
class Consent:
    """A recording in which a speaker agrees to the use of their voice. `language` is a BCP 47 tag."""

    id: str
    name: str
    language: str
    created_at: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class Recording:
    """An uploaded audio file, and the media type of its content."""

    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Sample:
    """The recording of a cloned voice. `cut` is true if only its beginning was used."""

    recording: Recording
    cut: bool


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """A request to speak a text in a voice.

    `voice` is the name or id of a voice that `caller` sees. `gender`, `pitch` and `rate` override those of a created
    voice; a cloned voice takes `pitch` and `rate`.
    `speed` is the tempo factor, 0.25 to 4.
    `reading` has the options for text normalization, see `engine.text`.
    `max_tokens` limits the semantic tokens of each sentence, in addition to the limit from the sentence's length.
    `sample_rate` is the output rate, in Hz.
    `form` says how the text is read, see `engine.script`. `timestamps` asks for the times of the sentences, as events,
    `words` for those of their words, which the listener has if there is one, `announce` for an event where each
    sentence begins, and `separate` for sentences that are recordings of their own.
    `retakes` overrides the setting. `verify` sends a sentence only after the listener has understood it.
    """

    text: str
    voice: str
    speed: float = 1.0
    gender: Gender | None = None
    pitch: Level | None = None
    rate: Level | None = None
    sample_rate: int = 24_000
    max_tokens: int | None = None
    caller: Caller = ""
    sampling: Sampling = field(default_factory=Sampling)
    reading: TextOptions = field(default_factory=TextOptions)
    form: Format = field(default_factory=Format)
    timestamps: bool = False
    words: bool = False
    announce: bool = False
    separate: bool = False
    retakes: int | None = None
    verify: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of the language model so far: prompt tokens and generated semantic tokens."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, more: Usage) -> Usage:
        return Usage(self.input_tokens + more.input_tokens, self.output_tokens + more.output_tokens)


@dataclass(frozen=True, slots=True)
class SpeechEvent:
    """What a response says about itself, beside its samples. Subclasses say what."""


@dataclass(frozen=True, slots=True)
class SpeechWarning(SpeechEvent):
    """A sentence may not be heard as it was asked for: no take of it passed, or it could not be verified.

    `sentence` counts from 0. `text` is the sentence as it was to be spoken, `span` where the request's text has it.
    `fault` is a value of `engine.takes.faults.Fault`, "unverified", or "no_words" if its words have no times.
    """

    sentence: int
    text: str
    span: Span
    fault: str


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """The next samples of a response, at the request's `sample_rate`, the usage so far, and what is new about it.

    After the `last` samples only events follow.
    """

    samples: Samples
    usage: Usage
    events: tuple[SpeechEvent, ...] = ()
    last: bool = False
