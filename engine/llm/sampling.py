"""Drawing the next token of every running sequence at once, each by its own rules and its own random numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from engine.runtime.cuda_graphs import Recorder, bucket, buckets, to_device
from engine.types import Sampling

FIXED_TOP_K = 128  # rows that are drawn from at fixed shapes


def random_numbers(seed: int | None) -> np.random.Generator:
    """A sequence's own source of uniform numbers; None seeds it from the operating system."""
    return np.random.Generator(np.random.PCG64(seed))


def sample(
    logits: torch.Tensor,
    allowed: torch.Tensor,
    rules: Sequence[Sampling],
    draws: Sequence[float],
    seen: torch.Tensor,
) -> list[int]:
    """Draw one row per sequence.

    Sequences with the same `top_k` are drawn together: among logits that are the same, as many are in bfloat16, the
    order in which `topk` returns them depends on how many it returns.

    Args:
        logits: (B, rows), any float type and device.
        allowed: (B, rows), bool: what the grammar admits; at least one in each row.
        rules: B samplings.
        draws: B uniform numbers on [0, 1), one from each sequence's own generator, so that what a sequence
            draws does not depend on who else is in the batch.
        seen: (B, rows), bool: rows already in the answer, which `repetition_penalty` makes less likely.

    Raises ValueError if there are logits that are not numbers.

    """
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for n, rule in enumerate(rules):
        groups[_top_k(rule, logits.shape[1])].append(n)
    drawn = torch.empty(len(rules), dtype=torch.long, device=logits.device)
    for top_k, own in groups.items():
        at = slice(None) if len(groups) == 1 else own
        own_rules, own_draws = [rules[n] for n in own], [draws[n] for n in own]
        drawn[at] = _draw_alike(logits[at], allowed[at], own_rules, own_draws, seen[at], top_k)
    return _checked(drawn.tolist())


class Sampler:
    """`sample` for the sequences in the slots of a ModelRunner, which keeps what each has said.

    On CUDA all of it is recorded for batches of powers of two, and takes one transfer to the device and one back.
    """

    def __init__(self, allowed: np.ndarray, slots: int, device: torch.device, *, fixed: bool | None = None) -> None:
        """`allowed` is `Grammar.allowed`, (states, rows). `fixed` draws at fixed shapes; by default on CUDA only."""
        self._device, self._slots = device, slots
        self._allowed = torch.from_numpy(allowed).to(device)
        rows = allowed.shape[1]
        self._seen = torch.zeros(slots + 1, rows, dtype=torch.bool, device=device)  # the last one: of no sequence
        self._most = min(FIXED_TOP_K, rows) if fixed or (fixed is None and device.type == "cuda") else 0
        if self._most:
            self._record(rows)

    def clear(self, slot: int) -> None:
        """Forget what a slot's sequence has said."""
        self._seen[slot] = False

    def move(self, source: int, target: int) -> None:
        """Move a sequence from slot to slot."""
        self._seen[target] = self._seen[source]

    def __call__(
        self,
        logits: torch.Tensor,
        slots: Sequence[int],
        states: Sequence[int],
        rules: Sequence[Sampling],
        draws: Sequence[float],
    ) -> list[int]:
        """Draw one row for each of B slots, whose grammars are in `states`. See `sample`."""
        top_k = [_top_k(rule, logits.shape[1]) for rule in rules]
        own = [n for n, k in enumerate(top_k) if k <= self._most]
        if len(own) == len(rules):
            return self._fixed(logits, slots, states, rules, top_k, draws)
        if own:  # each in its own way, so that a sequence draws the same whatever else is in the batch
            return self._both(logits, slots, states, rules, draws, own)
        rows = sample(logits, self._allowed[list(states)], rules, draws, self._seen[list(slots)])
        self._seen[list(slots), rows] = True
        return rows

    def _both(
        self,
        logits: torch.Tensor,
        slots: Sequence[int],
        states: Sequence[int],
        rules: Sequence[Sampling],
        draws: Sequence[float],
        fixed: Sequence[int],
    ) -> list[int]:
        """Draw those at the indices `fixed`, then the others."""
        rows = [0] * len(rules)
        for own in fixed, [n for n in range(len(rules)) if n not in fixed]:
            drawn = self(
                logits[own],
                [slots[n] for n in own],
                [states[n] for n in own],
                [rules[n] for n in own],
                [draws[n] for n in own],
            )
            for n, row in zip(own, drawn, strict=True):
                rows[n] = row
        return rows

    @torch.inference_mode()
    def _fixed(
        self,
        logits: torch.Tensor,
        slots: Sequence[int],
        states: Sequence[int],
        rules: Sequence[Sampling],
        top_k: Sequence[int],
        draws: Sequence[float],
    ) -> list[int]:
        B = len(slots)
        width = bucket(B, 1, self._slots)
        lines = [
            (slot, state, k, rule.repetition_penalty, _temperature(rule), rule.top_p, draw)
            for slot, state, k, rule, draw in zip(slots, states, top_k, rules, draws, strict=True)
        ]
        lines += [(self._slots, 0, 1, 1.0, 1.0, 1.0, 0.0)] * (width - B)
        self._lines[:width].copy_(to_device(lines, self._device, torch.float64))
        self._logits[:B].copy_(logits)
        return _checked(self._draws[width]()[:B].tolist())

    @torch.inference_mode()
    def _record(self, rows: int) -> None:
        self._logits = torch.zeros(self._slots, rows, device=self._device)
        self._lines = torch.ones(self._slots, 7, dtype=torch.float64, device=self._device)
        self._lines[:, 0] = self._slots
        self._true = torch.tensor(True, device=self._device)
        record = Recorder(self._device)
        self._draws = {width: record(partial(self._draw_and_note, width)) for width in buckets(1, self._slots)}

    @torch.inference_mode()
    def _draw_and_note(self, width: int) -> torch.Tensor:
        slots, states, top_k, penalty, temperature, top_p, draws = self._lines[:width].unbind(1)
        slots = slots.long()
        drawn = _draw(
            self._logits[:width],
            self._allowed[states.long()],
            self._seen[slots],
            penalty.float(),
            top_k.long(),
            self._most,
            temperature.float(),
            top_p.float(),
            draws,
        )
        self._seen.index_put_((slots, drawn), self._true)
        return drawn


def _draw_alike(
    logits: torch.Tensor,
    allowed: torch.Tensor,
    rules: Sequence[Sampling],
    draws: Sequence[float],
    seen: torch.Tensor,
    top_k: int,
) -> torch.Tensor:
    """`_draw` for sequences whose rules have the same `top_k`."""
    device = logits.device
    penalty = None
    if any(rule.repetition_penalty != 1 for rule in rules):
        penalty = torch.tensor([rule.repetition_penalty for rule in rules], device=device)
    return _draw(
        logits,
        allowed,
        seen,
        penalty,
        torch.tensor([top_k] * len(rules), device=device),
        top_k,
        torch.tensor([_temperature(rule) for rule in rules], device=device),
        torch.tensor([rule.top_p for rule in rules], device=device),
        torch.tensor(draws, dtype=torch.float64, device=device),
    )


def _top_k(rule: Sampling, rows: int) -> int:
    return 1 if rule.greedy else min(rule.top_k or rows, rows)


def _temperature(rule: Sampling) -> float:
    return 1.0 if rule.greedy else rule.temperature


def _checked(drawn: list[int]) -> list[int]:
    if min(drawn) < 0:
        raise ValueError("its logits are not numbers; are its weights damaged?")
    return drawn


def _draw(
    logits: torch.Tensor,
    allowed: torch.Tensor,
    seen: torch.Tensor,
    penalty: torch.Tensor | None,
    top_k: torch.Tensor,
    most: int,
    temperature: torch.Tensor,
    top_p: torch.Tensor,
    draws: torch.Tensor,
) -> torch.Tensor:
    """The rows (B,) that are drawn, -1 where logits are not numbers. `most` is the largest `top_k` that can be."""
    scores = logits.float()
    if penalty is not None:  # Keskar et al. 2019, CTRL, section 4.1
        penalty = penalty[:, None]
        scores = torch.where(seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores)
    scores = scores.masked_fill(~allowed, -torch.inf)

    values, indices = scores.topk(most, dim=1)  # (B, K), descending
    ranks = torch.arange(most, device=logits.device)
    values = values.masked_fill(ranks >= top_k[:, None], -torch.inf)

    probabilities = torch.softmax(values / temperature[:, None], dim=1)
    before = probabilities.cumsum(dim=1) - probabilities  # the mass of all that are likelier
    probabilities = probabilities.masked_fill((before >= top_p[:, None]) & (ranks > 0), 0)

    cumulative = probabilities.double().cumsum(dim=1)
    targets = draws[:, None] * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, targets, right=True)  # the first whose share reaches past the draw
    last = (probabilities > 0).sum(dim=1, keepdim=True) - 1  # -1: probabilities of NaN
    return indices.gather(1, torch.minimum(chosen, last).clamp(min=0)).masked_fill(last < 0, -1)[:, 0]
