"""A language model that faults on purpose, a codec that shows which tokens are heard, and what a listener notices."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tokenizers
from rapidfuzz.distance import Levenshtein

from engine import EngineConfig, Observer, SpeechEngine, open_database
from engine.llm.base import LanguageModel
from engine.tokens.vocabulary import TokenRange, Vocabulary
from engine.types import GLOBAL_TOKENS, SAMPLES_PER_TOKEN, OutputGrammar, Passage, Prompt, Samples, Sampling, TokenIds

KINDS = ("held", "loop", "silence", "late", "nothing", "early", "runaway")
FOREVER = 3000  # tokens
ALIGNED = range(8, 2, -1)  # tokens at the end of a prompt by which it is found where the answer goes on
NOTICED = 15  # tokens, 0.3 s, that are missing, or others, or too many: so much a listener notices
STEP = 1 / 16_384  # between the levels of two tokens; 16 bits have them apart

Said = Callable[[str], Sequence[int]]
"""The semantic tokens of a text, as codebook indices."""


class TeacherModel:
    """Says each text with tokens that are given, and goes on where a prompt ends amid them, as a model would."""

    context = 4096
    failure: str | None = None

    def __init__(self, vocabulary: Vocabulary, tokenizer: Path, said: Said) -> None:
        self._vocabulary = vocabulary
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        self._said = said
        self._pace = random.Random(0)  # how many tokens come at once; none that is heard may depend on it

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """Yield the rest of the answer, or a voice."""
        v = self._vocabulary
        if prompt.answer is OutputGrammar.VOICE_AND_SPEECH:
            voice = [v.globals.first + (sampling.seed or 0) + number for number in range(GLOBAL_TOKENS)]
            start, end = v.id("<|start_global_token|>"), v.id("<|end_global_token|>")
            yield [start, *voice, end, v.id("<|start_semantic_token|>")]
            return
        begin, end = (prompt.ids.index(v.id(name)) for name in ("<|start_content|>", "<|end_content|>"))
        answer = list(self._said(self._tokenizer.decode(list(prompt.ids[begin + 1 : end]))))
        kept = prompt.ids[prompt.ids.index(v.id("<|start_semantic_token|>")) + 1 :]
        rest = answer[continues_at(answer, [id_ - v.semantic.first for id_ in kept]) :][: sampling.max_tokens]
        while rest:
            count = self._pace.randint(1, 60)
            yield [v.semantic.first + token for token in rest[:count]]
            rest = rest[count:]
            await asyncio.sleep(0)

    async def close(self) -> None:
        """There is nothing to close."""


def continues_at(answer: list[int], kept: list[int]) -> int:
    """Where in its answer a model is that has said `kept`: after the tokens that are like the last of those."""
    for length in ALIGNED:
        places = [n for n in range(length, len(answer) + 1) if answer[n - length : n] == kept[-length:]]
        if places:
            return min(places, key=lambda place: abs(place - len(kept)))
    return min(len(kept), len(answer))


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in an answer, and where, as a part of it."""

    kind: str
    place: float
    seed: int


class FaultyModel:
    """Another model's answers, some of them with a fault. Which, depends on the seed alone."""

    def __init__(
        self,
        model: LanguageModel,
        semantic: TokenRange,
        silent: Sequence[int],
        rate: float,
        kinds: tuple[str, ...] = KINDS,
    ) -> None:
        """`silent` are tokens of silence."""
        self._model = model
        self._semantic = semantic
        self._silent = silent
        self._rate = rate
        self._kinds = kinds
        self.injected: Counter[str] = Counter()

    @property
    def context(self) -> int:
        """The other model's."""
        return self._model.context

    @property
    def failure(self) -> str | None:
        """The other model's."""
        return self._model.failure

    def fault(self, sampling: Sampling) -> Fault | None:
        """The fault of an answer with this seed, if it has one."""
        numbers = np.random.default_rng(sampling.seed)
        if numbers.random() >= self._rate:
            return None
        return Fault(str(numbers.choice(self._kinds)), numbers.uniform(0.1, 0.8), int(numbers.integers(2**31)))

    async def generate(self, prompt: Prompt, sampling: Sampling, due: float = 0) -> AsyncGenerator[list[int], None]:
        """Yield the answer, or what a fault makes of it, token by token."""
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
        numbers = np.random.default_rng(fault.seed)
        place = int(fault.place * len(ids))
        before, after = ids[:place], ids[place:]
        match fault.kind:
            case "held":
                return before + ids[place : place + 1] * FOREVER
            case "loop":
                phrase = ids[place : place + int(numbers.integers(5, 100))]
                return before + phrase * FOREVER
            case "silence":
                return before + self._silence(numbers, int(numbers.integers(60, 400))) + after
            case "late":
                return self._silence(numbers, int(numbers.integers(45, 300))) + ids
            case "nothing":
                return ids[: int(numbers.integers(1, 10))]
            case "early":
                return ids[: int(numbers.uniform(0.1, 0.25) * len(ids))]
            case _:
                return ids + [int(id_) for id_ in numbers.choice(ids or [self._semantic.first + 100], FOREVER)]

    def _silence(self, numbers: np.random.Generator, count: int) -> list[int]:
        return [self._semantic.first + int(token) for token in numbers.choice(self._silent, count)]

    async def close(self) -> None:
        """Close the other model."""
        await self._model.close()


class ReadableCodec:
    """A token sounds as 320 equal samples, from which it can be read; those of silence as zeros."""

    def __init__(self, silent: Sequence[int]) -> None:
        self._silent = np.array(silent)

    def encode_batch(self, waves: list[Samples]) -> list[tuple[TokenIds, TokenIds]]:
        """The same tokens for each wave: no voice is cloned here."""
        return [(np.zeros(GLOBAL_TOKENS, np.int64), np.zeros(len(w) // SAMPLES_PER_TOKEN, np.int64)) for w in waves]

    def decode_batch(self, items: list[Passage]) -> list[Samples]:
        """The kept tokens as levels."""
        return [np.repeat(self._levels(item.semantic[item.kept]), SAMPLES_PER_TOKEN) for item in items]

    def _levels(self, tokens: TokenIds) -> Samples:
        return np.where(np.isin(tokens, self._silent), 0, 0.25 + tokens * STEP).astype(np.float32)


def heard_tokens(samples: Samples) -> list[int]:
    """The tokens that the samples at 16 kHz were made from, -1 for silence; wrong where two takes were joined."""
    middles = samples[: len(samples) // SAMPLES_PER_TOKEN * SAMPLES_PER_TOKEN].reshape(-1, SAMPLES_PER_TOKEN)[:, 160]
    tokens: list[int] = np.where(middles < 0.2, -1, np.round((middles - 0.25) / STEP)).astype(int).tolist()
    return tokens


def is_noticed(heard: list[int], clean: list[int]) -> bool:
    """Whether speech differs so much from how it is without a fault that a listener notices."""
    return Levenshtein.distance(heard, clean, score_cutoff=NOTICED) > NOTICED


def faulty_engine(
    observer: Observer,
    config: EngineConfig,
    tokenizer: Path,
    said: Mapping[str, Sequence[int]],
    silent: Sequence[int],
    rate: float,
) -> SpeechEngine:
    """An engine that says the texts of `said`; so many of its takes have a fault."""
    vocabulary = Vocabulary(tokenizer)
    read = tokenizers.Tokenizer.from_file(str(tokenizer))
    said = {read.decode(read.encode(text).ids): tokens for text, tokens in said.items()}  # some have no capitals
    model = FaultyModel(TeacherModel(vocabulary, tokenizer, said.__getitem__), vocabulary.semantic, silent, rate)
    codec = ReadableCodec(silent)
    return SpeechEngine(config, "faulty", vocabulary, model, codec, open_database(config), observer=observer)
