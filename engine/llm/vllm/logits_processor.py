"""The grammar inside vLLM's sampler: rows that it does not allow get no probability. Runs in vLLM's engine process.

vLLM has two model runners, each with its own interface. GPUs use the second: there all data stays on the device, and
no step waits for the host. vLLM's CPU build uses the first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import BatchUpdate
from vllm.v1.sample.logits_processor import LogitsProcessor as FirstLogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as SecondLogitsProcessor

from engine.llm.vllm.architecture import grammar_of
from engine.tokens.grammar import ACCEPTED, FORBIDDEN, Grammar
from engine.types import GLOBAL_TOKENS, OutputGrammar

ANSWER, PENALTY = "answer", "repetition_penalty"  # keys of SamplingParams.extra_args
MAX_PREAMBLE = GLOBAL_TOKENS + 10  # ids before an answer's second semantic one, at most; after that its state is known


def answer_of(params: SamplingParams) -> tuple[OutputGrammar, float]:
    """A request's grammar and repetition penalty. vLLM's own requests, when it warms up, have neither."""
    extra = params.extra_args or {}
    return OutputGrammar[extra.get(ANSWER, OutputGrammar.SPEECH.name)], extra.get(PENALTY, 1.0)


class Rules:
    """The automaton as tensors, applied to the logits of B sequences at once."""

    def __init__(self, grammar: Grammar, device: torch.device) -> None:
        transitions = np.where(grammar.transitions == FORBIDDEN, ACCEPTED, grammar.transitions)
        forbidden = ~grammar.allowed
        # vLLM may step a sequence once more after its end, so the last state must allow some row.
        forbidden[ACCEPTED] = False
        self._transitions = torch.from_numpy(transitions).long().to(device)  # (states, rows)
        self._forbidden = torch.from_numpy(forbidden).to(device)
        self._speaking = int(grammar.transitions[grammar.start(OutputGrammar.SPEECH)].max())
        self.start = {answer: grammar.start(answer) for answer in OutputGrammar}

    def apply(
        self,
        logits: torch.Tensor,
        starts: torch.Tensor,
        counts: torch.Tensor,
        history: torch.Tensor,
        penalties: torch.Tensor | None,
    ) -> None:
        """Change `logits` in place.

        Args:
            logits: (B, rows), float32.
            starts: (B,), the state before each answer's first id.
            counts: (B,), how many ids each answer has.
            history: (B, N), the first N of these ids, padded with zeros. N may be 0 if each answer that begins
                with a voice has more than MAX_PREAMBLE ids.
            penalties: (B,), each sequence's repetition penalty (engine.llm.sampling), or None. With penalties,
                `history` must hold all ids.

        """
        states = torch.where(counts > 0, self._speaking, starts)
        if N := history.shape[1]:
            scanned = starts
            for n in range(min(N, MAX_PREAMBLE)):
                scanned = torch.where(n < counts, self._transitions[scanned, history[:, n]], scanned)
            states = torch.where(counts > MAX_PREAMBLE, states, scanned)
        if penalties is not None:
            known = torch.arange(N, device=logits.device) < counts[:, None]
            rows = logits.shape[1]
            seen = torch.zeros(len(logits), rows + 1, dtype=torch.bool, device=logits.device)
            seen = seen.scatter_(1, torch.where(known, history, rows), value=True)[:, :rows]
            factors = torch.where(logits > 0, 1 / penalties[:, None], penalties[:, None])
            logits.copy_(torch.where(seen, logits * factors, logits))
        logits.masked_fill_(self._forbidden[states], -torch.inf)


@dataclass(frozen=True, slots=True)
class Running:
    """A sequence of the first model runner. `ids` is vLLM's own list, to which it appends."""

    answer: OutputGrammar
    penalty: float
    ids: list[int]


class FirstRunnerGrammar(FirstLogitsProcessor):
    """Rules in vLLM's first model runner."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        """Load the grammar; see vLLM's LogitsProcessor for these methods."""
        self._rules = Rules(grammar_of(vllm_config), device)
        self._device = device
        self._running: dict[int, Running] = {}  # by their row in the batch

    def is_argmax_invariant(self) -> bool:
        """False: the likeliest row may be forbidden."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Apply vLLM's changes to the batch: sequences that were added, removed or moved."""
        process_dict_updates(self._running, batch_update, lambda params, prompt, ids: Running(*answer_of(params), ids))

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """See Rules.apply."""
        running = [self._running[index] for index in range(len(logits))]
        counts = [len(sequence.ids) for sequence in running]
        penalties = [sequence.penalty for sequence in running]
        penalized = any(penalty != 1 for penalty in penalties)
        history = np.zeros((len(running), max(counts) if penalized else min(max(counts), MAX_PREAMBLE)), np.int64)
        for row, sequence in zip(history, running, strict=True):
            row[: len(sequence.ids)] = sequence.ids[: len(row)]
        self._rules.apply(
            logits,
            torch.tensor([self._rules.start[sequence.answer] for sequence in running], device=self._device),
            torch.tensor(counts, device=self._device),
            torch.from_numpy(history).to(self._device),
            torch.tensor(penalties, device=self._device) if penalized else None,
        )
        return logits


class SecondRunnerGrammar(SecondLogitsProcessor):
    """Rules in vLLM's second model runner, which has a slot for each sequence."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        """Load the grammar; see vLLM's LogitsProcessor for these methods."""
        self._rules = Rules(grammar_of(vllm_config), req_states.device)
        self._states = req_states
        slots = req_states.max_num_reqs
        self._starts = torch.zeros(slots, dtype=torch.long, device=req_states.device)
        self._penalties = torch.ones(slots, device=req_states.device)
        self._in_preamble = np.zeros(slots, np.bool_)  # whether the answer begins with a voice
        self._penalized = np.zeros(slots, np.bool_)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Set the slot's parameters for a new sequence."""
        answer, penalty = answer_of(sampling_params)
        self._starts[req_idx] = self._rules.start[answer]
        self._penalties[req_idx] = penalty
        self._in_preamble[req_idx] = answer is not OutputGrammar.SPEECH
        self._penalized[req_idx] = penalty != 1
        return True

    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        """See Rules.apply. Whether history is needed is decided without waiting for the device."""
        slots, states = ctx.idx_mapping_np, self._states
        counts = ctx.seq_lens_upper_bound_np - states.prompt_len.np[slots]
        penalized = bool(self._penalized[slots].any())
        N = 0
        if penalized:
            N = max(int(counts.max()), 0)
        elif (self._in_preamble[slots] & (counts <= MAX_PREAMBLE)).any():
            N = MAX_PREAMBLE
        rows = ctx.expanded_idx_mapping.long()
        prompts = states.prompt_len.gpu[rows].long()
        columns = prompts[:, None] + torch.arange(N, device=logits.device)
        ids = states.all_token_ids.gpu
        history = ids[rows[:, None], columns.clamp(max=ids.shape[1] - 1)].long()
        counted = ctx.pos.long() + 1 - prompts
        history = torch.where(torch.arange(N, device=logits.device) < counted[:, None], history, 0)
        penalties = self._penalties[rows] if penalized else None
        self._rules.apply(logits, self._starts[rows], counted, history, penalties)
        return logits
