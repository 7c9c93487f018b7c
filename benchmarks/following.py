"""Makes transformers' generate keep to the grammar of an answer, to compare it with the engine's language model."""

from __future__ import annotations

import torch
from transformers import LogitsProcessor

from engine.tokens.grammar import Grammar
from engine.types import Prompt


class FollowGrammar(LogitsProcessor):
    """Makes transformers' generate keep to the grammar of the answer."""

    def __init__(self, grammar: Grammar, prompt: Prompt) -> None:
        self._grammar, self._length = grammar, len(prompt.ids)
        self._state = grammar.start(prompt.answer)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """See LogitsProcessor."""
        if input_ids.shape[1] > self._length:
            self._state = self._grammar.advance(self._state, self._grammar.row(int(input_ids[0, -1])))
        allowed = torch.from_numpy(self._grammar.ids[self._grammar.allowed[self._state]]).to(scores.device)
        return torch.full_like(scores, -torch.inf).index_copy(1, allowed, scores[:, allowed])
