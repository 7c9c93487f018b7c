"""The rules of drawing, on logits small enough to reckon by hand."""

import numpy as np
import pytest
import torch

from engine.llm.sampling import Sampler, random_numbers, sample
from engine.types import Sampling

EXTREMES = [0.0, -0.0, 5e-324, 1e-300, 1e-45, 1e-42, 1.2e-38, 1e-7, 0.0099]  # some of them 0 or denormal in float32

LOGITS = torch.log(torch.tensor([0.1, 0.4, 0.2, 0.3]))


def draw(
    rules: Sampling, at: float, logits: torch.Tensor = LOGITS, allowed: list[bool] | None = None, **kwargs: object
) -> int:
    rows = torch.tensor([allowed or [True] * len(logits)])
    seen = torch.tensor([kwargs.get("seen", [False] * len(logits))])
    return sample(logits[None], rows, [rules], [at], seen)[0]


def test_greedy_takes_the_likeliest() -> None:
    assert draw(Sampling(temperature=0), 0.999) == 1


@pytest.mark.parametrize("temperature", EXTREMES)
def test_a_temperature_next_to_nothing_is_greedy(temperature: float) -> None:
    logits = torch.tensor([[-1e4, 30_000, 29_999.5, -torch.inf], [0, 0, 1, 0]])
    rules = [Sampling(temperature=temperature, top_k=0, top_p=1)] * 2
    free, unseen = torch.ones(2, 4, dtype=torch.bool), torch.zeros(2, 4, dtype=torch.bool)
    assert sample(logits, free, rules, [0.99, 0.99], unseen) == [1, 2]


@pytest.mark.parametrize("top_p", [value for value in EXTREMES if value > 0])
def test_a_top_p_next_to_nothing_leaves_the_likeliest(top_p: float) -> None:
    assert draw(Sampling(temperature=2, top_k=0, top_p=top_p), 0.99) == 1


@pytest.mark.parametrize("temperature", [0, 0.01, 1])
def test_logits_that_are_not_numbers_are_told(temperature: float) -> None:
    with pytest.raises(ValueError, match="are its weights damaged"):
        draw(Sampling(temperature=temperature), 0.5, torch.full((4,), torch.nan))


def test_draws_cover_the_rows_by_their_probability() -> None:
    free = Sampling(temperature=1, top_k=0, top_p=1)
    shares = np.bincount([draw(free, (n + 0.5) / 1000) for n in range(1000)], minlength=4) / 1000
    np.testing.assert_allclose(shares, [0.1, 0.4, 0.2, 0.3], atol=0.002)


def test_temperature_sharpens() -> None:
    cold = Sampling(temperature=0.5, top_k=0, top_p=1)
    shares = np.bincount([draw(cold, (n + 0.5) / 1000) for n in range(1000)], minlength=4) / 1000
    squares = np.array([0.1, 0.4, 0.2, 0.3]) ** 2
    np.testing.assert_allclose(shares, squares / squares.sum(), atol=0.002)


@pytest.mark.parametrize(
    ("rules", "reachable"),
    [
        (Sampling(temperature=1, top_k=1, top_p=1), {1}),
        (Sampling(temperature=1, top_k=2, top_p=1), {1, 3}),
        (Sampling(temperature=1, top_k=99, top_p=1), {0, 1, 2, 3}),
        (Sampling(temperature=1, top_k=0, top_p=0.69), {1, 3}),
        (Sampling(temperature=1, top_k=0, top_p=0.71), {1, 2, 3}),
        (Sampling(temperature=1, top_k=0, top_p=1e-6), {1}),
    ],
)
def test_top_k_and_top_p_bound_what_can_be_drawn(rules: Sampling, reachable: set[int]) -> None:
    assert {draw(rules, n / 500) for n in range(500)} == reachable


def test_only_allowed_rows_are_drawn() -> None:
    allowed = [True, False, False, True]
    assert {draw(Sampling(), n / 100, allowed=allowed) for n in range(100)} == {0, 3}
    assert draw(Sampling(temperature=0), 0.5, allowed=[True, False, False, False]) == 0


def test_repetition_penalty_makes_what_was_said_less_likely() -> None:
    rules = Sampling(temperature=0, repetition_penalty=2)
    assert draw(rules, 0.5, seen=[False, True, False, False]) == 3  # a negative logit is multiplied
    assert draw(rules, 0.5, torch.tensor([1.0, 3.0, 2.0]), seen=[False, True, False]) == 2  # a positive one divided


def test_a_sequence_draws_the_same_alone_and_among_others() -> None:
    logits = torch.randn(5, 200, generator=torch.Generator().manual_seed(1))
    allowed = torch.ones(5, 200, dtype=torch.bool)
    rules = [
        Sampling(),
        Sampling(temperature=0),
        Sampling(top_k=5),
        Sampling(top_p=0.3),
        Sampling(repetition_penalty=1.5),
    ]
    draws = [0.1, 0.3, 0.5, 0.7, 0.9]
    seen = logits > 1
    together = sample(logits, allowed, rules, draws, seen)
    alone = [
        sample(logits[n : n + 1], allowed[n : n + 1], rules[n : n + 1], draws[n : n + 1], seen[n : n + 1])[0]
        for n in range(5)
    ]
    assert together == alone


NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
ON_DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])


def rules_of_all_kinds(random: np.random.Generator, most_top_k: int) -> Sampling:
    return Sampling(
        temperature=random.choice([0, 0.02, 0.8, 1, 3]),
        top_k=int(random.integers(1, most_top_k)),
        top_p=random.choice([1e-6, 0.3, 0.95, 1]),
        repetition_penalty=random.choice([1, 1, 1.2, 3]),
    )


@ON_DEVICES
@pytest.mark.parametrize("most_top_k", [120, 190])
def test_a_sampler_at_fixed_shapes_draws_what_sample_draws(device: str, most_top_k: int) -> None:
    """For all rules, in any number of slots in any order; the slots remember what they said."""
    random, slots, rows = np.random.default_rng(most_top_k), 11, 200
    grammar = random.random((6, rows)) < 0.4
    grammar[0], grammar[1:, 7] = False, True  # the state after the end, and others with one row at least
    sampler = Sampler(grammar, slots, torch.device(device), fixed=True)
    said = torch.zeros(slots, rows, dtype=torch.bool)
    for _ in range(60):
        left, cleared = (int(slot) for slot in random.choice(slots, 2, replace=False))
        sampler.move(left, cleared)
        said[cleared] = said[left]
        sampler.clear(left)
        said[left] = False
        own = random.choice(slots, random.integers(1, slots + 1), replace=False).tolist()
        states = random.integers(1, 6, len(own)).tolist()
        rules = [rules_of_all_kinds(random, most_top_k) for _ in own]
        draws = random.random(len(own)).tolist()
        logits = torch.from_numpy(random.normal(0, 4, (len(own), rows))).float()
        expected = sample(logits, torch.from_numpy(grammar[states]), rules, draws, said[own])
        assert sampler(logits.to(device), own, states, rules, draws) == expected
        said[own, expected] = True


@ON_DEVICES
def test_a_sampler_at_fixed_shapes_tells_of_logits_that_are_not_numbers(device: str) -> None:
    sampler = Sampler(np.ones((2, 9), bool), 4, torch.device(device), fixed=True)
    logits = torch.zeros(3, 9, device=device)
    logits[1] = torch.nan
    slots, states, rules, draws = [0, 1, 2], [1, 1, 1], [Sampling()] * 3, [0.5] * 3
    with pytest.raises(ValueError, match="are its weights damaged"):
        sampler(logits, slots, states, rules, draws)
    assert sampler(torch.eye(9, device=device)[:3] * 50, slots, states, rules, draws) == [0, 1, 2]


@pytest.mark.parametrize("fixed", [False, True])
def test_of_rows_with_the_same_logit_the_rules_of_others_choose_none(fixed: bool) -> None:
    """Logits in bfloat16 tie often: what is drawn among them depends on the sequence's own rules alone."""
    random, rows = np.random.default_rng(2), 8000
    rules = [Sampling(top_k=top_k) for top_k in (50, 5, 0, 300, 20, 1, 120)]
    B = len(rules)
    together, alone = (Sampler(np.ones((2, rows), bool), B, torch.device("cpu"), fixed=fixed) for _ in range(2))
    for _ in range(20):
        logits = torch.from_numpy(random.normal(0, 3, (B, rows))).to(torch.bfloat16)
        draws = random.random(B).tolist()
        expected = [alone(logits[n : n + 1], [n], [1], [rules[n]], [draws[n]])[0] for n in range(B)]
        assert together(logits, range(B), [1] * B, rules, draws) == expected


def test_seeds() -> None:
    assert random_numbers(5).random() == random_numbers(5).random()
    assert random_numbers(5).random() != random_numbers(6).random()
    assert random_numbers(None).random() != random_numbers(None).random()
