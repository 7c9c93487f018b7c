"""Prepares a ready-made GGUF file: its vocabulary is cut to the audio head, as in the files of `gguf_file`.

Quantized rows are copied as they are, so the result computes the same logits. The embeddings of prompts come from the
original file.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock
from gguf import GGMLQuantizationType as Type
from gguf import GGUFReader, GGUFValueType, ReaderTensor

from engine.checkpoints.gguf_tokenizer import ARCHITECTURE, open_gguf, unpacked, value
from engine.config import Quantization
from engine.errors import CheckpointError
from engine.llm.llama_cpp.gguf_file import NAMES, SOURCE, padded, source_of

FLOATS: dict[Type, Quantization] = {Type.F32: "float32", Type.F16: "float16", Type.BF16: "bfloat16"}
EMBEDDING, HEAD = "token_embd.weight", "output.weight"
FORMAT = "cut-1"  # must change when the files of earlier versions of this module can no longer be used


class QuantizedRows:
    """The embedding of the whole vocabulary, (vocabulary, C), of which only rows in use are made floats."""

    def __init__(self, tensor: ReaderTensor) -> None:
        self._rows, self._type = tensor.data, tensor.tensor_type
        self.shape = torch.Size(reversed(tensor.shape.tolist()))

    def __getitem__(self, ids: torch.Tensor) -> torch.Tensor:
        """The rows of these ids, float32, (ids, C)."""
        return torch.from_numpy(gguf.quants.dequantize(self._rows[ids.numpy()], self._type).astype(np.float32))


class ReadyModel(NamedTuple):
    """A prepared model: the cut file, the embedding for its prompts, how its layers are held, and its context."""

    path: Path
    embedding: QuantizedRows
    quantization: Quantization
    max_context: int


def prepare_ready_file(path: Path, ids: npt.NDArray[np.int64]) -> ReadyModel:
    """Prepare a GGUF file for the rows `ids` of the head; raises CheckpointError if it does not fit."""
    reader = open_gguf(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    _check(path, reader, tensors, int(ids.max()))
    embedding = tensors[EMBEDDING]
    cut = unpacked(path) / "model.gguf"
    recorded = f"{unpacked(path).name}-{FORMAT}"
    try:
        cut.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(cut.with_suffix(".lock")):
            if source_of(cut) != recorded:
                _write(reader, ids, cut, recorded)
    except OSError as error:
        raise CheckpointError(f"{cut} cannot be written: {error.strerror or error}.") from error
    quantization = FLOATS.get(tensors["blk.0.ffn_down.weight"].tensor_type, "q8_0")
    return ReadyModel(cut, QuantizedRows(embedding), quantization, int(value(reader, f"{ARCHITECTURE}.context_length")))


def _check(path: Path, reader: GGUFReader, tensors: dict[str, ReaderTensor], last: int) -> None:
    blocks = value(reader, f"{ARCHITECTURE}.block_count")
    if not isinstance(blocks, int) or value(reader, f"{ARCHITECTURE}.context_length") is None:
        raise CheckpointError(f"{path} does not say how many layers and positions the model has.")
    needed = [EMBEDDING, "output_norm.weight", *(f"blk.{n}.{name}" for n in range(blocks) for name in NAMES.values())]
    if missing := next((name for name in needed if name not in tensors), None):
        raise CheckpointError(f"{path} has no tensor {missing}.")
    for name in (EMBEDDING, HEAD):
        if name in tensors and (rows := len(tensors[name].data)) <= last:
            raise CheckpointError(f"{path}: {name} has {rows} rows, but the tokenizer has the id {last}.")


def _write(reader: GGUFReader, ids: npt.NDArray[np.int64], path: Path, recorded: str) -> None:
    """Write the cut file under another name, and rename it when it is complete."""
    partial = path.with_suffix(".partial")
    try:
        writer = gguf.GGUFWriter(partial, ARCHITECTURE)
        writer.add_string(SOURCE, recorded)
        for key, field in reader.fields.items():
            kind = field.types[0]
            if key.startswith(f"{ARCHITECTURE}.") and not key.endswith("vocab_size") and kind != GGUFValueType.ARRAY:
                writer.add_key_value(key, field.contents(), kind)
        writer.add_file_type(int(value(reader, "general.file_type") or 0))
        writer.add_tokenizer_model("none")
        writer.add_vocab_size(padded(len(ids)))
        for tensor in reader.tensors:
            data = tensor.data
            if tensor.name in (EMBEDDING, HEAD):
                zeros = np.zeros((padded(len(ids)) - len(ids), *data.shape[1:]), data.dtype)
                data = np.concatenate([data[ids], zeros])
            writer.add_tensor(tensor.name, data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
