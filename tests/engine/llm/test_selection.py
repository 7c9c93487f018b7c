"""Which backend is chosen, by settings and by host."""

import pytest

from engine.config import EngineConfig
from engine.errors import EngineError
from engine.llm.selection import Host, LlamaCpp, Torch, Vllm, choose

PLAIN = Host(cuda=False, amx=False, llama=True, vllm=False)
AMX = Host(cuda=False, amx=True, llama=True, vllm=False)
BARE = Host(cuda=False, amx=False, llama=False, vllm=False)
GPU = Host(cuda=True, amx=True, llama=True, vllm=True)
GPU_ALONE = Host(cuda=True, amx=True, llama=True, vllm=False)
CPU_VLLM = Host(cuda=False, amx=False, llama=True, vllm=True)


@pytest.mark.parametrize(
    ("settings", "host", "chosen"),
    [
        ({}, PLAIN, LlamaCpp("q8_0")),
        ({"max_running": 32}, PLAIN, LlamaCpp("q8_0")),
        ({}, AMX, LlamaCpp("q8_0")),
        ({"max_running": 9}, AMX, Torch("bfloat16")),
        ({"max_running": 9, "backend": "llama-cpp"}, AMX, LlamaCpp("q8_0")),
        ({"backend": "torch"}, AMX, Torch("float32")),
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
    assert choose(EngineConfig.model_validate(settings), host, demo=False) == chosen


@pytest.mark.parametrize("host", [PLAIN, BARE, AMX, CPU_VLLM])
def test_the_demo_model_runs_in_torch(host: Host) -> None:
    assert choose(EngineConfig(max_running=16), host, demo=True) == Torch("float32")


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
        choose(EngineConfig.model_validate(settings), host, demo=False)


def test_this_machine_has_llama_cpp() -> None:
    assert Host.this().llama
