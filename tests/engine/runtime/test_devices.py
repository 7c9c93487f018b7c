"""What `auto` means, by the machine's hardware."""

import pytest
import torch

from engine.errors import EngineError
from engine.runtime.devices import resolve

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


def test_auto_is_float32_on_any_cpu() -> None:
    assert resolve("cpu", "auto") == (torch.device("cpu"), torch.float32)


@no_gpu
def test_without_cuda_auto_is_the_cpu() -> None:
    assert resolve("auto", "auto")[0] == torch.device("cpu")


@no_gpu
def test_a_missing_device_is_named() -> None:
    with pytest.raises(EngineError, match=r"There is no device cuda:7: torch .* finds 0 CUDA devices"):
        resolve("cuda:7", "auto")
