"""Language models that do not fit: each is refused in one line that says what is wrong, and where."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import pytest
import safetensors.torch
import torch

from engine import checkpoints
from engine.config import EngineConfig
from engine.errors import EngineError
from engine.llm.registry import load_language_model
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from tests.engine.checkpoints.layouts import as_gguf, lora

Damage = Callable[[Path], object]


NAMES = "adapter_config.json", "config.json"


def config(**keys: Any) -> Damage:
    """Change keys of config.json or adapter_config.json; None removes one."""

    def change(directory: Path) -> None:
        file = next(directory / name for name in NAMES if (directory / name).is_file())
        content = json.loads(file.read_text()) | keys
        file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))

    return change


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def rewrite(directory: Path) -> None:
        file = next(directory.glob("*.safetensors"))
        content = safetensors.torch.load_file(file)
        change(content)
        safetensors.torch.save_file(content, file)

    return rewrite


def written(name: str, content: bytes) -> Damage:
    return lambda directory: (directory / name).write_bytes(content)


def without(name: str) -> Damage:
    return lambda directory: (directory / name).unlink()


def sharded(index: Any) -> Damage:
    def replace(directory: Path) -> None:
        (directory / "model.safetensors").unlink()
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))

    return replace


def pickled(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def truncated(directory: Path) -> None:
    file = next(directory.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:5000])


def misses(text: str) -> Damage:
    """Take a token's name out of the tokenizer."""

    def change(directory: Path) -> None:
        file = directory / "tokenizer.json"
        file.write_text(file.read_text().replace(text, "<|another|>"))

    return change


def no_tokenizer(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()
    config(vocab_size=5000)(directory)


Q = "base_model.model.model.layers.0.self_attn.q_proj"
WHOLE: list[tuple[str, Damage, str]] = [
    ("another architecture", config(model_type="llama"), "config.json is of a llama model"),
    ("quantized weights", config(quantization_config={"bits": 4}), "config.json is of quantized weights"),
    ("scaled positions", config(rope_parameters={"rope_type": "yarn", "rope_theta": 1e6}), "of the type yarn"),
    ("a sliding window", config(use_sliding_window=True), "has sliding windows"),
    ("another activation", config(hidden_act="gelu"), "the activation gelu, not silu"),
    ("a missing key", config(hidden_size=None), "config.json is not a Qwen2 configuration: hidden_size"),
    ("a word for a number", config(num_hidden_layers="two"), "num_hidden_layers"),
    ("no JSON", written("config.json", b"{"), "config.json is not JSON"),
    ("a list", written("config.json", b"[]"), "config.json must have an object, not a list"),
    ("a head that is missing", config(tie_word_embeddings=False), "has no tensor lm_head.weight"),
    ("fewer rows than ids", config(vocab_size=300), "the embedding has 300 rows, but the tokenizer has the id"),
    ("a missing tensor", tensors(lambda t: t.pop("model.norm.weight")), "has no tensor model.norm.weight"),
    ("more layers than there are", config(num_hidden_layers=4), "has no tensor model.layers.3."),
    (
        "another shape",
        tensors(lambda t: t.update({"model.norm.weight": torch.ones(3)})),
        r"model.norm.weight has shape \(3,\), not \(64,\)",
    ),
    (
        "no numbers",
        tensors(lambda t: t.update({"model.norm.weight": torch.full((64,), torch.nan)})),
        "has values that are not numbers",
    ),
    ("a truncated file", truncated, "model.safetensors cannot be read"),
    ("no weights", without("model.safetensors"), "has no weights: neither model.safetensors nor"),
    ("pickled weights", pickled, "pytorch_model.bin only. Save the model as safetensors"),
    ("a missing shard", sharded({"weight_map": {"a": "model-1.safetensors"}}), "model-1.safetensors is missing"),
    ("an index of nothing", sharded({"weight_map": {}}), "is not an index of weights"),
    ("a shard elsewhere", sharded({"weight_map": {"a": "../../secret.safetensors"}}), "secret.safetensors is missing"),
    ("an index that is no object", sharded([1]), "must have an object, not a list"),
    ("no tokenizer and another vocabulary", no_tokenizer, "has 5000 rows, and 6112 there"),
    ("a tokenizer of another model", misses("<|task_tts|>"), r"has no token <\|task_tts\|>"),
    ("a damaged tokenizer", written("tokenizer.json", b"{}"), "tokenizer.json is not a tokenizer"),
    ("no configuration", without("config.json"), "neither config.json nor adapter_config.json"),
]
LORA: list[tuple[str, Damage, str]] = [
    ("another method", config(peft_type="IA3"), "is of a IA3 adapter, not of a LoRA. Merge it with peft"),
    ("no rank", config(r=None), "is not a LoRA's configuration: r"),
    ("an initialisation that changes the base", config(init_lora_weights="pissa"), "has init_lora_weights pissa"),
    ("repeated layers", config(layer_replication=[[0, 2]]), "has layer_replication, which cannot be merged here"),
    ("no weights", without("adapter_model.safetensors"), "but no adapter_model.safetensors"),
    ("a truncated file", truncated, "adapter_model.safetensors cannot be read"),
    ("no tensors", tensors(lambda t: t.clear()), "adapter_model.safetensors is empty"),
    (
        "half of a pair",
        tensors(lambda t: t.pop(f"{Q}.lora_A.weight")),
        r"q_proj has no lora_B.weight and lora_A.weight of the same rank",
    ),
    (
        "ranks that differ",
        tensors(lambda t: t.update({f"{Q}.lora_A.weight": torch.ones(3, 64)})),
        "of the same rank",
    ),
    (
        "a base of another size",
        tensors(lambda t: t.update({f"{Q}.lora_A.weight": torch.ones(4, 32)})),
        r"shape \(64, 32\), and the base model's has \(64, 64\)",
    ),
    (
        "a module that the base has not",
        tensors(lambda t: t.update({Q.replace("layers.0", "layers.9") + ".lora_A.weight": torch.ones(4, 64)})),
        "changes model.layers.9.self_attn.q_proj, which the base model does not have",
    ),
    (
        "trained tokens",
        tensors(lambda t: t.update({"base_model.model.model.embed_tokens.token_adapter.delta": torch.ones(1)})),
        "has a tensor base_model.*, which cannot be merged here",
    ),
    (
        "no numbers",
        tensors(lambda t: t.update({f"{Q}.lora_A.weight": torch.full((4, 64), torch.inf)})),
        "has values that are not numbers",
    ),
]


def refusal(base: Path, language_model: Path | str, **settings: str) -> str:
    """The one line that loading ends with."""
    given = {"model": str(base), "language_model": str(language_model), "llm_device": "cpu", "backend": "torch"}

    def load() -> None:
        config = EngineConfig.model_validate(given | settings)
        found = checkpoints.locate_checkpoint(config)
        vocabulary = Vocabulary(found.language_model.tokenizer)
        Prompts(vocabulary)
        load_language_model(found, config, vocabulary)

    with pytest.raises(EngineError) as caught:
        load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def adapter(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lora(small_checkpoint, tmp_path_factory.mktemp("adapter") / "lora")


@pytest.fixture(scope="module")
def ready_gguf(small_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_gguf(small_checkpoint / "LLM", tmp_path_factory.mktemp("gguf") / "model.gguf")


@pytest.mark.parametrize(("damage", "words"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_a_wrong_model_is_refused(damage: Damage, words: str, small_checkpoint: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(small_checkpoint / "LLM", tmp_path / "model"))
    damage(model)
    line = refusal(small_checkpoint, model)
    assert str(tmp_path) in line
    assert re.search(words, line), line


@pytest.mark.parametrize(("damage", "words"), [case[1:] for case in LORA], ids=[case[0] for case in LORA])
def test_a_wrong_lora_is_refused(
    damage: Damage, words: str, small_checkpoint: Path, adapter: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(adapter, tmp_path / "lora"))
    damage(model)
    line = refusal(small_checkpoint, model)
    assert str(tmp_path) in line
    assert re.search(words, line), line


def rewritten(file: Path, target: Path, change: dict[str, Any], leave_out: str = "") -> Path:
    """The file with other values of its keys, and without one tensor."""
    reader = gguf.GGUFReader(file)
    writer = gguf.GGUFWriter(target, change.get("general.architecture", "qwen2"))
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            kind = field.types[0]
            sub = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, change.get(key, field.contents()), kind, sub)
    for key in set(change) - set(reader.fields):
        writer.add_uint16(key, change[key])
    for tensor in reader.tensors:
        if tensor.name != leave_out:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"general.architecture": "llama"}, "is of a llama model"),
        ({"split.count": 3}, "is one of 3 parts"),
        ({"tokenizer.ggml.model": "none"}, "has no tokenizer: Fast-Spark made it"),
        ({"tokenizer.ggml.model": "llama"}, "a tokenizer of the kind llama, qwen2"),
        ({"tokenizer.ggml.pre": "llama-bpe"}, "of the kind gpt2, llama-bpe"),
        ({"tokenizer.ggml.tokens": ["a"] * 6112}, "has no token"),
    ],
)
def test_a_wrong_gguf_is_refused(
    change: dict[str, Any], words: str, small_checkpoint: Path, ready_gguf: Path, tmp_path: Path
) -> None:
    file = rewritten(ready_gguf, tmp_path / "model.gguf", change)
    assert words in refusal(small_checkpoint, file, backend="llama-cpp")


@pytest.mark.parametrize("name", ["token_embd.weight", "output_norm.weight", "blk.1.attn_q.bias"])
def test_a_gguf_without_a_tensor_is_refused(
    name: str, small_checkpoint: Path, ready_gguf: Path, tmp_path: Path
) -> None:
    file = rewritten(ready_gguf, tmp_path / "model.gguf", {}, leave_out=name)
    assert f"has no tensor {name}" in refusal(small_checkpoint, file, backend="llama-cpp")


@pytest.mark.parametrize("size", [0, 100, 200_000])
def test_a_truncated_gguf_is_refused(size: int, small_checkpoint: Path, ready_gguf: Path, tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(ready_gguf.read_bytes()[:size])
    assert f"{file} is not a GGUF file, or is damaged" in refusal(small_checkpoint, file, backend="llama-cpp")


def test_a_gguf_is_for_llama_cpp_with_its_own_precision(small_checkpoint: Path, ready_gguf: Path) -> None:
    assert "needs `backend: llama-cpp`" in refusal(small_checkpoint, ready_gguf)
    line = refusal(small_checkpoint, ready_gguf, backend="llama-cpp", llm_precision="q8_0")
    assert "has its own precision" in line


@pytest.mark.parametrize("model", ["nowhere", "/no/such/place", "a/b/c", "acme/model/file.bin"])
def test_what_is_not_there_is_told_with_what_can_be_given(model: str, small_checkpoint: Path) -> None:
    assert f"There is no language model {model}. Give a directory" in refusal(small_checkpoint, model)


def test_a_file_of_weights_is_refused_with_what_to_give(small_checkpoint: Path) -> None:
    file = small_checkpoint / "LLM" / "model.safetensors"
    assert f"{file} is a file. Give its directory" in refusal(small_checkpoint, file)


def test_a_directory_with_a_gguf_names_it(small_checkpoint: Path, ready_gguf: Path) -> None:
    assert f"Give the GGUF file itself: {ready_gguf}" in refusal(small_checkpoint, ready_gguf.parent)
