"""Finds or downloads a language model apart from the codec: a whole model, a LoRA, or a GGUF file."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.checkpoints.download import alone, fetch
from engine.checkpoints.gguf_tokenizer import unpack_tokenizer
from engine.checkpoints.layout import CODEC_LAYOUT, LAYOUT, digest, downloaded, fingerprint, is_hub_name, locate
from engine.config import EngineConfig, Hub, PromptForm
from engine.errors import CheckpointError

CONFIG, TOKENIZER = "config.json", "tokenizer.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FOLDERS = ("", "LLM/")  # where a language model can be in a directory or a repository
COMPLETE = ".fast-spark-language-model"
"""Marks a finished download: which of the optional files there are is known only from the hub."""

BASE = ("LLM/config.json", "LLM/tokenizer.json")
"""What is needed of the checkpoint's own language model if another one has no tokenizer."""
_SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")


@dataclass(frozen=True, slots=True)
class LanguageModelFiles:
    """The parts of a language model, which can be in several directories.

    `path` is the directory of config.json and the weights, or a GGUF file. `tokenizer` is a tokenizer.json.
    `adapter` is the directory of a LoRA that must be merged into the weights.
    """

    path: Path
    tokenizer: Path
    adapter: Path | None = None

    @property
    def is_gguf(self) -> bool:
        """Whether the weights are in a GGUF file."""
        return self.path.suffix == ".gguf"

    @property
    def fingerprint(self) -> str:
        """A hash of all files."""
        weights = [self.path] if self.is_gguf else [self.path / CONFIG, *weight_files(self.path)]
        adapter = [self.adapter / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)] if self.adapter else []
        return digest((file.name, file) for file in (*weights, *adapter, self.tokenizer))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A codec's checkpoint, and the language model that is used with it. `fingerprint` is a hash of both."""

    directory: Path
    language_model: LanguageModelFiles

    @property
    def fingerprint(self) -> str:
        """A hash of the weights, which are needed to interpret a voice's tokens."""
        if self.language_model == own_language_model(self.directory):
            return fingerprint(self.directory)
        codec = fingerprint(self.directory, CODEC_LAYOUT)
        return f"{codec[:16]}{self.language_model.fingerprint[:16]}"


def own_language_model(checkpoint: Path) -> LanguageModelFiles:
    """The language model in the `LLM/` of a checkpoint."""
    return LanguageModelFiles(checkpoint / "LLM", checkpoint / "LLM" / TOKENIZER)


def locate_checkpoint(config: EngineConfig) -> Checkpoint:
    """Find or download the configured models, only the files that are needed; raises CheckpointError."""
    if config.language_model is None:
        directory = locate(config.model, config.hub)
        return Checkpoint(directory, own_language_model(directory))
    path = _locate(config.language_model, config.hub)
    if path.suffix == ".gguf":
        files = LanguageModelFiles(path, unpack_tokenizer(path))
        return Checkpoint(locate(config.model, config.hub, CODEC_LAYOUT), files)
    if (path / ADAPTER_CONFIG).is_file():
        directory = locate(config.model, config.hub)
        own = own_language_model(directory)
        return Checkpoint(directory, LanguageModelFiles(own.path, own.tokenizer, adapter=path))
    if (path / TOKENIZER).is_file():
        return Checkpoint(locate(config.model, config.hub, CODEC_LAYOUT), LanguageModelFiles(path, path / TOKENIZER))
    layout = [name for name in LAYOUT if name in (*CODEC_LAYOUT, *BASE)]
    directory = locate(config.model, config.hub, layout)
    return Checkpoint(directory, LanguageModelFiles(path, _base_tokenizer(path, directory / "LLM")))


def prompt_form(config: EngineConfig) -> PromptForm:
    """The form of the prompts that `prompt` selects. `auto` looks for what Unsloth notes in the files that it saves."""
    if config.prompt != "auto":
        return config.prompt
    if config.language_model is None:
        return "published"
    path = _locate(config.language_model, config.hub)
    if path.suffix == ".gguf":
        return "published"
    if (path / ADAPTER_CONFIG).is_file():
        saved = (read_json(path / ADAPTER_CONFIG).get("auto_mapping") or {}).get("unsloth_fixed")
    else:
        saved = read_json(path / CONFIG).get("unsloth_version")
    return "self-voiced" if saved else "published"


def is_language_model(directory: Path) -> bool:
    """Whether a directory in the cache has a downloaded language model and nothing else."""
    return (directory / COMPLETE).is_file() or any(directory.glob("*.gguf"))


def weight_files(directory: Path) -> list[Path]:
    """The files of the weights in a directory: one, or shards. Raises CheckpointError if one is missing."""
    if (directory / WEIGHTS).is_file():
        return [directory / WEIGHTS]
    index = directory / INDEX
    if not index.is_file():
        if any(directory.glob("pytorch_model*.bin")):
            raise CheckpointError(
                f"{directory} has weights in pytorch_model.bin only. Save the model as safetensors: "
                "model.save_pretrained(..., safe_serialization=True)."
            )
        raise CheckpointError(f"{directory} has no weights: neither {WEIGHTS} nor {INDEX}.")
    mapping = read_json(index).get("weight_map")
    if not isinstance(mapping, dict) or not mapping or not all(isinstance(name, str) for name in mapping.values()):
        raise CheckpointError(f"{index} is not an index of weights: it has no weight_map.")
    files = [directory / Path(name).name for name in sorted(set(mapping.values()))]
    if missing := next((file for file in files if not file.is_file()), None):
        raise CheckpointError(f"{missing} is missing, which {INDEX} names.")
    return files


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises CheckpointError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} must have an object, not a {type(content).__name__}.")
    return content


def _locate(model: str, hub: Hub) -> Path:
    """The directory of a language model's files, or a GGUF file; raises CheckpointError."""
    path = Path(model).expanduser()
    if path.is_dir():
        return _root(path)
    if path.is_file():
        if path.suffix != ".gguf":
            raise CheckpointError(f"{path} is a file. Give its directory, or a GGUF file.")
        return path
    name, file = _hub_parts(model)
    directory = downloaded(name)
    if file:
        if not (directory / file).is_file():
            _download(name, hub, directory, file)
        return directory / file
    if not (directory / COMPLETE).is_file() and not all((directory / name).is_file() for name in LAYOUT):
        _download(name, hub, directory, None)
        (directory / COMPLETE).touch()
    return _root(directory)


def _hub_parts(model: str) -> tuple[str, str | None]:
    """OWNER/NAME, and the file in OWNER/NAME/FILE.gguf; raises CheckpointError."""
    owner, _, rest = model.partition("/")
    name, _, file = rest.partition("/")
    if not is_hub_name(f"{owner}/{name}") or (file and not re.fullmatch(r"[\w-][\w.-]*\.gguf", file, re.ASCII)):
        raise CheckpointError(
            f"There is no language model {model}. Give a directory, a GGUF file, or a name on a hub: OWNER/NAME or "
            "OWNER/NAME/FILE.gguf."
        )
    return f"{owner}/{name}", file or None


def _download(name: str, hub: Hub, directory: Path, gguf: str | None) -> None:
    def select(there: Collection[str]) -> list[str]:
        if gguf:
            if gguf not in there:
                raise CheckpointError(f"{name} on {hub} has no file {gguf}.")
            return [gguf]
        return _needed(name, hub, there)

    with alone(directory):
        fetch(name, hub, directory, select)


def _needed(name: str, hub: Hub, there: Collection[str]) -> list[str]:
    """The files of a language model, of those in a repository."""
    for folder in FOLDERS:
        adapter = [folder + ADAPTER_CONFIG, folder + ADAPTER_WEIGHTS]
        if adapter[0] in there:
            if adapter[1] in there:
                return adapter
            raise CheckpointError(f"{name} on {hub} has an {ADAPTER_CONFIG}, but no {ADAPTER_WEIGHTS} beside it.")
        whole = folder + WEIGHTS
        shards = [file for file in there if file.startswith(folder) and _SHARD.fullmatch(file[len(folder) :])]
        weights = [whole] if whole in there else [folder + INDEX, *shards] if folder + INDEX in there else []
        if folder + CONFIG in there and weights:
            return [folder + CONFIG, *weights, *([folder + TOKENIZER] if folder + TOKENIZER in there else [])]
    if ggufs := sorted(file for file in there if file.endswith(".gguf") and "/" not in file):
        raise CheckpointError(f"{name} on {hub} has GGUF files: choose one, such as {name}/{ggufs[0]}.")
    raise CheckpointError(
        f"{name} on {hub} has no language model: neither {CONFIG} with {WEIGHTS} nor {ADAPTER_CONFIG}, at its root or "
        "in LLM/."
    )


def _root(directory: Path) -> Path:
    """The directory itself or its `LLM/`, whichever has a language model; raises CheckpointError if neither has."""
    for folder in FOLDERS:
        root = directory / folder
        if (root / ADAPTER_CONFIG).is_file():
            if not (root / ADAPTER_WEIGHTS).is_file():
                saved = " Save it as safetensors." if (root / "adapter_model.bin").is_file() else ""
                raise CheckpointError(f"{root} has an {ADAPTER_CONFIG}, but no {ADAPTER_WEIGHTS}.{saved}")
            return root
        if (root / CONFIG).is_file():
            weight_files(root)
            return root
    files = sorted(file for file in directory.glob("*.gguf") if not file.name.startswith("fast-spark-"))
    hint = f" Give the GGUF file itself: {files[0]}" if files else ""
    raise CheckpointError(
        f"{directory} has no language model: neither {CONFIG} nor {ADAPTER_CONFIG}, in it or in its LLM/.{hint}"
    )


def _base_tokenizer(path: Path, base: Path) -> Path:
    """The checkpoint's own tokenizer, for a language model without one; raises CheckpointError if it does not fit."""
    own, theirs = (read_json(directory / CONFIG).get("vocab_size") for directory in (path, base))
    if own != theirs:
        raise CheckpointError(
            f"{path} has no {TOKENIZER}, and the one in {base} does not fit: the vocabulary has {own} rows, and "
            f"{theirs} there."
        )
    return base / TOKENIZER
