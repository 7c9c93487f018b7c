"""Token names and ids from the checkpoint's tokenizer. Text is tokenized so that it cannot become a control token."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from engine.config import SPARK_TTS
from engine.errors import CheckpointError

ACOUSTIC_VALUES = ("pitch_value", "pitch_var_value", "loudness_value", "speed_value")
"""The token families of the acoustic block, with which the answer for a created voice begins."""


@dataclass(frozen=True, slots=True)
class TokenRange:
    """A family of `count` tokens with consecutive ids: `<|name_0|>` has the id `first`."""

    first: int
    count: int

    @property
    def ids(self) -> range:
        """All ids of the family."""
        return range(self.first, self.first + self.count)


class Vocabulary:
    """The token ids of one checkpoint, by name."""

    def __init__(self, tokenizer_json: str | os.PathLike[str], spelling: Callable[[str], str] = str) -> None:
        """Read `LLM/tokenizer.json`; raises CheckpointError if it lacks a token that speech needs.

        `spelling` writes texts as the language model was trained on them, see `engine.checkpoints.spelling`.
        """
        self._spelling = spelling
        self._file = tokenizer_json = Path(tokenizer_json)
        try:
            content = json.loads(tokenizer_json.read_text(encoding="utf-8"))
            added = content.pop("added_tokens")
            # A tokenizer without the added tokens cannot produce one from a user's text.
            self._text = tokenizers.Tokenizer.from_str(json.dumps({**content, "added_tokens": []}))
            self._ids = {token["content"]: int(token["id"]) for token in added}
        except Exception as error:  # the tokenizers library raises plain Exception
            raise CheckpointError(f"{tokenizer_json} is not a tokenizer: {error}") from error
        self.globals = self._range("bicodec_global")
        self.semantic = self._range("bicodec_semantic")
        self.acoustic = {family: self._range(family) for family in ACOUSTIC_VALUES}
        self.ends = (self.id("<|end_semantic_token|>"), self.id("<|im_end|>"))

    def id(self, name: str) -> int:
        """The id of an added token, such as `<|task_tts|>`; raises CheckpointError if it does not exist."""
        try:
            return self._ids[name]
        except KeyError:
            raise CheckpointError(f"{self._file} has no token {name}, so it is not a Spark-TTS checkpoint.") from None

    def text(self, text: str) -> list[int]:
        """The ids of a user's text. Text that spells a control token stays text."""
        ids: list[int] = self._text.encode(self._spelling(text), add_special_tokens=False).ids
        return ids

    def check_fit(self, semantic: int, voices: int) -> None:
        """Raise CheckpointError unless these are the codec's numbers of semantic and of global tokens."""
        pairs = (("semantic", self.semantic.count, semantic), ("global", self.globals.count, voices))
        for kind, own, codecs in pairs:
            if own != codecs:
                raise CheckpointError(
                    f"The language model has {own} {kind} tokens, and the codec in `model` has {codecs}. Choose the "
                    f"`model` that the language model was trained with, such as {SPARK_TTS}."
                )

    def _range(self, family: str) -> TokenRange:
        first = self.id(f"<|{family}_0|>")
        count = 1
        while self._ids.get(f"<|{family}_{count}|>") == first + count:
            count += 1
        if f"<|{family}_{count}|>" in self._ids:
            raise CheckpointError(f"{self._file}: the ids of <|{family}_N|> are not consecutive at N = {count}")
        return TokenRange(first, count)
