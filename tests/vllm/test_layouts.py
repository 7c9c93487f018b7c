"""A LoRA and an untied head in vLLM: it loads a merged copy, and answers as the torch backend does."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from engine import checkpoints
from engine.config import EngineConfig
from engine.llm.registry import load_language_model
from engine.tokens.vocabulary import Vocabulary
from engine.types import Sampling
from tests.engine.llm.helpers import generate, prompts

GREEDY = Sampling(temperature=0, max_tokens=60)


@pytest.fixture
def checkpoint(small_checkpoint: Path, tmp_path: Path) -> Path:
    """The small checkpoint with wider heads (vLLM's CPU build has no kernel for width 16), and an untied head."""
    directory = Path(shutil.copytree(small_checkpoint, tmp_path / "base"))
    file = directory / "LLM" / "config.json"
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": False}
    file.write_text(json.dumps(json.loads(file.read_text()) | heads))
    weights = directory / "LLM" / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    noise = torch.empty_like(tensors["model.embed_tokens.weight"]).normal_(0, 0.02, generator=torch.Generator())
    safetensors.torch.save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"] + noise}, weights)
    return directory


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A LoRA of two projections, as peft writes it; peft is not installed beside vLLM."""
    directory = tmp_path / "lora"
    directory.mkdir()
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "o_proj"]}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for layer in range(3):
        for name in ("q_proj", "o_proj"):
            for part, shape in (("A", (4, 64)), ("B", (64, 4))):
                key = f"base_model.model.model.layers.{layer}.self_attn.{name}.lora_{part}.weight"
                tensors[key] = torch.empty(shape).normal_(0, 0.2, generator=generator)
    safetensors.torch.save_file(tensors, directory / "adapter_model.safetensors")
    return directory


async def answers(base: Path, adapter: Path | None, backend: str) -> list[list[int]]:
    config = EngineConfig.model_validate(
        {"model": str(base), "language_model": adapter and str(adapter), "backend": backend, "llm_device": "cpu"}
        | {"llm_precision": "float32", "max_running": 4, "max_context": 1024}
    )
    found = checkpoints.locate_checkpoint(config)
    vocabulary = Vocabulary(found.language_model.tokenizer)
    model = await asyncio.to_thread(load_language_model, found, config, vocabulary)
    try:
        return [await generate(model, prompt, GREEDY) for prompt in prompts(vocabulary)]
    finally:
        await model.close()


async def test_a_lora_on_an_untied_model_speaks_as_in_torch(checkpoint: Path, adapter: Path) -> None:
    spoken = await answers(checkpoint, adapter, "vllm")
    assert spoken == await answers(checkpoint, adapter, "torch")
    assert spoken != await answers(checkpoint, None, "torch")
