"""The prompts that Spark-TTS and its fine-tunes were trained on, as ids. Only the user's text is not fixed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from engine.config import PromptForm
from engine.tokens.vocabulary import Vocabulary
from engine.types import (
    ClonedVoiceTokens,
    CreatedVoiceTokens,
    Gender,
    Level,
    OutputGrammar,
    Prompt,
    VoiceAttributes,
    VoiceTokens,
)

TASKS = ("<|task_tts|>", "<|task_controllable_tts|>")
SECTIONS = ("content", "style_label", "global_token", "semantic_token")
CONTROL_TOKENS = (*TASKS, *(f"<|{side}_{section}|>" for section in SECTIONS for side in ("start", "end")))
"""The tokens that the prompts are made of, beside those of voices and styles."""

GENDERS: dict[Gender, int] = {"female": 0, "male": 1}
LEVELS: dict[Level, int] = {"very_low": 0, "low": 1, "moderate": 2, "high": 3, "very_high": 4}


class Prompts:
    """Builds the prompts of one vocabulary, in the form that its language model was trained on."""

    def __init__(self, vocabulary: Vocabulary, form: PromptForm = "published") -> None:
        """Check that the vocabulary has the control tokens; raises CheckpointError."""
        self._vocabulary = vocabulary
        self.form: PromptForm = form
        self._ids(*CONTROL_TOKENS)

    @property
    def self_voiced(self) -> bool:
        """Whether the language model makes its own voices, not from attributes."""
        return self.form != "published"

    def own_voice(self, text: str, prefix: str = "") -> Prompt:
        """The prompt of a self-voiced model for `text`. The answer begins with the voice."""
        ids = [*self._content(text, prefix), *self._ids("<|start_global_token|>")]
        return Prompt(tuple(ids), OutputGrammar.OWN_VOICE_AND_SPEECH)

    def create_voice(self, text: str, attributes: VoiceAttributes) -> Prompt:
        """The prompt for a new voice that says `text`. The answer holds the voice, then the speech."""
        return Prompt(tuple(self._styled(text, attributes)), OutputGrammar.VOICE_AND_SPEECH)

    def speak(self, text: str, voice: VoiceTokens) -> Prompt:
        """The prompt for `text` in a known voice. The answer is speech alone.

        The prompt includes `<|start_semantic_token|>`. An answer always starts with it, so this saves a decode step.
        Self-voiced models write that token themselves: some were trained without it.
        """
        spoken: list[int] = []
        match voice:
            case CreatedVoiceTokens():
                ids = self._created(text, voice)
            case ClonedVoiceTokens():
                ids = self._cloned(text, voice)
                if voice.transcript:
                    spoken = [self._vocabulary.semantic.ids[token] for token in voice.semantic_tokens]
        ids += [self._vocabulary.globals.ids[token] for token in voice.global_tokens]
        if self.self_voiced and not spoken:
            return Prompt(tuple(ids), OutputGrammar.AFTER_VOICE)
        ids += [*self._ids("<|end_global_token|>", "<|start_semantic_token|>"), *spoken]
        return Prompt(tuple(ids), OutputGrammar.SPEECH)

    def continued(self, prompt: Prompt, tokens: Sequence[int]) -> Prompt:
        """The prompt for the rest of the answer to `prompt`, which has these semantic tokens so far."""
        if not tokens:
            return prompt
        start: list[int] = []
        if prompt.answer is OutputGrammar.AFTER_VOICE:
            start = self._ids("<|end_global_token|>", "<|start_semantic_token|>")
        spoken = (self._vocabulary.semantic.ids[token] for token in tokens)
        return Prompt((*prompt.ids, *start, *spoken), OutputGrammar.SPEECH)

    def _styled(self, text: str, attributes: VoiceAttributes, prefix: str = "") -> list[int]:
        style = (
            f"<|gender_{GENDERS[attributes.gender]}|>",
            f"<|pitch_label_{LEVELS[attributes.pitch]}|>",
            f"<|speed_label_{LEVELS[attributes.speed]}|>",
        )
        return [
            *self._ids("<|task_controllable_tts|>", "<|start_content|>"),
            *self._vocabulary.text(prefixed(text, prefix)),
            *self._ids("<|end_content|>", "<|start_style_label|>", *style, "<|end_style_label|>"),
        ]

    def _created(self, text: str, voice: CreatedVoiceTokens) -> list[int]:
        styled = self._styled(text, voice.attributes, voice.text_prefix)
        return [*styled, *voice.acoustic_ids, *self._ids("<|start_global_token|>")]

    def _cloned(self, text: str, voice: ClonedVoiceTokens) -> list[int]:
        if voice.transcript:
            text = join(voice.transcript, text)
        style: tuple[str, ...] = ()
        if voice.pitch or voice.rate:
            pitch, rate = (LEVELS[level or "moderate"] for level in (voice.pitch, voice.rate))
            labels = f"<|pitch_label_{pitch}|>", f"<|speed_label_{rate}|>"
            style = ("<|start_style_label|>", *labels, "<|end_style_label|>")
        return [*self._content(text, voice.text_prefix), *self._ids(*style, "<|start_global_token|>")]

    def _content(self, text: str, prefix: str) -> list[int]:
        text_ids = self._vocabulary.text(prefixed(text, prefix))
        return [*self._ids("<|task_tts|>", "<|start_content|>"), *text_ids, *self._ids("<|end_content|>")]

    def _ids(self, *names: str) -> list[int]:
        return [self._vocabulary.id(name) for name in names]


def prefixed(text: str, prefix: str) -> str:
    """The text with the name of its speaker before it, if there is one."""
    return f"{prefix}: {text}" if prefix else text


def join(transcript: str, text: str) -> str:
    """The transcript and the text as one text, with a space between them if both scripts use spaces."""
    transcript = transcript.strip()
    spaced = not (is_wide(transcript[-1:]) or is_wide(text[:1]))
    return f"{transcript} {text}" if spaced else transcript + text


def is_wide(character: str) -> bool:
    """Whether a character belongs to a script without spaces: Chinese, Japanese or Korean, with punctuation."""
    return character != "" and unicodedata.east_asian_width(character) in "WF"
