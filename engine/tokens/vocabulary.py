"""Token names and their ids, read from the checkpoint's tokenizer; text as ids that no control token can enter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import tokenizers

from engine.errors import CheckpointError

ACOUSTIC_VALUES = ("pitch_value", "pitch_var_value", "loudness_value", "speed_value")
"""The token families of the acoustic block, which a created voice's answer begins with."""


@dataclass(frozen=True, slots=True)
class TokenRange:
    """A family of tokens with consecutive ids: `<|name_0|>` has the id `first`."""

    first: int
    count: int

    @property
    def ids(self) -> range:
        """All ids of the family."""
        return range(self.first, self.first + self.count)


class Vocabulary:
    """What the ids of one checkpoint mean."""

    def __init__(self, tokenizer_json: Path) -> None:
        """Read `LLM/tokenizer.json`; raises CheckpointError if a token that speech needs is not in it."""
        try:
            content = json.loads(tokenizer_json.read_text(encoding="utf-8"))
            added = content.pop("added_tokens")
            # A tokenizer that has never heard of the added tokens cannot make one out of a user's text.
            self._text = tokenizers.Tokenizer.from_str(json.dumps({**content, "added_tokens": []}))
            self._ids = {token["content"]: int(token["id"]) for token in added}
        except Exception as error:  # the tokenizers library raises plain Exception
            raise CheckpointError(f"{tokenizer_json} is not a tokenizer: {error}") from error
        self._file = tokenizer_json
        self.globals = self._range("bicodec_global")
        self.semantic = self._range("bicodec_semantic")
        self.acoustic = {family: self._range(family) for family in ACOUSTIC_VALUES}
        self.ends = (self.id("<|end_semantic_token|>"), self.id("<|im_end|>"))

    def id(self, name: str) -> int:
        """The id of one added token, such as `<|task_tts|>`; raises CheckpointError if there is none."""
        try:
            return self._ids[name]
        except KeyError:
            raise CheckpointError(f"{self._file} has no token {name}: is it a Spark-TTS checkpoint?") from None

    def text(self, text: str) -> list[int]:
        """Ids of a user's text; text that spells a control token stays text."""
        ids: list[int] = self._text.encode(text, add_special_tokens=False).ids
        return ids

    def _range(self, family: str) -> TokenRange:
        first = self.id(f"<|{family}_0|>")
        count = 1
        while self._ids.get(f"<|{family}_{count}|>") == first + count:
            count += 1
        if f"<|{family}_{count}|>" in self._ids:
            raise CheckpointError(f"{self._file}: the ids of <|{family}_N|> are not consecutive at N = {count}")
        return TokenRange(first, count)
