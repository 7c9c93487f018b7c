"""A language model that faults on purpose, a codec that shows which tokens are heard, and what a listener notices."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from engine.llm.base import LanguageModel
from engine.tokens.vocabulary import TokenRange
from engine.types import SAMPLES_PER_TOKEN, OutputGrammar, Passage, Prompt, Samples, Sampling, TokenIds

SILENT = frozenset(range(9))  # the demo model's tokens of silence
KINDS = ("held", "loop", "silence", "late", "nothing", "early", "runaway")


@dataclass(frozen=True)
class Fault:
    kind: str
    place: float  # as a part of the answer
    seed: int


class FaultyModel:
    """Another model's answers, some of them with a fault. Which, depends on the seed alone."""

    def __init__(self, model: LanguageModel, semantic: TokenRange, rate: float, kinds: tuple[str, ...] = KINDS) -> None:
        self._model = model
        self._semantic = semantic
        self._rate = rate
        self._kinds = kinds
        self.injected: Counter[str] = Counter()

    @property
    def context(self) -> int:
        return self._model.context

    @property
    def failure(self) -> str | None:
        return self._model.failure

    def fault(self, sampling: Sampling) -> Fault | None:
        random = np.random.default_rng(sampling.seed)
        if random.random() >= self._rate:
            return None
        return Fault(str(random.choice(self._kinds)), random.uniform(0.1, 0.8), int(random.integers(2**31)))

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        fault = self.fault(sampling) if prompt.answer is OutputGrammar.SPEECH else None
        if not fault:
            async with aclosing(self._model.generate(prompt, sampling, due)) as answer:
                async for ids in answer:
                    yield ids
            return
        self.injected[fault.kind] += 1
        ids = [id_ async for new in self._model.generate(prompt, sampling, due) for id_ in new]
        for id_ in self._spoilt(ids, fault)[: sampling.max_tokens]:
            yield [id_]

    def _spoilt(self, ids: list[int], fault: Fault) -> list[int]:
        random = np.random.default_rng(fault.seed)
        place = int(fault.place * len(ids))
        before, after = ids[:place], ids[place:]
        forever = 3000
        match fault.kind:
            case "held":
                return before + ids[place : place + 1] * forever
            case "loop":
                phrase = ids[place : place + int(random.integers(5, 100))]
                return before + phrase * forever
            case "silence":
                return before + self._silence(random, int(random.integers(60, 400))) + after
            case "late":
                return self._silence(random, int(random.integers(45, 300))) + ids
            case "nothing":
                return ids[: int(random.integers(1, 10))]
            case "early":
                return ids[: int(random.uniform(0.1, 0.25) * len(ids))]
            case _:
                return ids + [int(id_) for id_ in random.choice(ids or [self._semantic.first + 100], forever)]

    def _silence(self, random: np.random.Generator, count: int) -> list[int]:
        return [self._semantic.first + int(token) for token in random.choice(sorted(SILENT), count)]

    async def close(self) -> None:
        await self._model.close()


class ReadableCodec:
    """A token sounds as 320 equal samples, from which it can be read; those of silence as zeros."""

    def encode_batch(self, waves: list[Samples]) -> list[tuple[TokenIds, TokenIds]]:
        raise NotImplementedError

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        return [np.repeat(_level(item.semantic[item.kept]), SAMPLES_PER_TOKEN).astype(np.float32) for item in items]


def _level(tokens: TokenIds) -> Samples:
    silent = np.isin(tokens, sorted(SILENT))
    return np.where(silent, 0, 0.25 + tokens / 40_000).astype(np.float32)


def heard_tokens(samples: Samples) -> list[int]:
    """The tokens that the samples at 16 kHz were made from, -1 for silence; wrong where two takes were joined."""
    middles = samples[: len(samples) // SAMPLES_PER_TOKEN * SAMPLES_PER_TOKEN].reshape(-1, SAMPLES_PER_TOKEN)[:, 160]
    return np.where(middles < 0.2, -1, np.round((middles - 0.25) * 40_000)).astype(int).tolist()


def complaint(heard: list[int], clean: list[int]) -> str | None:
    """What a listener complains of in a sentence, who knows how it sounds without a fault."""
    sound = [n for n, token in enumerate(heard) if token >= 0]
    if not sound:
        return "nothing"
    if sound[0] > 35 or max(np.diff(sound), default=0) > 51:
        return "silence"
    if loops(heard):
        return "loop"
    clean_sound = [n for n, token in enumerate(clean) if token >= 0]
    ratio = (sound[-1] - sound[0] + 1) / (clean_sound[-1] - clean_sound[0] + 1)
    if ratio < 0.6:
        return "short"
    return "long" if ratio > 1.5 else None


def loops(tokens: list[int]) -> bool:
    """Whether a sound is held for 0.6 s, or a phrase of up to 4 s is said three times, token for token."""
    array = np.array(tokens)
    for period in range(1, min(200, len(array) // 3) + 1):
        same = np.flatnonzero(np.concatenate(([True], array[period:] != array[:-period], [True])))
        if np.diff(same).max() - 1 >= max(30 - period, 2 * period) and any(t >= 0 for t in tokens):
            return True
    return False
