"""The prompts that Spark-TTS was trained on, as ids. Only the user's text is not fixed."""

from __future__ import annotations

import unicodedata

from engine.tokens.vocabulary import Vocabulary
from engine.types import (
    ClonedVoiceTokens,
    CreatedVoiceTokens,
    Gender,
    Level,
    OutputGrammar,
    Prompt,
    TokenIds,
    VoiceAttributes,
    VoiceTokens,
)

GENDERS: dict[Gender, int] = {"female": 0, "male": 1}
LEVELS: dict[Level, int] = {"very_low": 0, "low": 1, "moderate": 2, "high": 3, "very_high": 4}


class Prompts:
    """Builds the prompts of one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def create_voice(self, text: str, attributes: VoiceAttributes) -> Prompt:
        """The prompt for a new voice that says `text`. The answer holds the voice, then the speech."""
        return Prompt(tuple(self._styled(text, attributes)), OutputGrammar.VOICE_AND_SPEECH)

    def speak(self, text: str, voice: VoiceTokens) -> Prompt:
        """The prompt for `text` in a known voice. The answer is speech alone.

        The prompt includes `<|start_semantic_token|>`. An answer always starts with it, so this saves a decode step.
        """
        match voice:
            case CreatedVoiceTokens():
                ids = self._created(text, voice)
            case ClonedVoiceTokens():
                ids = self._cloned(text, voice)
        return Prompt(tuple(ids), OutputGrammar.SPEECH)

    def _styled(self, text: str, attributes: VoiceAttributes) -> list[int]:
        style = (
            f"<|gender_{GENDERS[attributes.gender]}|>",
            f"<|pitch_label_{LEVELS[attributes.pitch]}|>",
            f"<|speed_label_{LEVELS[attributes.speed]}|>",
        )
        return [
            *self._ids("<|task_controllable_tts|>", "<|start_content|>"),
            *self._vocabulary.text(text),
            *self._ids("<|end_content|>", "<|start_style_label|>", *style, "<|end_style_label|>"),
        ]

    def _created(self, text: str, voice: CreatedVoiceTokens) -> list[int]:
        return [*self._styled(text, voice.attributes), *voice.acoustic_ids, *self._globals(voice.global_tokens)]

    def _cloned(self, text: str, voice: ClonedVoiceTokens) -> list[int]:
        spoken: list[int] = []
        if voice.transcript:
            text = join(voice.transcript, text)
            spoken = [self._vocabulary.semantic.ids[token] for token in voice.semantic_tokens]
        return [
            *self._ids("<|task_tts|>", "<|start_content|>"),
            *self._vocabulary.text(text),
            *self._ids("<|end_content|>"),
            *self._globals(voice.global_tokens),
            *spoken,
        ]

    def _globals(self, global_tokens: TokenIds) -> list[int]:
        return [
            *self._ids("<|start_global_token|>"),
            *(self._vocabulary.globals.ids[token] for token in global_tokens),
            *self._ids("<|end_global_token|>", "<|start_semantic_token|>"),
        ]

    def _ids(self, *names: str) -> list[int]:
        return [self._vocabulary.id(name) for name in names]


def join(transcript: str, text: str) -> str:
    """The transcript and the text as one text, with a space between them if both scripts use spaces."""
    transcript = transcript.strip()
    spaced = not (is_wide(transcript[-1:]) or is_wide(text[:1]))
    return f"{transcript} {text}" if spaced else transcript + text


def is_wide(character: str) -> bool:
    """Whether a character belongs to a script without spaces: Chinese, Japanese or Korean, with punctuation."""
    return character != "" and unicodedata.east_asian_width(character) in "WF"
