"""The wave generator as a dictionary: a frame's sound is a sum of shapes, which overlap with its neighbours'.

Speech with a flat pitch (`demo.flat_speech`) repeats: the same phoneme gives the same frame. A few principal
components describe such a frame, with half of the frame before and half of the frame after it. They fit into the wave
generator's own layers: the first transposed convolution writes each shape in blocks of 64 samples, the last aligns
the blocks, and the layers between do nothing. What is left to learn is the weight of each shape, 50 times a second.
"""

from __future__ import annotations

import torch
from torch import Tensor

from demo.model import BLOCK, CODEC, SHAPES
from engine.codec.decoder import Upsampling, UpsamplingStage, WaveGenerator
from engine.codec.layers import Convolution
from engine.types import SAMPLES_PER_TOKEN

LENGTH = 2 * SAMPLES_PER_TOKEN
EMPHASIS = 0.9
STRAIGHT = 1e4  # a Snake's alpha, at which it does nothing


def frames(wave: Tensor) -> Tensor:
    """Overlapping frames (T, 640) of a wave (320 T,); their overlap-add is the wave again."""
    half = SAMPLES_PER_TOKEN // 2
    window = torch.hann_window(LENGTH)
    return torch.nn.functional.pad(wave, (half, half)).unfold(0, LENGTH, SAMPLES_PER_TOKEN) * window


def overlapped(pieces: Tensor) -> Tensor:
    """The overlap-add of frames (B, T, 640), (B, 320 T)."""
    B, T, _ = pieces.shape
    half = SAMPLES_PER_TOKEN // 2
    whole = torch.zeros(B, T * SAMPLES_PER_TOKEN + LENGTH - SAMPLES_PER_TOKEN)
    first, second = pieces.chunk(2, dim=2)
    whole[:, : T * SAMPLES_PER_TOKEN] += first.flatten(1)
    whole[:, SAMPLES_PER_TOKEN:] += second.flatten(1)
    return whole[:, half : half + T * SAMPLES_PER_TOKEN]


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


def analysis(shapes: Tensor) -> tuple[Tensor, Tensor]:
    """The matrix (SHAPES, 640) that gives a frame's weights of shapes; the deviations of orthonormal components."""
    raised = emphasis()
    scaled = shapes.double() @ raised.T
    deviations = scaled.norm(dim=1)
    return ((scaled @ raised) / deviations.square()[:, None]).float(), deviations.float()


@torch.no_grad()
def build(generator: WaveGenerator, shapes: Tensor) -> None:
    """Set the weights of an unprepared wave generator so that it adds `shapes` (SHAPES, 640), weighted by its input."""
    conv_in, *stages, _, conv_out = generator.model
    assert isinstance(conv_in, Convolution)
    assert isinstance(conv_out, Convolution)
    laid, narrowed, lined = (stage.block[1] for stage in stages if isinstance(stage, UpsamplingStage))
    assert isinstance(laid, Upsampling)
    assert isinstance(narrowed, Upsampling)
    assert isinstance(lined, Upsampling)
    rate = CODEC["decoder"]["rates"][0]
    for name, value in generator.named_parameters():
        value.fill_(STRAIGHT if name.endswith("alpha") else 0)
    conv_in.weight[:, :, 3] = torch.eye(*conv_in.weight.shape[:2])
    # Blocks of 64 samples: a frame's ten begin half a frame, 2.5 of them, before it, so shapes begin 32 samples in.
    padded = torch.nn.functional.pad(shapes, (BLOCK // 2, BLOCK // 2))  # (SHAPES, 704): eleven blocks
    laid.weight[:, :BLOCK] = padded.view(SHAPES, 2 * rate + 1, BLOCK).transpose(1, 2)
    narrowed.weight[:BLOCK, :, 0] = torch.eye(BLOCK)
    lined.weight[torch.arange(BLOCK), 0, torch.arange(BLOCK)] = 1
    conv_out.weight[0, 0, 3] = 1
