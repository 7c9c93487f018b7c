"""Drawing the next token of every running sequence at once, each by its own rules and its own random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from engine.types import Sampling


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

    Args:
        logits: (B, rows), any float type and device.
        allowed: (B, rows), bool: what the grammar admits; at least one in each row.
        rules: B samplings.
        draws: B uniform numbers on [0, 1), one from each sequence's own generator, so that what a sequence
            draws does not depend on who else is in the batch.
        seen: (B, rows), bool: rows already in the answer, which `repetition_penalty` makes less likely.

    Raises ValueError if there are logits that are not numbers.

    """
    device = logits.device
    scores = logits.float()
    if any(rule.repetition_penalty != 1 for rule in rules):  # Keskar et al. 2019, CTRL, section 4.1
        penalty = torch.tensor([rule.repetition_penalty for rule in rules], device=device)[:, None]
        scores = torch.where(seen, torch.where(scores > 0, scores / penalty, scores * penalty), scores)
    scores = scores.masked_fill(~allowed, -torch.inf)

    rows = scores.shape[1]
    top_k = [1 if rule.greedy else min(rule.top_k or rows, rows) for rule in rules]
    values, indices = scores.topk(max(top_k), dim=1)  # (B, K), descending
    ranks = torch.arange(max(top_k), device=device)
    values = values.masked_fill(ranks >= torch.tensor(top_k, device=device)[:, None], -torch.inf)

    temperature = torch.tensor([1.0 if rule.greedy else rule.temperature for rule in rules], device=device)[:, None]
    probabilities = torch.softmax(values / temperature, dim=1)
    before = probabilities.cumsum(dim=1) - probabilities  # the mass of all that are likelier
    top_p = torch.tensor([rule.top_p for rule in rules], device=device)[:, None]
    probabilities = probabilities.masked_fill((before >= top_p) & (ranks > 0), 0)

    cumulative = probabilities.double().cumsum(dim=1)
    targets = torch.tensor(draws, dtype=torch.float64, device=device)[:, None] * cumulative[:, -1:]
    chosen = torch.searchsorted(cumulative, targets, right=True)  # the first whose share reaches past the draw
    last = (probabilities > 0).sum(dim=1, keepdim=True) - 1  # -1: probabilities of NaN
    drawn = indices.gather(1, torch.minimum(chosen, last).clamp(min=0)).masked_fill(last < 0, -1)[:, 0].tolist()
    if min(drawn) < 0:
        raise ValueError("its logits are not numbers; are its weights damaged?")
    return drawn
