"""An auxiliary task for the language model: it predicts the pronunciation of each word at the word's end in the text.

From speech, a language model learns pronunciations only at each new phoneme, a few times per second. From text with
pronunciations, without speech, it learns ten times as many words in the same time.
"""

from __future__ import annotations

import re

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen2ForCausalLM, Qwen2Model

from demo.material import Numbers
from demo.tokens import PHASES, PHONEMES, STATES

LAYERS = 3  # that read: those above look at what they found
SLOTS = 12  # phonemes of a word that are asked for
END = len(PHONEMES)  # behind a word's last phoneme
UNKNOWN = -100  # what cross entropy leaves out

Said = dict[int, list[int]]


def word_ends(text: str) -> list[int]:
    """For each letter of a text the position of its word's end; characters between two words belong to the first.

    The position is that of the character after the word; for a text's last word, that of the token that ends the text.
    """
    ends = []
    for match in re.finditer(r"([\w']*)[^\w']*", text):
        ends += [match.end(1)] * len(match[0])
    return ends


def pronunciations(text: str, tokens: Numbers, letters: Numbers) -> Said:
    """The phonemes of each word by the position of its end, from semantic tokens and the letter that each says."""
    ends = word_ends(text)
    third, phoneme = tokens // PHASES % STATES, tokens // (PHASES * STATES)
    said: Said = {}
    for begin in np.flatnonzero(np.r_[True, (np.diff(phoneme) != 0) | (np.diff(third) < 0)]).tolist():
        if phoneme[begin] != 0:  # silence
            said.setdefault(ends[int(letters[begin])], []).append(int(phoneme[begin]))
    return said


def slots(phonemes: list[int]) -> list[int]:
    """What is asked for at a word's end, `SLOTS` numbers."""
    return [*phonemes, END, *[UNKNOWN] * SLOTS][:SLOTS]


class Reading(nn.Module):
    """Predicts pronunciations from what a language model's lower layers give."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.slots = nn.Linear(hidden_size, SLOTS * (END + 1))

    def forward(self, hidden: Tensor, wanted: Tensor) -> Tensor:
        """The loss of the pronunciations predicted at the ends of words, from (N, hidden_size) to (N, SLOTS)."""
        logits = self.slots(F.normalize(hidden, dim=-1) * hidden.shape[-1] ** 0.5)
        return F.cross_entropy(logits.view(-1, END + 1), wanted.view(-1), ignore_index=UNKNOWN)


def lower(model: Qwen2ForCausalLM) -> Qwen2Model:
    """The lower layers, which share the model's weights."""
    with torch.device("meta"):
        part = Qwen2Model(model.config)
    part.embed_tokens, part.rotary_emb = model.model.embed_tokens, model.model.rotary_emb
    part.layers = model.model.layers[:LAYERS]
    part.norm = nn.Identity()  # type: ignore[assignment]  # what lies above normalises by itself
    return part
