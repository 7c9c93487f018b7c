"""Converts the language model to a GGUF file for llama.cpp, once; a change of the weights makes a new file.

The file's vocabulary is the audio head only, `Grammar.ids` padded to whole tiles. So a step of the full-size model
reads 12 million weights of the head instead of 149 million. The file has no tokenizer; the embeddings of a prompt come
from the checkpoint.

llama.cpp's own server takes prompts as ids only. So a file for it has the whole vocabulary, and a bias of the head
that restricts an answer to the same rows.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
import torch
from filelock import FileLock
from gguf import GGMLQuantizationType as Type
from gguf import LlamaFileType as FileType
from gguf import TokenType

from engine.checkpoints.language_model import TOKENIZER
from engine.config import Quantization
from engine.errors import CheckpointError
from engine.llm.weights import Qwen2Config, Qwen2File, open_weights
from engine.tokens.vocabulary import Vocabulary
from engine.types import Progress, no_progress

logger = logging.getLogger(__name__)

TILE = 32  # llama.cpp's fast matrix products need whole tiles of 4, 8, 16 or 32 rows
FORMAT = 1  # must change when the files of earlier versions of this module can no longer be used
NEVER = -1e30  # a logit that is so low is never sampled
SOURCE = "fast_spark.source"  # the key of the fingerprint of the weights that a file was made from


class Types(NamedTuple):
    """A quantization's types for the matrices of the layers and of the head, and llama.cpp's type of the file."""

    layers: Type
    head: Type
    file: FileType


TYPES: dict[Quantization, Types] = {
    "float32": Types(Type.F32, Type.F32, FileType.ALL_F32),
    "bfloat16": Types(Type.BF16, Type.BF16, FileType.MOSTLY_BF16),
    "float16": Types(Type.F16, Type.F16, FileType.MOSTLY_F16),
    "q8_0": Types(Type.Q8_0, Type.Q8_0, FileType.MOSTLY_Q8_0),
    "q5_0": Types(Type.Q5_0, Type.Q8_0, FileType.MOSTLY_Q5_0),
    "q4_0": Types(Type.Q4_0, Type.Q8_0, FileType.MOSTLY_Q4_0),
}
NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.q_proj.bias": "attn_q.bias",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.k_proj.bias": "attn_k.bias",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.v_proj.bias": "attn_v.bias",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}


def model_file(
    directory: Path,
    source: str,
    ids: np.ndarray,
    quantization: Quantization,
    elsewhere: Path,
    progress: Progress = no_progress,
    *,
    adapter: Path | None = None,
    tokenizer: Path | None = None,
    server: bool = False,
) -> Path:
    """The GGUF file of the weights in `directory`; it is made now if there is none for these weights.

    It is in `directory` or, if that is not writable or a LoRA is merged, in `elsewhere`.

    Args:
        directory: holds config.json and the weights.
        source: the fingerprint of the weights (`checkpoints.fingerprint`); it is recorded in the file.
        ids: (rows,), the rows of the head, `Grammar.ids`.
        quantization: of the matrices; norms and biases are float32.
        elsewhere: a writable directory.
        progress: counts tensors.
        adapter: the directory of a LoRA to merge.
        tokenizer: the tokenizer.json, by default the one in `directory`.
        server: whether the file is for llama.cpp's own server.

    Raises CheckpointError if the weights cannot be read or the file cannot be written.

    """
    recorded = f"{source}-{FORMAT}"
    name = f"fast-spark-{'server-' if server else ''}{quantization}.gguf"
    parents = [elsewhere / source] if adapter else [directory, elsewhere / source]
    paths = [parent / name for parent in parents]
    for path in paths:
        if source_of(path) == recorded:
            return path
    path = paths[0] if _writable(paths[0].parent) else paths[-1]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if source_of(path) != recorded:  # another process may have made it meanwhile
                whole = (tokenizer or directory / TOKENIZER) if server else None
                _convert(directory, adapter, recorded, ids, quantization, path, progress, whole)
    except OSError as error:
        free = shutil.disk_usage(next(parent for parent in path.parents if parent.exists())).free / 1e9
        raise CheckpointError(
            f"{path} cannot be written: {error.strerror or error}. The disk has {free:.1f} GB free."
        ) from error
    return path


def _convert(
    directory: Path,
    adapter: Path | None,
    recorded: str,
    ids: np.ndarray,
    quantization: Quantization,
    path: Path,
    progress: Progress,
    tokenizer: Path | None,
) -> None:
    """Write under another name, and rename the complete file: an interrupted conversion leaves no model behind.

    With a `tokenizer` the file has the whole vocabulary.
    """
    logger.info("Converting the language model to %s", path)
    partial, types = path.with_suffix(".partial"), TYPES[quantization]
    try:
        with open_weights(directory, adapter) as file:
            writer = gguf.GGUFWriter(partial, "qwen2")
            writer.add_string(SOURCE, recorded)
            _describe(writer, file.config, types)
            if tokenizer:
                _describe_vocabulary(writer, tokenizer, file.config.vocab_size)
                head = _whole_head(file, ids, types)
            else:
                writer.add_tokenizer_model("none")
                writer.add_vocab_size(padded(len(ids)))
                head = _audio_head(file, ids, types)
            tensors = head + _layers(file, types)
            for name, tensor, kind in tensors:
                size = math.prod(gguf.quant_shape_to_byte_shape(tensor.shape, kind))
                writer.add_tensor_info(name, tensor.shape, np.dtype(np.float32), size, kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for done, (_, tensor, kind) in enumerate(tensors):
                progress(done, len(tensors))
                writer.write_tensor_data(gguf.quants.quantize(tensor.float().numpy(), kind))
            writer.close()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _describe(writer: gguf.GGUFWriter, config: Qwen2Config, types: Types) -> None:
    writer.add_file_type(types.file)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)


def _describe_vocabulary(writer: gguf.GGUFWriter, tokenizer: Path, rows: int) -> None:
    """Add the names of all ids, and the ids that end an answer."""
    content = json.loads(tokenizer.read_text(encoding="utf-8"))
    names = {token: name for name, token in content["model"]["vocab"].items()}
    added = {token["id"]: token["content"] for token in content["added_tokens"]}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]]
    kinds = [
        TokenType.CONTROL if n in added else TokenType.NORMAL if n in names else TokenType.UNUSED for n in range(rows)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([(names | added).get(n, f"[PAD{n}]") for n in range(rows)])
    writer.add_token_types(kinds)
    writer.add_token_merges(merges or [f"{names[0]} {names[1]}"])  # llama.cpp requires some; they are not used
    vocabulary = Vocabulary(tokenizer)
    writer.add_eot_token_id(vocabulary.ends[0])
    writer.add_eos_token_id(vocabulary.ends[1])
    writer.add_add_bos_token(False)


Tensor = tuple[str, torch.Tensor, Type]
"""A tensor with its name and type in the GGUF file. Where possible it is a view of the checkpoint's mapped file."""


def _audio_head(file: Qwen2File, ids: np.ndarray, types: Types) -> list[Tensor]:
    """The rows of the head and, if they are others, of the embedding."""
    rows = {"token_embd.weight": file.head(ids)}
    if file.separate_head:
        rows = {"token_embd.weight": file.embedding()[torch.from_numpy(ids)], "output.weight": file.head(ids)}
    padding = (0, 0, 0, padded(len(ids)) - len(ids))
    return [(name, torch.nn.functional.pad(tensor, padding), types.head) for name, tensor in rows.items()]


def _whole_head(file: Qwen2File, ids: np.ndarray, types: Types) -> list[Tensor]:
    bias = torch.full((file.config.vocab_size,), NEVER)
    bias[torch.from_numpy(ids)] = 0
    head = [("output.weight", file.whole_head(), types.head)] if file.separate_head else []
    return [("token_embd.weight", file.embedding(), types.head), *head, ("output.bias", bias, Type.F32)]


def _layers(file: Qwen2File, types: Types) -> list[Tensor]:
    tensors = [("output_norm.weight", file.norm(), Type.F32)]
    for index in range(file.config.num_hidden_layers):
        for name, tensor in file.layer(index).items():
            kind = types.layers if tensor.ndim == 2 else Type.F32
            tensors.append((f"blk.{index}.{NAMES[name]}", tensor, kind))
    return tensors


def padded(rows: int) -> int:
    """The number of the head's rows in the file."""
    return math.ceil(rows / TILE) * TILE


def source_of(path: Path) -> str | None:
    """The fingerprint that is recorded in the file; None if there is no such file, or it is incomplete."""
    try:
        reader = gguf.GGUFReader(path)
        field = reader.get_field(SOURCE)
        return None if field is None else str(field.contents())
    except Exception:  # the library raises many types for a damaged file
        return None


def _writable(directory: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False
