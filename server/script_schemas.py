"""The request fields for what is said and how: pauses, speakers, respellings, and the times of the sentences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from engine import Format, InputFormat, Lexicon
from server.encoding import DEFAULT_FORMAT, AudioFormat
from server.patterns import VoiceName

MOST_ENTRIES = 100  # of a lexicon, or of the voices of a dialogue

Word = Annotated[str, Field(min_length=1, max_length=256)]


def _has_a_letter(words: dict[str, str]) -> dict[str, str]:
    for word in words:
        if not word.strip():
            raise ValueError("a word of the lexicon is blank")
    return words


class ScriptOptions(BaseModel):
    """Extensions of a speech request: how its text is read, and whether its times are reported."""

    input_format: InputFormat = Field(
        "text",
        description="What `input` is: plain text, in which [pause:1.5s] is a pause; SSML; or a dialogue of lines "
        "`NAME: what they say`.",
    )
    voices: dict[VoiceName, VoiceName] = Field(
        default_factory=dict,
        max_length=MOST_ENTRIES,
        description="The voices of the speakers of a dialogue, or of SSML's `voice` elements, by their names.",
    )
    timestamps: bool = Field(
        False, description="If true, the response has the time of each sentence: events, or a list in JSON."
    )
    audio_format: AudioFormat = Field(
        DEFAULT_FORMAT, description="The format of the audio in a response with `response_format` json."
    )

    @property
    def form(self) -> Format:
        """How the text is read, as the engine's type."""
        return Format(self.input_format, self.voices)


class LexiconOptions(BaseModel):
    """The respellings of one request."""

    lexicon: Annotated[dict[Word, Annotated[str, Field(max_length=256)]], AfterValidator(_has_a_letter)] = Field(
        default_factory=dict,
        max_length=MOST_ENTRIES,
        description='Respellings of words that are read wrongly: {"GIF": "jif"}. A word in lower case stands for all '
        "its cases, any other for itself only.",
    )

    @property
    def respelling(self) -> Lexicon:
        """The respellings as the engine's type."""
        return Lexicon.of_words(self.lexicon)


class SentenceTimestamps(BaseModel):
    """When a sentence is heard, in seconds of the response. `span` is its place in the request's text."""

    sentence: int
    text: str
    span: tuple[int, int]
    start: float
    end: float
    speaker: str


class WordTimestamp(BaseModel):
    """When a word is heard, in seconds of the response; `word` is what the server's listener understood."""

    word: str
    start: float
    end: float


class MarkTimestamp(BaseModel):
    """When one of SSML's marks is reached, in seconds of the response."""

    name: str
    seconds: float


class SpeechAudioTimestamps(SentenceTimestamps):
    """An event of `stream_format: sse` with `timestamps`: a sentence has ended."""

    type: Literal["speech.audio.timestamps"] = "speech.audio.timestamps"


class SpeechAudioWords(BaseModel):
    """An event of `stream_format: sse` with `timestamps`, if the server has a listener: the words of a sentence."""

    type: Literal["speech.audio.words"] = "speech.audio.words"
    sentence: int
    words: list[WordTimestamp]


class SpeechAudioMark(MarkTimestamp):
    """An event of `stream_format: sse` with `timestamps`: one of SSML's marks was reached."""

    type: Literal["speech.audio.mark"] = "speech.audio.mark"


class IgnoredElementsWarning(BaseModel):
    """An event of `stream_format: sse`: some of the SSML has no effect."""

    type: Literal["speech.audio.warning"] = "speech.audio.warning"
    fault: Literal["ignored_elements"] = "ignored_elements"
    message: str
    ignored_elements: list[str]


class SpokenSentence(SentenceTimestamps):
    """A sentence with its words, if the server's listener has their times."""

    words: list[WordTimestamp] | None = None


class SpokenAudio(BaseModel):
    """The response with `response_format` json: the audio in base64, and the time of each sentence."""

    object: Literal["audio.speech"] = "audio.speech"
    audio: str
    format: AudioFormat
    sample_rate: int
    seconds: float
    timestamps: list[SpokenSentence]
    marks: list[MarkTimestamp]
    ignored_elements: list[str]
