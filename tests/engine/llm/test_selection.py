"""Which backend is chosen, by settings and by host."""

import pytest

from engine.config import EngineConfig
from engine.errors import EngineError
from engine.llm.selection import Host, LlamaCpp, Torch, Vllm, choose
from engine.tuning.tables import LanguageModelRow, Tuning

PLAIN = Host(cuda=False, llama=True, vllm=False)
BARE = Host(cuda=False, llama=False, vllm=False)
GPU = Host(cuda=True, llama=True, vllm=True)
GPU_ALONE = Host(cuda=True, llama=True, vllm=False)
CPU_VLLM = Host(cuda=False, llama=True, vllm=True)


def row(backend: str, precision: str, rate: float, divergence: float = 0.001) -> LanguageModelRow:
    return LanguageModelRow.model_validate(
        {"backend": backend, "precision": precision, "rates": {1: rate}, "divergence": divergence}
    )


MEASURED = Tuning(
    host="a processor",
    threads=2,
    date="2026-11-25",
    versions={},
    language_model=(
        row("torch", "float32", 10, 0),
        row("llama-cpp", "q8_0", 30),
        row("torch", "int8", 50),
        row("torch", "bfloat16", 90, 0.02),
    ),
)


@pytest.mark.parametrize(
    ("settings", "host", "chosen"),
    [
        ({}, PLAIN, Torch("int8")),  # bfloat16 is faster, and too far from float32
        ({"backend": "llama-cpp"}, PLAIN, LlamaCpp("q8_0")),
        ({"backend": "torch"}, PLAIN, Torch("int8")),
        ({"llm_precision": "q4_0"}, PLAIN, LlamaCpp("q4_0")),
        ({"llm_precision": "bfloat16", "backend": "torch"}, PLAIN, Torch("bfloat16")),
        ({}, GPU, Vllm("bfloat16")),
        ({"llm_device": "cpu"}, GPU, Torch("int8")),
    ],
)
def test_what_was_fastest_is_chosen_where_the_settings_leave_it_open(
    settings: dict[str, object], host: Host, chosen: Torch | LlamaCpp | Vllm
) -> None:
    assert choose(EngineConfig.model_validate(settings), host, MEASURED) == chosen


@pytest.mark.parametrize(
    ("settings", "host", "chosen"),
    [
        ({}, PLAIN, LlamaCpp("q8_0")),
        ({"max_running": 32}, PLAIN, LlamaCpp("q8_0")),
        ({"backend": "torch"}, PLAIN, Torch("float32")),
        ({"llm_precision": "q4_0"}, PLAIN, LlamaCpp("q4_0")),
        ({"llm_precision": "bfloat16", "backend": "torch"}, PLAIN, Torch("bfloat16")),
        ({"llm_precision": "int8"}, PLAIN, Torch("int8")),
        ({}, BARE, Torch("float32")),
        ({}, GPU, Vllm("bfloat16")),
        ({}, GPU_ALONE, Torch("bfloat16")),
        ({"backend": "torch"}, GPU, Torch("bfloat16")),
        ({"llm_precision": "float32"}, GPU, Vllm("float32")),
        ({}, CPU_VLLM, LlamaCpp("q8_0")),
        ({"backend": "vllm"}, CPU_VLLM, Vllm("float32")),
        ({"llm_device": "cpu"}, GPU, LlamaCpp("q8_0")),
        ({"llm_device": "cuda:1"}, PLAIN, Torch("bfloat16")),
    ],
)
def test_the_choice(settings: dict[str, object], host: Host, chosen: Torch | LlamaCpp | Vllm) -> None:
    assert choose(EngineConfig.model_validate(settings), host) == chosen


@pytest.mark.parametrize("host", [PLAIN, BARE, CPU_VLLM])
def test_the_demo_model_runs_in_torch(host: Host) -> None:
    assert choose(EngineConfig(max_running=16), host, MEASURED, demo=True) == Torch("float32")


@pytest.mark.parametrize(
    ("settings", "host", "message"),
    [
        ({"backend": "llama-cpp"}, BARE, "make llama"),
        ({"backend": "llama-cpp", "llm_device": "cuda"}, GPU, "backend: vllm"),
        ({"backend": "vllm"}, GPU_ALONE, r"pip install 'fast-spark\[vllm\]'"),
        (
            {"backend": "torch", "llm_precision": "q8_0"},
            PLAIN,
            "bfloat16. For q8_0 choose `backend: llama-cpp`",
        ),
        ({"llm_precision": "q8_0"}, GPU, "vllm backend supports .* float32 and bfloat16"),
        ({"backend": "llama-cpp", "llm_precision": "int8"}, PLAIN, "int8 needs torch on a CPU"),
        ({"llm_device": "cuda", "llm_precision": "int8"}, GPU, "llm_device: cpu"),
    ],
)
def test_an_unavailable_choice_is_refused(settings: dict[str, object], host: Host, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        choose(EngineConfig.model_validate(settings), host)


def test_this_machine_has_llama_cpp() -> None:
    assert Host.this().llama
