"""The decoder's convolutions, computed another way than they are published, give the same."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from engine.codec.activation import Snake
from engine.codec.decoder import Upsampling
from engine.codec.layers import Convolution


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


def randomise(layer: nn.Module) -> None:
    for parameter in layer.requires_grad_(False).parameters():
        parameter.normal_(0, 0.1)


def as_on_a_gpu(layer: Convolution | Upsampling) -> None:
    """Undo what oneDNN did to the weights: only a CPU has that."""
    if layer.weight.is_mkldnn:
        layer.weight = nn.Parameter(layer.weight.to_dense())


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("kernel_size", "dilation", "groups"), [(7, 1, 1), (7, 9, 1), (7, 1, 8), (1, 1, 1), (3, 3, 2)])
@torch.inference_mode()
def test_a_convolution(kernel_size: int, dilation: int, groups: int, packed: bool) -> None:
    layer = Convolution(16, 24, kernel_size, dilation, groups)
    randomise(layer)
    x = torch.randn(2, 30, 16)
    padding = dilation * (kernel_size // 2)
    expected = F.conv1d(
        x.transpose(1, 2), layer.weight, layer.bias, padding=padding, dilation=dilation, groups=groups
    ).transpose(1, 2)
    layer.prepare(torch.float32, packed=True)
    if not packed:
        as_on_a_gpu(layer)
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer(x[:, :1]), layer(torch.cat([x[:, :1], torch.zeros(2, 40, 16)], dim=1))[:, :1])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("kernel_size", "rate"), [(16, 8), (11, 5), (8, 4), (4, 2), (5, 5), (3, 1), (9, 1), (10, 2)])
@torch.inference_mode()
def test_a_transposed_convolution(kernel_size: int, rate: int, packed: bool) -> None:
    layer = Upsampling(16, 8, kernel_size, rate)
    randomise(layer)
    x = torch.randn(2, 30, 16)
    padding = (kernel_size - rate) // 2
    expected = F.conv_transpose1d(x.transpose(1, 2), layer.weight, layer.bias, stride=rate, padding=padding).transpose(
        1, 2
    )
    assert expected.shape == (2, 30 * rate, 8)
    layer.prepare(torch.float32, packed=True)
    if not packed:
        as_on_a_gpu(layer)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("shape", [(1, 7, 96), (3, Snake.BLOCK // 96 + 5, 96)])  # the latter in several blocks
def test_snake(shape: tuple[int, int, int]) -> None:
    snake = Snake(shape[-1]).requires_grad_(False)
    snake.alpha.uniform_(0.1, 3)
    x = torch.randn(shape)
    kept = x.clone()
    alpha = snake.alpha.view(-1).double()
    expected = x + (alpha * x).sin() ** 2 / (alpha + 1e-9)
    torch.testing.assert_close(snake(x, torch.float32), expected.float())
    torch.testing.assert_close(snake(x, torch.bfloat16), expected.bfloat16(), rtol=2**-7, atol=1e-6)
    assert torch.equal(x, kept)
