"""Opens ready-made GGUF files, as llama.cpp's converter writes them, and unpacks their tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.checkpoints.layout import cache_directory, digest
from engine.errors import CheckpointError

if TYPE_CHECKING:
    from gguf import GGUFReader

ARCHITECTURE = "qwen2"


def open_gguf(path: Path) -> GGUFReader:
    """Open a GGUF file of Spark-TTS's language model; raises CheckpointError if it is another file."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        architecture, split = value(reader, "general.architecture"), value(reader, "split.count")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # the library raises many types for a damaged file
        raise CheckpointError(f"{path} is not a GGUF file, or is damaged: {error}") from error
    if architecture != ARCHITECTURE:
        raise CheckpointError(f"{path} is of a {architecture} model; Spark-TTS's language model is a {ARCHITECTURE}.")
    if split is not None and split > 1:
        raise CheckpointError(f"{path} is one of {split} parts. Join them with llama.cpp's llama-gguf-split --merge.")
    return reader


def value(reader: GGUFReader, key: str) -> Any:  # noqa: ANN401 - a number, a text or a list
    """The value of a key; None if the file does not have it."""
    field = reader.get_field(key)
    return None if field is None else field.contents()


def unpacked(path: Path) -> Path:
    """The directory in the cache for what is made from a GGUF file."""
    return cache_directory() / "converted" / digest([("gguf", path)])


def unpack_tokenizer(path: Path) -> Path:
    """The tokenizer.json of a GGUF file, written to the cache if it is not there; raises CheckpointError."""
    written = unpacked(path) / "tokenizer.json"
    if not written.is_file():
        text = json.dumps(_tokenizer(path), ensure_ascii=False)
        try:
            written.parent.mkdir(parents=True, exist_ok=True)
            partial = written.with_suffix(".partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(written)
        except OSError as error:
            raise CheckpointError(f"{written} cannot be written: {error.strerror or error}") from error
    return written


def _tokenizer(path: Path) -> dict[str, Any]:
    """The content of a tokenizer.json with the names and ids in the file."""
    from gguf import TokenType
    from transformers import Qwen2Tokenizer

    reader = open_gguf(path)
    model, pre = value(reader, "tokenizer.ggml.model"), value(reader, "tokenizer.ggml.pre")
    if model == "none":
        raise CheckpointError(f"{path} has no tokenizer: Fast-Spark made it for itself. Give the model that it is of.")
    if (model, pre) != ("gpt2", "qwen2"):
        raise CheckpointError(f"{path} has a tokenizer of the kind {model}, {pre}, not gpt2, qwen2 as Spark-TTS's.")
    tokens, kinds, merges = (value(reader, f"tokenizer.ggml.{name}") for name in ("tokens", "token_type", "merges"))
    if not (isinstance(tokens, list) and isinstance(kinds, list) and len(tokens) == len(kinds)):
        raise CheckpointError(f"{path} has no names of tokens, or no types for them.")
    ids = {kind: [n for n, found in enumerate(kinds) if found == kind] for kind in TokenType}
    vocabulary = {tokens[n]: n for n in ids[TokenType.NORMAL]}
    pairs = [tuple(merge.split(" ")) for merge in merges or ()]
    unknown = next((pair for pair in pairs if any(part not in vocabulary for part in (*pair, "".join(pair)))), None)
    if unknown:
        raise CheckpointError(f"{path}: the merge {' '.join(unknown)!r} is not of two tokens.")
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=pairs)  # type: ignore[arg-type]  # its annotation is wrong
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    added = sorted([*ids[TokenType.CONTROL], *ids[TokenType.USER_DEFINED]])
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {**content, "added_tokens": [{"id": n, "content": tokens[n], **flags} for n in added]}
