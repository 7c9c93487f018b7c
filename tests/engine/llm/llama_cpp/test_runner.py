"""The llama.cpp backend, for real: beside the torch backend, under load, and with files that are not what they were."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import gguf
import pytest
import torch

from engine.config import EngineConfig, Quantization
from engine.errors import CheckpointError
from engine.llm.base import Chunk, LanguageModel
from engine.llm.llama_cpp import gguf_file
from engine.llm.registry import convert, load_language_model
from engine.tokens.grammar import Grammar
from engine.tokens.vocabulary import Vocabulary
from engine.types import OutputGrammar, Prompt, Sampling
from tests.engine.llm.helpers import generate, generate_staggered, prompts
from tests.waiting import until

GREEDY = Sampling(temperature=0, max_tokens=150)


@asynccontextmanager
async def loaded(
    checkpoint: Path, backend: str = "llama-cpp", precision: str = "float32", running: int = 4
) -> AsyncGenerator[LanguageModel, None]:
    config = EngineConfig.model_validate(
        {"backend": backend, "llm_precision": precision, "llm_device": "cpu", "max_running": running}
        | {"max_context": 1024, "model": str(checkpoint)}
    )
    model = load_language_model(checkpoint, config, Vocabulary(checkpoint / "LLM" / "tokenizer.json"))
    try:
        yield model
    finally:
        await model.close()


async def greedy(checkpoint: Path, backend: str, precision: str, count: int) -> list[list[int]]:
    """Greedy answers to a prompt of each form, which join one after the other."""
    sampling = Sampling(temperature=0, max_tokens=count)
    asked = prompts(Vocabulary(checkpoint / "LLM" / "tokenizer.json"))
    async with loaded(checkpoint, backend, precision) as model:
        return await generate_staggered(model, [(prompt, sampling) for prompt in asked])


@pytest.mark.parametrize("precision", ["float32", "float16"])
async def test_greedy_ids_are_those_of_the_torch_backend(small_checkpoint: Path, precision: str) -> None:
    answers = await greedy(small_checkpoint, "llama-cpp", precision, 150)
    assert answers == await greedy(small_checkpoint, "torch", "float32", 150)
    assert min(len(answer) for answer in answers) > 50


@pytest.mark.slow
async def test_greedy_ids_are_those_of_the_torch_backend_at_full_size(full_checkpoint: Path) -> None:
    answers = await greedy(full_checkpoint, "llama-cpp", "float32", 20)
    assert answers == await greedy(full_checkpoint, "torch", "float32", 20)


SLOW = [pytest.param(precision, marks=pytest.mark.slow) for precision in ("float16", "bfloat16", "q5_0", "q4_0")]


@pytest.mark.parametrize("precision", ["float32", "q8_0", *SLOW])
async def test_a_seed_gives_the_same_ids_in_any_batch(
    small_checkpoint: Path, vocabulary: Vocabulary, precision: str
) -> None:
    asked = prompts(vocabulary)
    asked.append(Prompt(asked[0].ids * 8, OutputGrammar.SPEECH))  # prefilled in several chunks
    sampling = Sampling(seed=3, max_tokens=60)
    async with loaded(small_checkpoint, precision=precision) as model:
        alone = [await generate(model, prompt, sampling) for prompt in asked]
        together = await generate_staggered(model, [(prompt, sampling) for prompt in asked])
    assert together == alone
    assert len({tuple(answer) for answer in alone}) == len(alone)


@pytest.mark.parametrize("precision", ["float32", "q8_0", *SLOW])
async def test_prompts_prefilled_together_have_the_bits_of_each_alone(
    small_checkpoint: Path, vocabulary: Vocabulary, precision: str
) -> None:
    lengths = (82, 5, 64, 130, 82)
    async with loaded(small_checkpoint, precision=precision, running=5) as model:
        runner = model._runner  # type: ignore[attr-defined]
        chunks = [Chunk(slot, [100 + slot + n % 200 for n in range(size)], 0) for slot, size in enumerate(lengths)]
        alone = [runner.prefill([chunk])[0].clone() for chunk in chunks]
        for chunk in chunks:
            runner.release(chunk.slot)
        together = [*runner.prefill(chunks[:3]), *runner.prefill(chunks[3:])]
        assert [torch.equal(a, b) for a, b in zip(alone, together, strict=True)] == [True] * 5


async def test_an_aborted_request_frees_its_cells(small_checkpoint: Path, vocabulary: Vocabulary) -> None:
    prompt = prompts(vocabulary)[0]
    async with loaded(small_checkpoint, running=2) as model:
        runner = model._runner  # type: ignore[attr-defined]
        async with aclosing(model.generate(prompt, Sampling(seed=1, max_tokens=800))) as answer:
            await anext(answer)
            assert runner.held(0) >= len(prompt.ids)
        await until(lambda: runner.held(0) == 0)
        survivor = asyncio.create_task(generate(model, prompt, GREEDY))
        dropped = [model.generate(prompt, Sampling(seed=n, max_tokens=800)) for n in range(20)]
        for one in dropped:  # all in the slot that the survivor does not use
            await anext(one)
            await one.aclose()
        assert await survivor == await generate(model, prompt, GREEDY)
        await until(lambda: runner.held(0) == runner.held(1) == 0)


@pytest.fixture
def checkpoint(small_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    copy = tmp_path / "model"
    shutil.copytree(small_checkpoint, copy, ignore=shutil.ignore_patterns("*.gguf", "*.lock"))
    return copy


def tensors(path: Path) -> dict[str, gguf.GGMLQuantizationType]:
    return {tensor.name: tensor.tensor_type for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("quantization", ["q4_0", "float16"])
def test_a_file_holds_the_audio_head_alone(
    checkpoint: Path, vocabulary: Vocabulary, quantization: Quantization
) -> None:
    path = convert(checkpoint, quantization)
    head = next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == "token_embd.weight")
    rows = len(Grammar(vocabulary).ids)
    assert head.shape.tolist() == [64, gguf_file.padded(rows)]
    assert gguf_file.padded(rows) % 32 == 0
    kinds = tensors(path)
    assert kinds["blk.0.ffn_up.weight"].name == {"q4_0": "Q4_0", "float16": "F16"}[quantization]
    assert kinds["blk.0.attn_q.bias"].name == "F32"


def test_a_file_is_made_once_and_remade_when_the_weights_are_others(checkpoint: Path) -> None:
    reports: list[tuple[int, int]] = []
    path = convert(checkpoint, "q8_0", lambda done, total: reports.append((done, total)))
    assert reports == [(n, len(reports)) for n in range(len(tensors(path)))]
    first = path.stat().st_mtime_ns
    assert convert(checkpoint, "q8_0").stat().st_mtime_ns == first
    weights = checkpoint / "LLM" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-4:] = b"\0\0\0\0"
    weights.write_bytes(content)
    assert convert(checkpoint, "q8_0").stat().st_mtime_ns != first
    assert sorted(file.name for file in path.parent.glob("*.partial")) == []


@pytest.mark.parametrize("damage", ["truncated", "overwritten", "empty"])
async def test_a_damaged_file_is_made_anew(checkpoint: Path, vocabulary: Vocabulary, damage: str) -> None:
    path = convert(checkpoint, "float32")
    content = path.read_bytes()
    damaged = {"truncated": content[: len(content) // 2], "overwritten": b"?" * len(content), "empty": b""}
    path.write_bytes(damaged[damage])
    async with loaded(checkpoint) as model:
        assert await generate(model, prompts(vocabulary)[0], Sampling(temperature=0, max_tokens=5))
    assert path.read_bytes() == content


async def test_a_file_that_llama_cpp_refuses_is_one_error(checkpoint: Path) -> None:
    path = convert(checkpoint, "float32")
    path.write_bytes(path.read_bytes().replace(b"output_norm.weight", b"output_mron.weight"))
    with pytest.raises(CheckpointError, match=r"cannot load .*fast-spark-float32\.gguf.*made again"):
        async with loaded(checkpoint):
            pass


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may write everywhere; for as long as this lasts, it is nobody."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_where_the_checkpoint_cannot_be_written_the_file_is_elsewhere(
    small_checkpoint: Path, vocabulary: Vocabulary
) -> None:
    ids = Grammar(vocabulary).ids
    with TemporaryDirectory() as directory:
        model, elsewhere = Path(directory) / "LLM", Path(directory) / "cache"
        shutil.copytree(small_checkpoint / "LLM", model, ignore=shutil.ignore_patterns("fast-spark*"))
        elsewhere.mkdir()
        modes = {Path(directory): 0o755, elsewhere: 0o777, model / "model.safetensors": 0o644, model: 0o555}
        for path, mode in modes.items():
            path.chmod(mode)
        with ordinary_user():
            path = gguf_file.model_file(model, "weights", ids, "q8_0", elsewhere)
            assert path.parent.parent == elsewhere
            made = path.stat().st_mtime_ns
            assert gguf_file.model_file(model, "weights", ids, "q8_0", elsewhere).stat().st_mtime_ns == made
            with pytest.raises(CheckpointError, match="cannot be written: Permission denied"):
                gguf_file.model_file(model, "weights", ids, "q4_0", Path(directory) / "none" / "such")


FULL_DISK = """
import resource, sys
from pathlib import Path
from engine import CheckpointError, convert
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    convert(sys.argv[1], "float32")
except CheckpointError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing(checkpoint: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(checkpoint)], capture_output=True, text=True, check=True
    )
    assert re.search(r"fast-spark-float32\.gguf cannot be written: .* The disk has \d+\.\d GB free\.", done.stdout)
    assert len(done.stdout.splitlines()) == 1
    assert [file.name for file in (checkpoint / "LLM").glob("fast-spark*") if file.suffix != ".lock"] == []
    assert convert(checkpoint, "float32").is_file()
