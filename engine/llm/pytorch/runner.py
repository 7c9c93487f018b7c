"""The ModelRunner of `backend: torch`, on a CPU or a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from engine.llm.pytorch.cuda_graphs import CudaGraphRunner
from engine.llm.pytorch.int8 import round_linears
from engine.llm.pytorch.qwen2 import Qwen2, Step, fused, rope_table
from engine.llm.weights import open_weights


class TorchModelRunner:
    """A ModelRunner in torch."""

    def __init__(
        self,
        directory: Path,
        ids: np.ndarray,
        *,
        adapter: Path | None = None,
        slots: int,
        context: int,
        device: torch.device,
        dtype: torch.dtype,
        int8: bool = False,
        fixed: bool = False,
    ) -> None:
        """Load `LLM/` of a checkpoint.

        `ids` are the rows of the head (`Grammar.ids`). `adapter` is the directory of a LoRA to merge. `int8` rounds the
        linear layers (`engine.llm.pytorch.int8`).
        `fixed` runs decode steps at fixed shapes. Raises CheckpointError if a file or tensor is missing or has the
        wrong shape.
        """
        with open_weights(directory, adapter) as file:
            weights, self._embedding = fused(file, ids), file.embedding()
            separate_head = file.separate_head
            config = self._config = file.config
        self.slots, self.context, self.device = slots, min(context, config.max_position_embeddings), device
        self.chunk = 64 if device.type == "cpu" else 256
        self._dtype = dtype
        with torch.device("meta"):
            model = Qwen2(config, len(ids))
        model.load_state_dict(weights, assign=True)
        self._model = model.to(device, dtype).eval().requires_grad_(False)
        # (rows, C): the embeddings of generated rows
        self._answers = self._embedding[torch.from_numpy(ids)].to(device, dtype) if separate_head else model.head.weight
        if int8:
            round_linears(self._model)
        self._rope = rope_table(config, self.context).to(device, dtype)
        shape = (config.num_hidden_layers, slots, config.num_key_value_heads, self.context, config.head_dim)
        self._keys = torch.zeros(shape, dtype=dtype, device=device)
        self._values = torch.zeros(shape, dtype=dtype, device=device)
        self._lengths = [0] * slots
        self._fixed = CudaGraphRunner(self._step_rows, slots, self.context, device) if fixed else None

    @torch.inference_mode()
    def prefill(self, slot: int, ids: Sequence[int], start: int) -> torch.Tensor:
        """See ModelRunner.prefill."""
        x = self._embedding[torch.tensor(ids)].to(self.device, self._dtype)
        positions = torch.arange(start, start + len(ids), device=self.device)
        self._lengths[slot] = start + len(ids)
        return self._step(x[None], positions[None], start + len(ids), slice(slot, slot + 1))[0]

    @torch.inference_mode()
    def decode(self, slots: Sequence[int], rows: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """See ModelRunner.decode.

        All slots up to the highest, or up to the next fixed width, are computed, so that the cache need not be
        copied. The results of idle slots are discarded. What they write to the cache is overwritten by their next id.
        """
        B = max(slots) + 1
        if self._fixed:
            B = self._fixed.width(B)
        batch_rows, batch_positions = [0] * B, [min(length, self.context - 1) for length in self._lengths[:B]]
        for slot, row, position in zip(slots, rows, positions, strict=True):
            batch_rows[slot], batch_positions[slot] = row, position
            self._lengths[slot] = position + 1
        batch = torch.tensor([batch_rows, batch_positions], device=self.device)  # (2, B)
        step = self._fixed or self._step_rows
        return step(batch, max(batch_positions) + 1)[list(slots)]

    def move(self, source: int, target: int) -> None:
        """See ModelRunner.move."""
        n = self._lengths[target] = self._lengths[source]
        for cache in (self._keys, self._values):
            cache[:, target, :, :n] = cache[:, source, :, :n]
        self.release(source)

    def release(self, slot: int) -> None:
        """See ModelRunner.release."""
        self._lengths[slot] = 0

    @torch.inference_mode()
    def _step_rows(self, batch: torch.Tensor, length: int) -> torch.Tensor:
        """A `DecodeStep` of the first B slots."""
        rows, positions = batch
        return self._step(self._answers[rows][:, None], positions[:, None], length, slice(0, len(rows)))

    def _step(self, x: torch.Tensor, positions: torch.Tensor, length: int, slots: slice) -> torch.Tensor:
        step = Step(positions, length, self._rope, self._config)
        logits: torch.Tensor = self._model(x, step, self._keys[:, slots], self._values[:, slots])
        return logits
