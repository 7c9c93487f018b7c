"""The ModelRunner of `backend: torch`, on a CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import torch

from engine.llm.base import Chunk
from engine.llm.pytorch.attention import PackedAttention, packed_attention
from engine.llm.pytorch.cuda_graphs import CudaGraphRunner
from engine.llm.pytorch.kernels import Kernels, compiled, plain
from engine.llm.pytorch.linear import TorchPrecision, prepare
from engine.llm.pytorch.qwen2 import Packed, Qwen2, Segment, Step, fused, rope_table, segment
from engine.llm.weights import Qwen2File, open_weights
from engine.runtime.cuda_graphs import to_device

LEAST_LENGTH = 64  # positions


class TorchModelRunner:
    """A ModelRunner in torch.

    On a CPU the results for a sequence have the same bits whatever else is in the batch: linear layers see to that
    (`engine.llm.pytorch.linear`), and the shapes in which attention is computed depend on the sequence alone.
    """

    def __init__(
        self,
        directory: Path,
        ids: np.ndarray,
        *,
        adapter: Path | None = None,
        slots: int,
        context: int,
        device: torch.device,
        precision: TorchPrecision,
        fixed: bool | None = None,
        packed: PackedAttention | None = None,
        kernels: Kernels | None = None,
    ) -> None:
        """Load `LLM/` of a checkpoint.

        `ids` are the rows of the head (`Grammar.ids`). `adapter` is the directory of a LoRA to merge. `fixed` runs
        decode steps at fixed shapes, as graphs on CUDA; by default on CUDA only. `packed` is the attention of whole
        prompts, and `kernels` are those of fixed steps; by default the fastest that the device has. Raises
        CheckpointError if a file or tensor is missing or has the wrong shape, and EngineError if the precision is not
        available on this device.
        """
        self._dtype = dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        with open_weights(directory, adapter) as file:
            config = self._config = file.config
            self._model = self._prefilling = _load(file, ids, device, dtype, precision)
            if precision == "int4":  # many rows are slow at 4 bits, so prompts are prefilled at 8
                self._prefilling = _load(file, ids, device, dtype, "int8")
            self._embedding = file.embedding()
        self._answers = self._embedding[torch.from_numpy(ids)].to(device, dtype)  # (rows, C): of generated rows
        self.slots, self.context, self.device = slots, min(context, config.max_position_embeddings), device
        self.chunk, self.budget = (64, 128) if device.type == "cpu" else (256, 2048)
        self._rope = rope_table(config, self.context).to(device)
        shape = (config.num_hidden_layers, slots, 2 * config.num_key_value_heads, self.context, config.head_dim)
        self._cache = torch.zeros(shape, dtype=dtype, device=device)
        self._lengths = [0] * slots
        fixed = device.type == "cuda" if fixed is None else fixed
        self._packed = packed or packed_attention(config, device, dtype)
        self._plain = plain(config)
        if kernels is None:
            on_cuda = fixed and device.type == "cuda"
            kernels = compiled(config, self._model.norm.weight) if on_cuda else self._plain
        self._kernels = kernels
        self._fixed = CudaGraphRunner(self._fixed_step, slots, self.context, device) if fixed else None

    @torch.inference_mode()
    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """See ModelRunner.prefill."""
        chunks_by_form = sorted(chunks, key=lambda chunk: chunk.start > 0) if self._packed else chunks
        slots: list[int] = []
        positions: list[int] = []
        bounds = [0]
        for chunk in chunks_by_form:
            end = self._lengths[chunk.slot] = chunk.start + len(chunk.ids)
            slots += [chunk.slot] * len(chunk.ids)
            positions += range(chunk.start, end)
            bounds.append(len(positions))
        last = dict(zip((chunk.slot for chunk in chunks_by_form), bounds[1:], strict=True))
        batch_slots, batch_positions = to_device([slots, positions], self.device)
        segments = self._prefill_segments(chunks_by_form, bounds)
        step = Step(batch_slots, batch_positions, segments, self._rope, self._plain)
        ids = torch.tensor([token for chunk in chunks_by_form for token in chunk.ids])
        x = self._embedding[ids].to(self.device, self._dtype)
        ends = to_device([last[chunk.slot] - 1 for chunk in chunks], self.device)
        logits: torch.Tensor = self._prefilling(x, step, self._cache, ends)
        return logits

    def _prefill_segments(self, chunks: Sequence[Chunk], bounds: Sequence[int]) -> list[Segment | Packed]:
        """The segments of chunks that have the rows between the bounds, those that begin a prompt first."""
        segments: list[Segment | Packed] = []
        whole = sum(chunk.start == 0 for chunk in chunks) if self._packed else 0
        if self._packed and whole:
            longest = max(len(chunk.ids) for chunk in chunks[:whole])
            own = to_device(bounds[: whole + 1], self.device, torch.int32)
            segments.append(Packed(slice(0, bounds[whole]), own, longest, self._packed))
        for chunk, row in zip(chunks[whole:], bounds[whole:-1], strict=True):
            end = chunk.start + len(chunk.ids)
            for start in range(chunk.start, end, self.chunk):
                stop, first = min(start + self.chunk, end), row + start - chunk.start
                within = torch.arange(start, stop, device=self.device)[None]
                segments.append(self._segment(slice(first, first + stop - start), chunk.slot, within, stop))
        return segments

    @torch.inference_mode()
    def decode(self, slots: Sequence[int], rows: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """See ModelRunner.decode."""
        for slot, position in zip(slots, positions, strict=True):
            self._lengths[slot] = position + 1
        if self._fixed:
            return self._decode_fixed(self._fixed, slots, rows, positions)
        order = sorted(range(len(slots)), key=slots.__getitem__)
        own = [[values[n] for n in order] for values in (slots, rows, positions)]
        batch_slots, batch_rows, batch_positions = to_device(own, self.device)
        lengths = [attended(position + 1, self.context) for position in own[2]]
        # A run: rows in adjacent slots that attend to the same number of positions.
        runs = groupby(range(len(order)), key=lambda n: (own[0][n] - n, lengths[n]))
        starts = [next(run) for _, run in runs] + [len(order)]
        segments = [
            self._segment(slice(a, b), own[0][a], batch_positions[a:b, None], lengths[a]) for a, b in pairwise(starts)
        ]
        step = Step(batch_slots, batch_positions, segments, self._rope, self._plain)
        logits: torch.Tensor = self._model(self._answers[batch_rows], step, self._cache, slice(None))
        return logits if order == sorted(order) else logits[torch.tensor(order).argsort()]

    def move(self, source: int, target: int) -> None:
        """See ModelRunner.move."""
        n = self._lengths[target] = self._lengths[source]
        self._cache[:, target, :, :n] = self._cache[:, source, :, :n]
        self.release(source)

    def release(self, slot: int) -> None:
        """See ModelRunner.release."""
        self._lengths[slot] = 0

    def _segment(self, rows: slice, slot: int, positions: torch.Tensor, length: int) -> Segment:
        """A Segment of the slots from `slot` on."""
        return segment(rows, slice(slot, slot + len(positions)), positions, length, self._config, self._dtype)

    def _decode_fixed(
        self, fixed: CudaGraphRunner, slots: Sequence[int], rows: Sequence[int], positions: Sequence[int]
    ) -> torch.Tensor:
        """Compute all slots up to the next fixed width.

        The results of idle slots are discarded. What they write to the cache is overwritten by their next id.
        """
        B = fixed.width(max(slots) + 1)
        batch_rows, batch_positions = [0] * B, [min(length, self.context - 1) for length in self._lengths[:B]]
        for slot, row, position in zip(slots, rows, positions, strict=True):
            batch_rows[slot], batch_positions[slot] = row, position
        batch = to_device([batch_rows, batch_positions], self.device)  # (2, B)
        logits = fixed(batch, max(batch_positions) + 1)
        return logits[: len(slots)] if slots == [*range(len(slots))] else logits[to_device(slots, self.device)]

    @torch.inference_mode()
    def _fixed_step(self, batch: torch.Tensor, length: int) -> torch.Tensor:
        """A `DecodeStep` of the first B slots."""
        rows, positions = batch
        B = len(rows)
        whole = self._segment(slice(0, B), 0, positions[:, None], length)
        step = Step(torch.arange(B, device=self.device), positions, [whole], self._rope, self._kernels)
        logits: torch.Tensor = self._model(self._answers[rows], step, self._cache, slice(None))
        return logits


def attended(length: int, most: int) -> int:
    """`length` rounded up, so that sequences of similar lengths share a call: by at most a quarter, or to 64."""
    step = max(LEAST_LENGTH, 1 << max(0, (length - 1).bit_length() - 2))
    return min(-(-length // step) * step, most)


def _load(
    file: Qwen2File, ids: np.ndarray, device: torch.device, dtype: torch.dtype, precision: TorchPrecision
) -> Qwen2:
    with torch.device("meta"):
        model = Qwen2(file.config, len(ids))
    model.load_state_dict(fused(file, ids), assign=True)
    model.to(device, dtype).eval().requires_grad_(False)
    if device.type == "cpu":
        prepare(model, precision)
    return model
