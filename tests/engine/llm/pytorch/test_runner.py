"""The torch backend beside transformers' own Qwen2, on the small checkpoint and, slow, on the full-size one."""

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from transformers import Qwen2ForCausalLM

from benchmarks.following import FollowGrammar
from engine.config import EngineConfig
from engine.errors import CheckpointError
from engine.llm.base import Chunk, LanguageModel
from engine.llm.pytorch.attention import PackedAttention
from engine.llm.pytorch.kernels import Kernels, by_pairs, plain
from engine.llm.pytorch.linear import Int8Linear, TorchPrecision
from engine.llm.pytorch.runner import TorchModelRunner
from engine.llm.registry import load_language_model
from engine.llm.weights import Qwen2Config
from engine.runtime.cuda_graphs import bucket
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import Sampling
from tests.engine.llm.helpers import generate, generate_staggered, prompts


def reference(checkpoint: Path, vocabulary: Vocabulary, count: int) -> list[list[int]]:
    """Greedy answers by transformers, without the end token."""
    model = Qwen2ForCausalLM.from_pretrained(checkpoint / "LLM", dtype=torch.float32).eval()
    return greedy_by_transformers(model, vocabulary, count)


def greedy_by_transformers(model: torch.nn.Module, vocabulary: Vocabulary, count: int) -> list[list[int]]:
    """Greedy answers of a model of transformers or peft, without the end token."""
    grammar = Grammar(vocabulary)
    answers = []
    for prompt in prompts(vocabulary):
        output = model.generate(  # type: ignore[operator]
            input_ids=torch.tensor([prompt.ids]),
            do_sample=False,
            max_new_tokens=count,
            logits_processor=[FollowGrammar(grammar, prompt)],
            eos_token_id=list(vocabulary.ends),
        )
        answer = output[0, len(prompt.ids) :].tolist()
        answers.append(answer[:-1] if answer[-1] in vocabulary.ends else answer)
    return answers


@pytest.fixture
async def model(small_checkpoint: Path, vocabulary: Vocabulary) -> AsyncGenerator[LanguageModel, None]:
    config = EngineConfig(max_running=4, llm_device="cpu", llm_precision="float32")
    model = load_language_model(small_checkpoint, config, vocabulary)
    yield model
    await model.close()


async def test_greedy_ids_are_those_of_transformers(
    model: LanguageModel, small_checkpoint: Path, vocabulary: Vocabulary
) -> None:
    greedy = Sampling(temperature=0, max_tokens=150)
    answers = await generate_staggered(model, [(prompt, greedy) for prompt in prompts(vocabulary)])
    assert answers == reference(small_checkpoint, vocabulary, 150)
    assert min(len(answer) for answer in answers) > 50


@pytest.mark.slow
async def test_greedy_ids_are_those_of_transformers_at_full_size(full_checkpoint: Path) -> None:
    vocabulary = Vocabulary(full_checkpoint / "LLM" / "tokenizer.json")
    config = EngineConfig(max_running=3, llm_device="cpu", llm_precision="float32")
    model = load_language_model(full_checkpoint, config, vocabulary)
    try:
        greedy = Sampling(temperature=0, max_tokens=20)
        answers = await asyncio.gather(*(generate(model, prompt, greedy) for prompt in prompts(vocabulary)))
    finally:
        await model.close()
    assert answers == reference(full_checkpoint, vocabulary, 20)


async def test_a_created_voice_answers_with_a_voice_and_then_speech(
    model: LanguageModel, vocabulary: Vocabulary
) -> None:
    prompt = prompts(vocabulary)[2]
    answer = await generate(model, prompt, Sampling(seed=3, max_tokens=80))
    start = answer.index(vocabulary.id("<|start_global_token|>"))
    assert all(token in vocabulary.globals.ids for token in answer[start + 1 : start + 33])
    assert answer[start + 33] == vocabulary.id("<|end_global_token|>")
    assert answer[start + 34] == vocabulary.id("<|start_semantic_token|>")
    assert all(token in vocabulary.semantic.ids for token in answer[start + 35 :])
    assert len(answer) > start + 35


async def test_the_same_seed_gives_the_same_ids_whatever_else_runs(
    model: LanguageModel, vocabulary: Vocabulary
) -> None:
    prompt = prompts(vocabulary)[0]
    seeded = Sampling(seed=11, max_tokens=60)
    alone = await generate(model, prompt, seeded)
    asked = [(prompt, Sampling(seed=n, max_tokens=40 + 10 * n)) for n in range(3)]
    among_others, *rest = await generate_staggered(model, [(prompt, seeded), *asked])
    assert among_others == alone
    assert all(answer[:40] != alone[:40] for answer in rest)


async def test_without_a_seed_answers_differ(model: LanguageModel, vocabulary: Vocabulary) -> None:
    prompt = prompts(vocabulary)[0]
    first, second = [await generate(model, prompt, Sampling(max_tokens=30)) for _ in range(2)]
    assert first != second


NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
ON_DEVICES = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])


def runner(
    checkpoint: Path,
    vocabulary: Vocabulary,
    precision: TorchPrecision = "float32",
    *,
    device: str = "cpu",
    fixed: bool = False,
    packed: PackedAttention | None = None,
    kernels: Kernels | None = None,
) -> TorchModelRunner:
    """One with five slots."""
    return TorchModelRunner(
        checkpoint / "LLM",
        Grammar(vocabulary).ids,
        slots=5,
        context=400,
        device=torch.device(device),
        precision=precision,
        fixed=fixed,
        packed=packed,
        kernels=kernels,
    )


def prefill(runner: TorchModelRunner, *chunks: tuple[int, Sequence[int], int]) -> torch.Tensor:
    """The logits after chunks given as slot, ids and start."""
    return runner.prefill([Chunk(*chunk) for chunk in chunks])


@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.05), ("int8", 0.08), ("int4", 0.4)])
def test_a_precision_is_close_to_float32(
    small_checkpoint: Path, vocabulary: Vocabulary, precision: TorchPrecision, most: float
) -> None:
    ids = prompts(vocabulary)[0].ids
    errors = []
    runners = [runner(small_checkpoint, vocabulary, name) for name in ("float32", precision)]
    exact, rounded = (prefill(one, (0, ids, 0)).float() for one in runners)
    errors.append((exact - rounded).norm() / exact.norm())
    exact, rounded = (one.decode([0], [5], [len(ids)]).float() for one in runners)
    errors.append((exact - rounded).norm() / exact.norm())
    assert all(0 < error < most for error in errors), errors


def test_a_prompt_in_chunks_is_the_prompt_in_one(small_checkpoint: Path, vocabulary: Vocabulary) -> None:
    ids = prompts(vocabulary)[1].ids
    model = runner(small_checkpoint, vocabulary)
    whole = prefill(model, (0, ids, 0))
    prefill(model, (1, ids[:17], 0))
    prefill(model, (1, ids[17:60], 17))
    torch.testing.assert_close(prefill(model, (1, ids[60:], 60)), whole, atol=1e-5, rtol=0)


def test_fixed_shapes_give_what_exact_ones_give(small_checkpoint: Path, vocabulary: Vocabulary) -> None:
    """With idle slots between and after those that run, and with sequences longer than the least length."""
    exact, fixed = (runner(small_checkpoint, vocabulary, fixed=fixed) for fixed in (False, True))
    ids = list(range(100, 360))
    for each in (exact, fixed):  # of slot 3 a part of its prompt, prefilled before and after the steps
        prefill(each, (0, ids[:250], 0), (1, ids[:9], 0), (2, ids[:40], 0), (3, ids[:17], 0))
    for n in range(10):
        step = [0, 2], [n, 7 * n], [250 + n, 40 + n]
        torch.testing.assert_close(fixed.decode(*step), exact.decode(*step), atol=1e-5, rtol=0)
    late = [prefill(each, (3, ids[17:60], 17)) for each in (exact, fixed)]
    torch.testing.assert_close(late[1], late[0], atol=1e-5, rtol=0)
    step = [0, 1, 2, 3], [1, 2, 3, 4], [260, 9, 50, 60]
    torch.testing.assert_close(fixed.decode(*step), exact.decode(*step), atol=1e-5, rtol=0)


def packed_in_a_loop(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bounds: torch.Tensor, longest: int
) -> torch.Tensor:
    """A PackedAttention for any device and precision."""
    assert longest == bounds.diff().max()
    prompts = []
    for a, b in pairwise(bounds.tolist()):
        own = (x[None, a:b].transpose(1, 2) for x in (q, k, v))
        prompts.append(F.scaled_dot_product_attention(*own, is_causal=True, enable_gqa=True)[0])
    return torch.cat([prompt.transpose(0, 1) for prompt in prompts])


def check_packed(one_by_one: TorchModelRunner, packed: TorchModelRunner, most: float) -> None:
    """Prompts that begin, among parts of others: the logits after them and after a step."""
    ids = [100 + n % 200 for n in range(390)]
    for each in (one_by_one, packed):
        prefill(each, (2, ids[:300], 0))
    chunks = (2, ids[300:340], 300), (0, ids[5:75], 0), (3, ids[9:10], 0), (1, ids[:130], 0)
    expected, found = (prefill(each, *chunks).float() for each in (one_by_one, packed))
    assert (found - expected).norm() <= most * expected.norm()
    step = [1, 0, 3, 2], [1, 2, 3, 4], [130, 70, 1, 340]
    expected, found = (each.decode(*step).float() for each in (one_by_one, packed))
    assert (found - expected).norm() <= most * expected.norm()


def test_whole_prompts_in_one_call_are_those_prompts(small_checkpoint: Path, vocabulary: Vocabulary) -> None:
    one_by_one, packed = (runner(small_checkpoint, vocabulary, packed=way) for way in (None, packed_in_a_loop))
    check_packed(one_by_one, packed, 1e-5)


@NEEDS_CUDA
def test_flash_attention_of_whole_prompts_on_a_gpu(small_checkpoint: Path, vocabulary: Vocabulary) -> None:
    one_by_one, packed = (
        runner(small_checkpoint, vocabulary, "bfloat16", device="cuda", packed=way) for way in (packed_in_a_loop, None)
    )
    check_packed(one_by_one, packed, 0.03)


@ON_DEVICES
def test_kernels_in_the_form_for_the_compiler_give_what_torchs_own_give(
    small_checkpoint: Path, vocabulary: Vocabulary, device: str
) -> None:
    """On a GPU they are compiled, and recorded."""
    config = Qwen2Config.from_file(small_checkpoint / "LLM" / "config.json")
    own, other = (
        runner(small_checkpoint, vocabulary, device=device, fixed=True, kernels=kernels)
        for kernels in (plain(config), by_pairs(config) if device == "cpu" else None)
    )
    ids = list(range(100, 360))
    for each in (own, other):
        prefill(each, (0, ids[:250], 0), (1, ids[:9], 0), (2, ids[:40], 0))
    for slots in ([0], [0, 1], [2, 0, 1]):
        step = slots, [5] * len(slots), [[250, 9, 40][slot] for slot in slots]
        torch.testing.assert_close(other.decode(*step), own.decode(*step), atol=1e-4, rtol=0)


@NEEDS_CUDA
async def test_recorded_steps_give_the_ids_of_transformers(small_checkpoint: Path, vocabulary: Vocabulary) -> None:
    config = EngineConfig(max_running=3, backend="torch", llm_device="cuda", llm_precision="float32")
    model = load_language_model(small_checkpoint, config, vocabulary)
    greedy = Sampling(temperature=0, max_tokens=150)
    answers = await asyncio.gather(*(generate(model, prompt, greedy) for prompt in prompts(vocabulary)))
    await model.close()
    assert answers == reference(small_checkpoint, vocabulary, 150)


@pytest.mark.parametrize(("size", "expected"), [(1, 1), (2, 2), (3, 4), (5, 8), (9, 12), (12, 12)])
def test_buckets_are_powers_of_two_and_the_most_there_is(size: int, expected: int) -> None:
    assert bucket(size, 1, 12) == expected


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8", "int4"])
def test_a_sequence_has_the_same_bits_in_any_batch(
    small_checkpoint: Path, vocabulary: Vocabulary, precision: TorchPrecision
) -> None:
    """Its prompt alone, and divided among others; its steps alone, and with shorter and longer ones beside it."""
    alone, among = (runner(small_checkpoint, vocabulary, precision) for _ in range(2))
    ids = [100 + n % 200 for n in range(390)]
    expected = [prefill(alone, (0, ids[:150], 0))[0].clone()]
    prefill(among, (4, ids[:128], 0), (0, ids[3:63], 0))
    found = [prefill(among, (1, ids[:390], 0), (4, ids[128:150], 128), (2, ids[9:10], 0))[1].clone()]
    for n in range(64):
        expected.append(alone.decode([0], [n], [150 + n])[0].clone())
        others = [[4], [0, 4], [1, 4, 2], [2, 0, 1, 4]][n % 4]
        places = {0: 60 + n, 1: 390 + n % 9, 2: 1 + n, 4: 150 + n}
        logits = among.decode(others, [n] * len(others), [places[slot] for slot in others])
        found.append(logits[others.index(4)].clone())
    assert [n for n, (a, b) in enumerate(zip(expected, found, strict=True)) if not torch.equal(a, b)] == []


def test_both_kernels_for_8_bits_give_the_same_bits() -> None:
    torch.manual_seed(0)
    torch.backends.quantized.engine = "fbgemm"
    linear = torch.nn.Linear(896, 200)
    fbgemm, onednn = Int8Linear(linear, None), Int8Linear(linear, 1)
    for rows in (1, 2, 7, 64, 200):
        x = torch.randn(rows, 896)
        assert torch.equal(fbgemm(x), onednn(x))
    assert (fbgemm(x) - linear(x)).norm() < 0.02 * linear(x).norm()


@pytest.mark.parametrize("precision", ["int8", "int4"])
async def test_a_precision_speaks_by_its_name_and_keeps_its_seeds(
    small_checkpoint: Path, vocabulary: Vocabulary, precision: Literal["int8", "int4"]
) -> None:
    model = load_language_model(small_checkpoint, EngineConfig(llm_precision=precision, llm_device="cpu"), vocabulary)
    prompt, seeded = prompts(vocabulary)[0], Sampling(seed=11, max_tokens=60)
    alone = await generate(model, prompt, seeded)
    asked = [(prompt, Sampling(seed=n, max_tokens=40 + 10 * n)) for n in range(5)]
    among_others, *_ = await generate_staggered(model, [(prompt, seeded), *asked])
    await model.close()
    assert among_others == alone
    assert len(alone) == 60
    assert all(token in vocabulary.semantic.ids for token in alone)


@pytest.fixture
def broken(small_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, whose language model a test breaks."""
    return Path(
        shutil.copytree(small_checkpoint, tmp_path / "model", ignore=shutil.ignore_patterns("*.gguf", "*.lock"))
    )


def load(checkpoint: Path, vocabulary: Vocabulary) -> None:
    load_language_model(checkpoint, EngineConfig(llm_device="cpu"), vocabulary)


def test_a_missing_tensor_is_named(broken: Path, vocabulary: Vocabulary) -> None:
    file = broken / "LLM" / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    safetensors.torch.save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"model.safetensors has no tensor model.layers.1.mlp.up_proj.weight"):
        load(broken, vocabulary)


def test_a_misshapen_tensor_is_named(broken: Path, vocabulary: Vocabulary) -> None:
    file = broken / "LLM" / "model.safetensors"
    tensors = safetensors.torch.load_file(file)
    tensors["model.norm.weight"] = torch.zeros(7)
    safetensors.torch.save_file(tensors, file)
    with pytest.raises(CheckpointError, match=r"model.norm.weight has shape \(7,\), not \(64,\)"):
        load(broken, vocabulary)


def test_a_truncated_file_is_named(broken: Path, vocabulary: Vocabulary) -> None:
    file = broken / "LLM" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"model.safetensors cannot be read"):
        load(broken, vocabulary)


@pytest.mark.parametrize("change", [{"hidden_size": "many"}, {"num_hidden_layers": None}])
def test_a_wrong_configuration_is_named(broken: Path, vocabulary: Vocabulary, change: dict[str, object]) -> None:
    file = broken / "LLM" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(CheckpointError, match=f"config.json is not a Qwen2 configuration: {next(iter(change))}"):
        load(broken, vocabulary)


def test_a_vocabulary_too_small_for_the_tokenizer_is_named(broken: Path, vocabulary: Vocabulary) -> None:
    config, weights = broken / "LLM" / "config.json", broken / "LLM" / "model.safetensors"
    config.write_text(json.dumps({**json.loads(config.read_text()), "vocab_size": 5000}))
    tensors = safetensors.torch.load_file(weights)
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:5000].contiguous()
    safetensors.torch.save_file(tensors, weights)
    with pytest.raises(CheckpointError, match=r"5000 rows, but the tokenizer has the id"):
        load(broken, vocabulary)
