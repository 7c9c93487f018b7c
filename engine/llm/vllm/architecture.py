"""Spark-TTS's language model as vLLM runs it: its output vocabulary has only the audio rows.

vLLM's head and sampler work on `vocab_size` rows. Here these are the 13,349 rows that an answer can use; the other
152,651 are not computed. The embedding keeps all rows, the audio rows first, so that a generated row is also the id of
the next input. The rows of the text follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from vllm.config import VllmConfig
from vllm.model_executor.layers.vocab_parallel_embedding import VocabParallelEmbedding
from vllm.model_executor.models.qwen2 import Qwen2ForCausalLM

from engine.llm.tensors import EMBEDDING, HEAD
from engine.llm.vllm.plugin import embedding_permutation
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary


class FastSparkForCausalLM(Qwen2ForCausalLM):
    """vLLM's Qwen2. `config.embedding_rows` counts the whole vocabulary, `config.vocab_size` the audio rows.

    `config.separate_head` says whether the checkpoint's head has weights of its own.
    """

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        self._ids = grammar_of(vllm_config).ids
        self.model.embed_tokens = VocabParallelEmbedding(self.config.embedding_rows, self.config.hidden_size)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Load a checkpoint's tensors, and permute the embedding's rows."""
        loaded: set[str] = super().load_weights(self._permuted(weights))
        return loaded

    def _permuted(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterable[tuple[str, torch.Tensor]]:
        for name, value in weights:
            if name == (HEAD if self.config.separate_head else EMBEDDING):
                yield HEAD, value[torch.from_numpy(self._ids)]
            if name == HEAD:
                continue
            if name == EMBEDDING:
                value = value[torch.from_numpy(embedding_permutation(self._ids, len(value)))]
            yield name, value


def grammar_of(vllm_config: VllmConfig) -> Grammar:
    """The grammar of the checkpoint that vLLM runs."""
    return Grammar(Vocabulary(Path(vllm_config.model_config.model) / "tokenizer.json"))
