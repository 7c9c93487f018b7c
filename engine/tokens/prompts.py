"""The prompts that Spark-TTS was trained on, as ids; the user's text is the only part that is not fixed."""

from __future__ import annotations

import unicodedata

from engine.tokens.vocabulary import Vocabulary
from engine.types import GLOBAL_TOKENS, Gender, Level, OutputGrammar, Prompt, VoiceAttributes, VoiceTokens

GENDERS: dict[Gender, int] = {"female": 0, "male": 1}
LEVELS: dict[Level, int] = {"very_low": 0, "low": 1, "moderate": 2, "high": 3, "very_high": 4}


class Prompts:
    """Builds the prompts of one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def create_voice(self, text: str, attributes: VoiceAttributes) -> Prompt:
        """Ask for a new voice that says `text`: the answer holds the voice, then the speech."""
        return Prompt(tuple(self._styled(text, attributes)), OutputGrammar.VOICE_AND_SPEECH)

    def speak(self, text: str, voice: VoiceTokens) -> Prompt:
        """Ask for `text` in a voice that is known: the answer is speech alone.

        `<|start_semantic_token|>`, which the answer must begin with, is in the prompt already: nothing is left
        to choose there, and the listener is spared a step.
        """
        return Prompt(
            tuple(self._created(text, voice) if voice.attributes else self._cloned(text, voice)),
            OutputGrammar.SPEECH,
        )

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

    def _created(self, text: str, voice: VoiceTokens) -> list[int]:
        assert voice.attributes is not None
        return [*self._styled(text, voice.attributes), *voice.acoustic_ids, *self._globals(voice)]

    def _cloned(self, text: str, voice: VoiceTokens) -> list[int]:
        spoken = (
            [] if voice.semantic_tokens is None else [self._vocabulary.semantic.ids[t] for t in voice.semantic_tokens]
        )
        return [
            *self._ids("<|task_tts|>", "<|start_content|>"),
            *self._vocabulary.text(join(voice.transcript, text) if voice.transcript else text),
            *self._ids("<|end_content|>"),
            *self._globals(voice),
            *spoken,
        ]

    def _globals(self, voice: VoiceTokens) -> list[int]:
        if voice.global_tokens.shape != (GLOBAL_TOKENS,):
            raise ValueError(f"a voice has {GLOBAL_TOKENS} global tokens, not {voice.global_tokens.shape}")
        return [
            *self._ids("<|start_global_token|>"),
            *(self._vocabulary.globals.ids[token] for token in voice.global_tokens),
            *self._ids("<|end_global_token|>", "<|start_semantic_token|>"),
        ]

    def _ids(self, *names: str) -> list[int]:
        return [self._vocabulary.id(name) for name in names]


def join(transcript: str, text: str) -> str:
    """The transcript and the text as one; with a space between them where both are in spaced scripts."""
    transcript = transcript.strip()
    spaced = not (is_wide(transcript[-1:]) or is_wide(text[:1]))
    return f"{transcript} {text}" if spaced else transcript + text


def is_wide(character: str) -> bool:
    """Whether a character is Chinese, Japanese or Korean, or such punctuation: scripts without spaces."""
    return character != "" and unicodedata.east_asian_width(character) in "WF"
