"""Language models as people have them, in each backend: greedy ids are those of transformers and peft."""

from pathlib import Path

import gguf
import pytest
import torch
from transformers import Qwen2ForCausalLM

from engine import checkpoints
from engine.config import EngineConfig
from engine.llm.registry import load_language_model
from engine.llm.weights import open_weights
from engine.tokens.vocabulary import Vocabulary
from engine.types import Sampling
from tests.engine.checkpoints.layouts import LORAS, WHOLE, as_gguf, fine_tune, lora, peft_model, untied
from tests.engine.llm.helpers import generate, prompts
from tests.engine.llm.pytorch.test_runner import greedy_by_transformers

COUNT = 40

both = pytest.mark.parametrize("backend", ["torch", "llama-cpp"])


async def greedy(base: Path, language_model: Path, backend: str, precision: str = "float32") -> list[list[int]]:
    """Greedy answers to a prompt of each form, by the configured models."""
    config = EngineConfig.model_validate(
        {"model": str(base), "language_model": str(language_model), "backend": backend, "llm_device": "cpu"}
        | {"llm_precision": precision, "max_running": 2, "max_context": 512}
    )
    found = checkpoints.locate_checkpoint(config)
    vocabulary = Vocabulary(found.language_model.tokenizer)
    model = load_language_model(found, config, vocabulary)
    try:
        sampling = Sampling(temperature=0, max_tokens=COUNT)
        return [await generate(model, prompt, sampling) for prompt in prompts(vocabulary)]
    finally:
        await model.close()


def by_transformers(directory: Path, vocabulary: Vocabulary) -> list[list[int]]:
    model = Qwen2ForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    return greedy_by_transformers(model, vocabulary, COUNT)


@both
@pytest.mark.parametrize("layout", WHOLE)
async def test_a_whole_model_speaks_as_in_transformers(
    layout: str, backend: str, small_checkpoint: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    directory = WHOLE[layout](small_checkpoint, tmp_path / "model")
    root = directory / "LLM" if layout == "folder" else directory
    answers = await greedy(small_checkpoint, directory, backend)
    assert answers == by_transformers(root, vocabulary)
    assert answers != by_transformers(small_checkpoint / "LLM", vocabulary)


@both
@pytest.mark.parametrize("settings", LORAS)
async def test_a_lora_speaks_as_in_peft(
    settings: str, backend: str, small_checkpoint: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    adapter = lora(small_checkpoint, tmp_path / "lora", **LORAS[settings])
    answers = await greedy(small_checkpoint, adapter, backend)
    reference = peft_model(small_checkpoint, adapter)
    assert answers == greedy_by_transformers(reference, vocabulary, COUNT)
    assert answers != by_transformers(small_checkpoint / "LLM", vocabulary)


@pytest.mark.parametrize("settings", sorted(set(LORAS) - {"everything"}))
def test_merged_weights_are_those_of_merge_and_unload(settings: str, small_checkpoint: Path, tmp_path: Path) -> None:
    adapter = lora(small_checkpoint, tmp_path / "lora", **LORAS[settings])
    merged = peft_model(small_checkpoint, adapter).merge_and_unload().state_dict()
    base = Qwen2ForCausalLM.from_pretrained(small_checkpoint / "LLM", dtype=torch.float32).state_dict()
    changed = 0
    with open_weights(small_checkpoint / "LLM", adapter) as file:
        for name, read in file.tensors.items():
            torch.testing.assert_close(read().float(), merged[name], atol=1e-5, rtol=0)
            changed += not torch.equal(read(), base[name])
    assert changed >= 15


async def test_a_whole_checkpoint_with_shards_in_its_llm_is_loaded_too(
    small_checkpoint: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    directory = fine_tune(small_checkpoint, tmp_path / "model", max_shard_size="300KB")
    assert len(list(directory.glob("model-*.safetensors"))) > 2
    (directory / "tokenizer.json").unlink()  # the base's serves
    answers = await greedy(small_checkpoint, directory, "torch")
    assert answers == by_transformers(directory, vocabulary)


@pytest.mark.parametrize("head", ["tied", "untied"])
async def test_a_ready_gguf_speaks_as_the_model_that_it_was_made_from(
    head: str, small_checkpoint: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    make = fine_tune if head == "tied" else untied
    directory = make(small_checkpoint, tmp_path / "model")
    file = as_gguf(directory, tmp_path / "model.gguf")
    answers = await greedy(small_checkpoint, file, "llama-cpp", "auto")
    assert answers == by_transformers(directory, vocabulary)


@pytest.mark.parametrize("kind", ["F16", "Q8_0", "Q5_0", "Q4_0"])
async def test_a_quantized_gguf_follows_the_grammar_with_its_own_names(
    kind: str, small_checkpoint: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    quantization = gguf.GGMLQuantizationType[kind]
    file = as_gguf(small_checkpoint / "LLM", tmp_path / "model.gguf", quantization)
    speech, _, created = await greedy(small_checkpoint, file, "auto", "auto")
    assert set(speech) <= set(vocabulary.semantic.ids)
    assert len(speech) == COUNT
    assert vocabulary.id("<|start_global_token|>") in created


def test_the_tokenizer_of_a_gguf_is_the_one_that_it_was_made_from(
    small_checkpoint: Path, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    file = as_gguf(small_checkpoint / "LLM", tmp_path / "model.gguf")
    config = EngineConfig(model=str(small_checkpoint), language_model=str(file))
    own = Vocabulary(checkpoints.locate_checkpoint(config).language_model.tokenizer)
    text = "It's 12 o'clock — <|im_end|> 你好 e\u0301!"
    assert own.text(text) == vocabulary.text(text)
    assert (own.globals, own.semantic, own.ends) == (vocabulary.globals, vocabulary.semantic, vocabulary.ends)
