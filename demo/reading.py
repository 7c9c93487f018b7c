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


def pronunciations(text: str, tokens: list[int], letters: list[int]) -> Said:
    """The phonemes of each word by the position of its end, from semantic tokens and the letter that each says."""
    ends = word_ends(text)
    third, phoneme = np.array(tokens) // PHASES % STATES, np.array(tokens) // (PHASES * STATES)
    said: Said = {}
    for begin in np.flatnonzero(np.r_[True, (np.diff(phoneme) != 0) | (np.diff(third) < 0)]).tolist():
        if phoneme[begin] != 0:  # silence
            said.setdefault(ends[letters[begin]], []).append(int(phoneme[begin]))
    return said


class Reading(nn.Module):
    """Predicts pronunciations from a language model's lower layers."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.slots = nn.Linear(hidden_size, SLOTS * (END + 1))

    def forward(self, model: Qwen2ForCausalLM, prompts: list[list[int]], said: list[Said], content: int) -> Tensor:
        """The loss of the predicted pronunciations. `content` ids of each prompt are before its text."""
        ids = torch.zeros(len(prompts), max(map(len, prompts)), dtype=torch.long)
        places, wanted = [], []
        for item, (prompt, words) in enumerate(zip(prompts, said, strict=True)):
            ids[item, : len(prompt)] = torch.tensor(prompt)
            for end, phonemes in words.items():
                places.append((item, end + content))
                wanted.append([*phonemes, END, *[UNKNOWN] * SLOTS][:SLOTS])
        where = torch.tensor(places)
        hidden = lower(model)(ids, use_cache=False).last_hidden_state[where[:, 0], where[:, 1]]
        logits = self.slots(F.normalize(hidden, dim=-1) * hidden.shape[-1] ** 0.5)
        return F.cross_entropy(logits.view(-1, END + 1), torch.tensor(wanted).view(-1), ignore_index=UNKNOWN)


def lower(model: Qwen2ForCausalLM) -> Qwen2Model:
    """The lower layers, which share the model's weights."""
    with torch.device("meta"):
        part = Qwen2Model(model.config)
    part.embed_tokens, part.rotary_emb = model.model.embed_tokens, model.model.rotary_emb
    part.layers = model.model.layers[:LAYERS]
    part.norm = nn.Identity()  # type: ignore[assignment]  # what lies above normalises by itself
    return part
