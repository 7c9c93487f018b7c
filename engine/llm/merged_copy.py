"""A copy of a language model in one directory, for libraries that read directories: vLLM."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import safetensors.torch

from engine.checkpoints.language_model import CONFIG, TOKENIZER, WEIGHTS, Checkpoint, read_json
from engine.errors import CheckpointError
from engine.llm.weights import open_weights


def directory_for_vllm(checkpoint: Checkpoint, elsewhere: Path) -> Path:
    """The directory of a language model with its tokenizer and, if it has a LoRA, with merged weights.

    It is the model's own if that has all of this, else a copy in `elsewhere`, which is made once. Raises
    CheckpointError.
    """
    files = checkpoint.language_model
    if files.adapter is None and files.tokenizer.parent == files.path:
        return files.path
    directory = elsewhere / f"{checkpoint.fingerprint}-merged"
    if directory.is_dir():
        return directory
    try:
        elsewhere.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=elsewhere) as made:
            _copy(checkpoint, Path(made) / "model")
            (Path(made) / "model").replace(directory)  # complete or not there
    except OSError as error:
        if not directory.is_dir():  # another process may have made it meanwhile
            raise CheckpointError(f"{directory} cannot be written: {error.strerror or error}.") from error
    return directory


def _copy(checkpoint: Checkpoint, directory: Path) -> None:
    files = checkpoint.language_model
    directory.mkdir()
    shutil.copyfile(files.tokenizer, directory / TOKENIZER)
    with open_weights(files.path, files.adapter) as file:
        separate = {"tie_word_embeddings": not file.separate_head}
        (directory / CONFIG).write_text(json.dumps(read_json(files.path / CONFIG) | separate))
        tensors = {name: read().contiguous() for name, read in file.tensors.items()}
        safetensors.torch.save_file(tensors, directory / WEIGHTS, metadata={"format": "pt"})
