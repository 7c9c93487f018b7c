"""Times the forms of the codec's decoder."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.codec import kernels
from engine.codec.decoder import Upsampling
from engine.codec.form import CodecForm
from engine.codec.layers import Convolution, can_pack
from engine.codec.loader import load_network
from engine.codec.network import CodecNetwork
from engine.config import Precision
from engine.tuning.tables import CodecRow
from engine.types import GLOBAL_TOKENS, TOKENS_PER_SECOND

WINDOWS = (24, 52, 150)  # frames
LAYER_WINDOWS = (24, 150)
ROUNDS = 3
CLEARLY = 0.8  # of the cost: less of a difference is noise
HOPELESS = 4  # times as long as the fastest form so far for the shortest window: the others are not measured


@torch.inference_mode()
def codec_rows(checkpoint: Path, directories: Sequence[Path]) -> list[CodecRow]:
    """Measure the decoder in each precision, then the best one with compiled activations.

    They are loaded from `directories`, or built in the last one. Raises CheckpointError.
    """
    reference: Tensor | None = None
    rows: list[CodecRow] = []
    for precision in ("float32", "bfloat16"):
        row, samples = _row(checkpoint, precision, CodecForm(getattr(torch, precision)), reference, rows)
        reference = samples if reference is None else reference
        rows.append(row)
    best = min((row for row in rows if row.good), key=lambda row: row.cost)
    if kernels.load(best.precision, directories) or kernels.build(best.precision, directories[-1]):
        form = CodecForm(
            getattr(torch, best.precision), frozenset(best.plain), kernels.load(best.precision, directories)
        )
        rows.append(_row(checkpoint, best.precision, form, reference, rows)[0])
    return rows


def _row(
    checkpoint: Path, precision: Precision, form: CodecForm, reference: Tensor | None, others: Sequence[CodecRow]
) -> tuple[CodecRow, Tensor]:
    network = load_network(checkpoint)
    if form.fused is None:
        form = CodecForm(form.dtype, frozenset(_plain(network, form.dtype)))
    network.prepare(form)
    rng = np.random.default_rng(0)
    codebooks = network.quantizer.codebook.num_embeddings, network.speaker_encoder.quantizer.codebook_size
    tokens = torch.from_numpy(rng.integers(0, codebooks[0], (1, max(WINDOWS))))
    voice = torch.from_numpy(rng.integers(0, codebooks[1], (1, GLOBAL_TOKENS)))

    def decode(frames: int) -> Tensor:
        samples: Tensor = network.decoder(network.frames(tokens[:, :frames], voice, None), None)
        return samples

    fastest = min((row.seconds[WINDOWS[0]] for row in others), default=float("inf"))
    seconds: dict[int, float] = {}
    for frames in WINDOWS:
        seconds[frames] = least_seconds(partial(decode, frames)) / frames * TOKENS_PER_SECOND
        if seconds[frames] > HOPELESS * fastest:
            seconds = dict.fromkeys(WINDOWS, seconds[frames])
            break
    samples = decode(max(WINDOWS))
    snr = None if reference is None else signal_to_noise(reference, samples)
    plain = tuple(sorted(form.plain))
    return CodecRow(precision=precision, fused=form.fused is not None, plain=plain, seconds=seconds, snr=snr), samples


def _plain(network: CodecNetwork, dtype: torch.dtype) -> list[str]:
    """The names of the wave generator's convolutions that are faster with weights that are not packed."""
    if not can_pack(dtype):
        return []
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if name.startswith("decoder.") and isinstance(layer, Convolution | Upsampling) and layer.weight.shape[2] > 1
    }
    return [
        name
        for name, layer in layers.items()
        if _cost(layer, dtype, packed=False) < CLEARLY * _cost(layer, dtype, packed=True)
    ]


def _cost(layer: Convolution | Upsampling, dtype: torch.dtype, *, packed: bool) -> float:
    """The product of the least seconds for a short and a long window."""
    rate, channels = (
        (layer.input_rate, layer.weight.shape[0])
        if isinstance(layer, Upsampling)
        else (layer.rate, layer.weight.shape[1])
    )
    layer = copy.deepcopy(layer)
    layer.prepare(dtype, packed=packed)
    cost = 1.0
    for frames in LAYER_WINDOWS:
        x = torch.randn(1, frames * rate, channels).to(dtype)
        cost *= least_seconds(partial(layer, x))
    return cost


def least_seconds(function: Callable[[], object]) -> float:
    """The least seconds of several calls, after one that is not measured."""
    function()
    least = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        function()
        least = min(least, time.perf_counter() - begin)
    return least


def signal_to_noise(signal: Tensor, found: Tensor) -> float:
    """In dB; infinite if both are the same."""
    noise = (signal - found).square().mean()
    return float(10 * torch.log10(signal.square().mean() / noise))
