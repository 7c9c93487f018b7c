"""The wave generator's first weights: a frame's sound is a sum of shapes, which overlap with its neighbours'.

Speech with a flat pitch (`demo.voicing`) repeats: the same phoneme gives the same frame. A few principal
components describe such a frame, with half of the frame before and half of the frame after it. They fit into the wave
generator's own layers: the first transposed convolution writes each shape in blocks of 64 samples, and the last aligns
the blocks. The layers between add nothing at first. Training goes on from there, with all layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from demo.model import BLOCK, CODEC, SHAPES
from engine.codec.activation import Snake
from engine.codec.decoder import ResidualUnit, Upsampling, UpsamplingStage, WaveGenerator
from engine.codec.layers import Convolution
from engine.types import SAMPLES_PER_TOKEN

LENGTH = 2 * SAMPLES_PER_TOKEN
EMPHASIS = 0.9
STRAIGHT = 1e-4  # a Snake's alpha, at which it changes nothing
LOUD = 16.0  # so that a step of the optimizer is small beside the weights, shapes are written so much louder


def frames(wave: Tensor) -> Tensor:
    """Overlapping frames (..., T, 640) of waves (..., 320 T); their overlap-add is the wave again."""
    half = SAMPLES_PER_TOKEN // 2
    window = torch.hann_window(LENGTH, device=wave.device)
    return F.pad(wave, (half, half)).unfold(-1, LENGTH, SAMPLES_PER_TOKEN) * window


def emphasis() -> Tensor:
    """The matrix (640, 640) that raises high frequencies, as hearing does: each sample less most of the one before."""
    return torch.eye(LENGTH, dtype=torch.double) - EMPHASIS * torch.eye(LENGTH, dtype=torch.double).roll(1, 0).tril()


def components(covariance: Tensor) -> Tensor:
    """What frames with a covariance (640, 640) mainly consist of, with their high frequencies raised.

    Returns shapes (SHAPES, 640), whose weights have variance 1.
    """
    raised = emphasis()
    values, vectors = torch.linalg.eigh(raised @ covariance.double() @ raised.T)
    main, deviations = vectors.T.flip(0)[:SHAPES], values.flip(0)[:SHAPES].clamp(min=1e-12).sqrt()
    shapes: Tensor = torch.linalg.solve_triangular(raised, main.T, upper=False).T * deviations[:, None]
    return shapes.float()


def _upsamplings(generator: WaveGenerator) -> list[Upsampling]:
    return [module for module in generator.modules() if isinstance(module, Upsampling)]


@torch.no_grad()
def build(generator: WaveGenerator, shapes: Tensor) -> None:
    """Set an unprepared wave generator's weights, after its first layer's, so that it adds `shapes` (SHAPES, 640).

    Its first layer gives the amount of each. The other layers can learn: each has small weights, or its output does.
    """
    _, *stages, _, conv_out = generator.model
    assert isinstance(conv_out, Convolution)
    for module in generator.modules():
        match module:
            case Snake():
                module.alpha.fill_(1)
            case ResidualUnit():
                first, last = module.block[1], module.block[3]
                assert isinstance(first, Convolution)
                assert isinstance(last, Convolution)
                torch.nn.init.kaiming_uniform_(first.weight, nonlinearity="linear")
                for idle in (first.bias, last.weight, last.bias):
                    idle.zero_()
    for stage in stages:
        if isinstance(stage, UpsamplingStage):
            snake, written = stage.block[0], stage.block[1]
            assert isinstance(snake, Snake)
            assert isinstance(written, Upsampling)
            snake.alpha.fill_(STRAIGHT)
            written.bias.zero_()
            torch.nn.init.normal_(written.weight, std=0.02)
    laid, narrowed, lined = _upsamplings(generator)
    rate = CODEC["decoder"]["rates"][0]
    # Blocks of 64 samples: a frame's ten begin half a frame, 2.5 of them, before it, so shapes begin 32 samples in.
    padded = LOUD * F.pad(shapes, (BLOCK // 2, BLOCK // 2))  # (SHAPES, 704): eleven blocks
    laid.weight[:, :BLOCK] = padded.view(SHAPES, 2 * rate + 1, BLOCK).transpose(1, 2)
    narrowed.weight.zero_()
    narrowed.weight[:BLOCK, :, 0] = torch.eye(BLOCK)
    lined.weight[:, 0] = 0
    lined.weight[torch.arange(BLOCK), 0, torch.arange(BLOCK)] = 1
    last = generator.model[-2]
    assert isinstance(last, Snake)
    last.alpha.fill_(STRAIGHT)
    for idle in (conv_out.weight, conv_out.bias):
        idle.zero_()
    conv_out.weight[0, 0, 3] = 1 / LOUD
