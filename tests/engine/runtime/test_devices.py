"""What `auto` means, by the machine's hardware."""

import pytest
import torch

from engine.errors import EngineError
from engine.runtime.devices import codec_precision_on, resolve, resolve_for_codec

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


@pytest.mark.parametrize(
    ("cpu", "precision"),
    [
        ({"architecture": "x86_64", "avx2": True}, "float32"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_tile": False, "amx_bf16": False}, "float32"),
        ({"avx512_f": True, "avx512_bf16": True, "amx_tile": False, "amx_bf16": False}, "float32"),
        ({"avx512_f": True, "avx512_bf16": True, "amx_tile": True, "amx_bf16": True}, "bfloat16"),
        ({"architecture": "aarch64", "neon": True}, "float32"),
    ],
)
def test_the_codec_decodes_in_bfloat16_on_cpus_with_matrix_units_for_it(cpu: dict[str, object], precision: str) -> None:
    assert codec_precision_on(cpu) == precision


def test_torch_still_names_the_capability_so() -> None:
    if torch.cpu.get_capabilities()["architecture"] == "x86_64":
        assert isinstance(torch.cpu.get_capabilities()["amx_bf16"], bool)


def test_a_named_precision_stays() -> None:
    assert resolve_for_codec("cpu", "float32") == (torch.device("cpu"), torch.float32)
    assert resolve_for_codec("cpu", "bfloat16") == (torch.device("cpu"), torch.bfloat16)


def test_the_language_model_is_float32_on_any_cpu() -> None:
    assert resolve("cpu", "auto") == (torch.device("cpu"), torch.float32)


@no_gpu
def test_without_cuda_auto_is_the_cpu() -> None:
    assert resolve("auto", "auto")[0] == torch.device("cpu")


@no_gpu
def test_a_missing_device_is_named() -> None:
    with pytest.raises(EngineError, match=r"There is no device cuda:7: torch .* finds 0 CUDA devices"):
        resolve("cuda:7", "auto")
