"""The ModelRunner of llama.cpp, through its C API."""

from __future__ import annotations

import ctypes
import logging
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import llama_cpp.llama_cpp as llama
import numpy as np
import torch

from engine.config import Quantization
from engine.errors import CheckpointError
from engine.llm.base import Chunk

logger = logging.getLogger(__name__)

LIBRARY = Path(llama.__file__).with_name("lib")
SPLIT = 255  # from this position on llama.cpp may split a sequence's attention: its cache grows in blocks of 256 cells
CHUNK = 64  # ids of a prompt at once: 0.2 to 0.3 s at full size on two cores; larger chunks are little faster
BUDGET = 128  # ids of several prompts at once
LEVELS = {2: logging.DEBUG, 3: logging.INFO, 4: logging.WARNING}  # ggml_log_level: info, warn, error


def _log(level: int, text: bytes, user_data: ctypes.c_void_p) -> None:
    """Log one level lower than llama.cpp does: it logs a lot, and its errors are also raised here."""
    logger.log(LEVELS.get(level, logging.DEBUG), "%s", text.decode(errors="replace").rstrip())


log_callback = llama.llama_log_callback(_log)  # kept here: C holds no reference to it


class Batch:
    """The arrays of a `llama_batch`, allocated once. Each entry belongs to one sequence."""

    def __init__(self, entries: int, width: int = 0) -> None:
        """Allocate `entries` tokens or, if `width` is given, embeddings of that width."""
        self.tokens = np.zeros(entries, np.int32)
        self.embeddings = np.zeros((entries, width), np.float32)
        self.positions = np.zeros(entries, np.int32)
        self.sequences = np.zeros(entries, np.int32)
        self.wanted = np.zeros(entries, np.int8)  # whether logits are computed
        self._one_each = np.ones(entries, np.int32)
        self._addresses = self.sequences.ctypes.data + 4 * np.arange(entries, dtype=np.uintp)
        integers = ctypes.POINTER(ctypes.c_int32)
        self._batch = llama.llama_batch(
            n_tokens=0,
            token=None if width else self.tokens.ctypes.data_as(integers),
            embd=self.embeddings.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) if width else None,
            pos=self.positions.ctypes.data_as(integers),
            n_seq_id=self._one_each.ctypes.data_as(integers),
            seq_id=self._addresses.ctypes.data_as(ctypes.POINTER(integers)),
            logits=self.wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def first(self, entries: int) -> llama.llama_batch:
        """The C structure, with the first `entries` entries."""
        self._batch.n_tokens = entries
        return self._batch


class Embedding(Protocol):
    """The embedding of the whole vocabulary, (vocabulary, C); a tensor is one."""

    @property
    def shape(self) -> torch.Size:
        """The size of the vocabulary, and the width."""
        ...

    def __getitem__(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of these ids, (ids, C), of any float type."""
        ...


class LlamaCppModelRunner:
    """A ModelRunner in llama.cpp. The rows of the head are the vocabulary of the model's file."""

    device = torch.device("cpu")

    def __init__(
        self,
        path: Path,
        quantization: Quantization,
        embedding: Embedding,
        rows: int,
        *,
        slots: int,
        context: int,
        threads: int,
        repack: bool,
    ) -> None:
        """Load a file that `gguf_file.model_file` or `ready_file.prepare_ready_file` made.

        Args:
            path: the file.
            quantization: the file's quantization.
            embedding: the checkpoint's, for the prompts.
            rows: how many of the head's rows are used.
            slots: sequences at once.
            context: the most ids of each sequence.
            threads: the number of threads that llama.cpp uses.
            repack: whether weights are repacked for the CPU's vector units (see `probe`).

        Raises CheckpointError if llama.cpp cannot load the file.

        """
        self.slots, self.context, self.chunk = slots, context, CHUNK
        self.budget = BUDGET
        self._embedding, self._rows = embedding, rows
        self._float = quantization in ("float32", "bfloat16", "float16")
        llama.llama_log_set(log_callback, ctypes.c_void_p(0))
        # Looked up through libllama: the package has several copies of ggml, and llama.cpp uses this one.
        if not llama._lib.ggml_backend_dev_count():  # a build with variants for several processors (docker/)
            llama._lib.ggml_backend_load_all_from_path(str(LIBRARY).encode())
        llama.llama_backend_init()
        model = llama.llama_model_default_params()
        model.n_gpu_layers = 0
        model.use_extra_bufts = repack
        self._model = llama.llama_model_load_from_file(str(path).encode(), model)
        if not self._model:
            raise CheckpointError(f"llama.cpp cannot load {path}. Delete the file; it will be made again.")
        weakref.finalize(self, llama.llama_model_free, self._model).atexit = False
        params = llama.llama_context_default_params()
        params.n_seq_max = entries = max(slots, 2)
        params.n_ctx = entries * context
        params.n_batch = params.n_ubatch = max(BUDGET, entries)
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = False  # with a unified cache each sequence would attend to the cells of all, and mask them
        params.no_perf = True
        if quantization == "float32":
            params.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it rounds to float16
            params.type_k = params.type_v = llama.GGML_TYPE_F32
        self._context = llama.llama_init_from_model(self._model, params)
        if not self._context:
            raise CheckpointError(
                f"llama.cpp cannot allocate {slots} sequences of {context} tokens. "
                "Reduce `max_running` or `max_context`."
            )
        weakref.finalize(self, llama.llama_free, self._context).atexit = False  # before the model: last in, first out
        self._memory = llama.llama_get_memory(self._context)
        self._prompt = Batch(BUDGET, embedding.shape[1])
        self._step = Batch(entries)
        self._step.sequences[:] = np.arange(entries)
        self._step.wanted[:] = 1
        self._lengths = np.zeros(entries, np.int32)

    def prefill(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        """See ModelRunner.prefill.

        llama.cpp divides a batch so that each sequence has equally many ids in a part, and rounds differently if the
        parts are others. So a batch has pieces of one length at one position; the lengths depend on the prompt alone.
        """
        pieces: dict[tuple[int, int], list[tuple[int, Chunk]]] = {}
        for index, chunk in enumerate(chunks):
            for start in range(0, len(chunk.ids), CHUNK):
                piece = Chunk(chunk.slot, chunk.ids[start : start + CHUNK], chunk.start + start)
                pieces.setdefault((piece.start, len(piece.ids)), []).append((index, piece))
        logits = torch.empty(len(chunks), self._rows)
        for _, together in sorted(pieces.items(), key=lambda item: item[0]):
            indices, batch = zip(*together, strict=True)
            logits[list(indices)] = self._prefill_pieces(batch)  # of a prompt's pieces the last one stays
        return logits

    def _prefill_pieces(self, pieces: Sequence[Chunk]) -> torch.Tensor:
        """Prefill pieces of the same length; return the logits after the last id of each."""
        size, batch = len(pieces[0].ids), self._prompt
        n = size * len(pieces)
        batch.embeddings[:n] = self._embedding[torch.tensor([token for piece in pieces for token in piece.ids])].float()
        batch.positions[:n] = np.concatenate([np.arange(piece.start, piece.start + size) for piece in pieces])
        batch.sequences[:n] = np.repeat([piece.slot for piece in pieces], size)
        batch.wanted[:n] = 0
        batch.wanted[size - 1 : n : size] = 1
        for piece in pieces:
            self._lengths[piece.slot] = piece.start + size
        return self._decode(batch.first(n), len(pieces))

    def decode(self, slots: Sequence[int], rows: Sequence[int], positions: Sequence[int]) -> torch.Tensor:
        """See ModelRunner.decode.

        llama.cpp computes sequences together only if their numbers have no gap. For a slot in a gap, whose prompt is
        being prefilled, a token is computed and then removed from the cache.
        """
        n, batch = max(*slots, self._least(max(positions))) + 1, self._step
        batch.tokens[:n], batch.positions[:n] = 0, self._lengths[:n]
        batch.tokens[list(slots)], batch.positions[list(slots)] = rows, positions
        logits = self._decode(batch.first(n), n)
        self._lengths[list(slots)] += 1
        for slot in set(range(n)) - set(slots):
            llama.llama_memory_seq_rm(self._memory, slot, self._lengths[slot], -1)
        return logits[list(slots)]

    def _least(self, position: int) -> int:
        """The least number of the last slot in a batch.

        For a single sequence llama.cpp uses another routine to multiply float matrices, and splits the attention over
        more than 256 ids. Both round differently. In these cases a batch always has two sequences, so that a seed
        gives the same ids whatever else is in the batch.
        """
        return 1 if self._float or position >= SPLIT else 0

    def move(self, source: int, target: int) -> None:
        """See ModelRunner.move."""
        llama.llama_memory_seq_cp(self._memory, source, target, -1, -1)
        self._lengths[target] = self._lengths[source]
        self.release(source)

    def release(self, slot: int) -> None:
        """See ModelRunner.release."""
        llama.llama_memory_seq_rm(self._memory, slot, -1, -1)
        self._lengths[slot] = 0

    def held(self, slot: int) -> int:
        """How many cells of the KV cache the slot uses."""
        return int(llama.llama_memory_seq_pos_max(self._memory, slot)) + 1

    def _decode(self, batch: llama.llama_batch, outputs: int) -> torch.Tensor:
        """Run a batch; return the logits of its wanted entries, (outputs, rows), valid until the next batch."""
        if code := llama.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode returned {code}")
        shape = (outputs, llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model)))
        logits = np.ctypeslib.as_array(llama.llama_get_logits(self._context), shape)
        return torch.from_numpy(logits[:, : self._rows])
