"""The grammar as vLLM's two model runners call it, beside the automaton itself.

The first runner is tested as a whole in test_backend.py. The second runs on GPUs only: here it is called with the
tensors that it would have there.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

from engine.llm.sampling import sample
from engine.llm.vllm.logits_processor import FirstRunnerGrammar, SecondRunnerGrammar
from engine.tokens.grammar import ACCEPTED, Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import OutputGrammar, Sampling

CPU = torch.device("cpu")
STEPS = 60
Rows = list[int]


class FirstRunner:
    """A batch as the first runner keeps it: sequences by their row, and lists of ids that grow."""

    def __init__(self, config: SimpleNamespace, answers: list[tuple[OutputGrammar, float]]) -> None:
        self.processor = FirstRunnerGrammar(config, CPU, is_pin_memory=False)
        self.ids: list[Rows] = [[] for _ in answers]
        added = [(n, parameters(*answer), [1, 2], self.ids[n]) for n, answer in enumerate(answers)]
        self.processor.update_state(BatchUpdate(len(answers), removed=[], added=added, moved=[]))

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        return self.processor.apply(logits)

    def append(self, rows: Rows) -> None:
        for ids, row in zip(self.ids, rows, strict=True):
            ids.append(row)


class SecondRunner:
    """A batch as the second runner keeps it: sequences in slots, here backwards, and all on the device."""

    def __init__(self, config: SimpleNamespace, answers: list[tuple[OutputGrammar, float]]) -> None:
        slots, prompts = len(answers) + 2, torch.arange(3, 5 + len(answers))
        self.slots = torch.arange(len(answers)).flip(0)
        self.prompts = prompts[self.slots]
        self.ids = torch.full((slots, 128), 77, dtype=torch.int32)  # text, in the prompts
        state = LogitsProcRequestState(
            device=CPU,
            max_num_reqs=slots,
            vocab_size=0,
            all_token_ids=SimpleNamespace(gpu=self.ids),
            prompt_len=SimpleNamespace(gpu=prompts.int(), np=prompts.int().numpy()),
            prefill_len=SimpleNamespace(),
            total_len=SimpleNamespace(),
        )
        self.processor = SecondRunnerGrammar(config, state)
        for slot, answer in zip(self.slots.tolist(), answers, strict=True):
            assert self.processor.add_request(slot, parameters(*answer))
        self.count = 0

    def mask(self, logits: torch.Tensor) -> torch.Tensor:
        lengths = self.prompts + self.count
        context = LogitsContext(
            expanded_idx_mapping=self.slots.int(),
            idx_mapping=self.slots.int(),
            idx_mapping_np=self.slots.int().numpy(),
            expanded_local_pos=torch.zeros(len(logits), dtype=torch.int32),
            input_ids=self.ids[self.slots, lengths - 1],
            pos=lengths - 1,
            seq_lens_upper_bound_np=lengths.int().numpy(),
        )
        return self.processor.apply(logits, context)

    def append(self, rows: Rows) -> None:
        self.ids[self.slots, self.prompts + self.count] = torch.tensor(rows, dtype=torch.int32)
        self.count += 1


def parameters(answer: OutputGrammar, penalty: float) -> SamplingParams:
    return SamplingParams(extra_args={"answer": answer.name, "repetition_penalty": penalty})


@pytest.fixture(params=[FirstRunner, SecondRunner])
def runner(request: pytest.FixtureRequest) -> type[FirstRunner | SecondRunner]:
    kind: type[FirstRunner | SecondRunner] = request.param
    return kind


@pytest.mark.parametrize("penalties", [(1.0, 1.0, 1.0), (1.5, 1.0, 2.0)])
def test_rows_are_allowed_and_penalized_as_by_the_torch_backend(
    small_checkpoint: Path,
    vocabulary: Vocabulary,
    runner: type[FirstRunner | SecondRunner],
    penalties: tuple[float, ...],
) -> None:
    grammar = Grammar(vocabulary)
    config = SimpleNamespace(model_config=SimpleNamespace(model=str(small_checkpoint / "LLM")))
    answers = [OutputGrammar.VOICE_AND_SPEECH, OutputGrammar.SPEECH, OutputGrammar.VOICE_AND_SPEECH]
    batch = runner(config, list(zip(answers, penalties, strict=True)))
    states = [grammar.start(answer) for answer in answers]
    seen = torch.zeros(len(answers), len(grammar.ids), dtype=torch.bool)
    random = np.random.default_rng(0)
    for _ in range(STEPS):
        logits = torch.from_numpy(random.normal(size=seen.shape).astype(np.float32))
        # An end would leave nothing to compare: it is unlikely, and may come nevertheless.
        logits[:, [grammar.row(token) for token in vocabulary.ends]] = -30
        allowed = torch.from_numpy(grammar.allowed[states])
        rules = [Sampling(temperature=0, repetition_penalty=penalty) for penalty in penalties]
        expected = sample(logits, allowed, rules, [0.5] * len(rules), seen)
        masked = batch.mask(logits.clone())
        assert torch.equal(masked > -torch.inf, allowed)
        assert masked.argmax(dim=1).tolist() == expected
        batch.append(expected)
        seen[range(len(rules)), expected] = True
        states = [grammar.advance(state, row) for state, row in zip(states, expected, strict=True)]
    assert ACCEPTED not in states


def test_a_step_after_the_end_can_sample(
    small_checkpoint: Path, vocabulary: Vocabulary, runner: type[FirstRunner | SecondRunner]
) -> None:
    grammar = Grammar(vocabulary)
    config = SimpleNamespace(model_config=SimpleNamespace(model=str(small_checkpoint / "LLM")))
    batch = runner(config, [(OutputGrammar.SPEECH, 1.0), (OutputGrammar.VOICE_AND_SPEECH, 1.0)])
    semantic, end = grammar.row(vocabulary.semantic.first), grammar.row(vocabulary.ends[0])
    voice = grammar.row(vocabulary.acoustic["pitch_value"].first)
    for rows in ([semantic, voice], [end, voice], [end, voice]):  # vLLM steps ahead of what it knows
        batch.append(rows)
        assert (batch.mask(torch.zeros(2, len(grammar.ids))) > -torch.inf).any(dim=1).all()
