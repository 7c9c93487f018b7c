"""Times the forms of the codec's decoder."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
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
LAYER_WINDOWS = (24, 300)  # the shortest and the longest: the order of packed weights may suit one of them alone
ROUNDS = 3
CLEARLY = 0.8  # of the cost: less of a difference is noise
HOPELESS = 4  # times as long as the fastest form so far for the shortest window: the others are not measured


@torch.inference_mode()
def codec_rows(checkpoint: Path) -> Iterator[CodecRow]:
    """Measure the decoder in each precision, then the best one with the weights of some layers as they are.

    Raises CheckpointError.
    """
    rows: list[CodecRow] = []
    for precision in ("float32", "bfloat16"):
        rows.append(_row(checkpoint, CodecForm(getattr(torch, precision)), rows))
        yield rows[-1]
    best = _best(rows)
    plain = _plain(load_network(checkpoint), getattr(torch, best.precision))
    if plain:
        yield _row(checkpoint, CodecForm(getattr(torch, best.precision), frozenset(plain)), rows)


@torch.inference_mode()
def fused_row(
    checkpoint: Path, rows: Sequence[CodecRow], directories: Sequence[Path], seconds: float
) -> CodecRow | None:
    """Measure the best of `rows` with compiled activations.

    They are loaded from `directories`, or built in the last one; None if that takes more than `seconds`.
    """
    best = _best(rows)
    if not kernels.load(best.precision, directories):
        kernels.build(best.precision, directories[-1], seconds)
    fused = kernels.load(best.precision, directories)
    form = CodecForm(getattr(torch, best.precision), frozenset(best.plain), fused)
    return None if fused is None else _row(checkpoint, form, rows)


def _best(rows: Sequence[CodecRow]) -> CodecRow:
    return min((row for row in rows if row.good), key=lambda row: row.cost)


def _row(checkpoint: Path, form: CodecForm, others: Sequence[CodecRow]) -> CodecRow:
    precision: Precision = "float32" if form.dtype == torch.float32 else "bfloat16"
    decode = _decoder(checkpoint, form)
    fastest = min((row.seconds[WINDOWS[0]] for row in others), default=float("inf"))
    seconds: dict[int, float] = {}
    for frames in WINDOWS:
        seconds[frames] = least_seconds(partial(decode, frames)) / frames * TOKENS_PER_SECOND
        if seconds[frames] > HOPELESS * fastest:
            seconds = dict.fromkeys(WINDOWS, seconds[frames])
            break
    snr = None
    if precision != "float32":
        snr = signal_to_noise(_reference(checkpoint), decode(max(WINDOWS)))
    plain = tuple(sorted(form.plain))
    return CodecRow(precision=precision, fused=form.fused is not None, plain=plain, seconds=seconds, snr=snr)


@cache
def _reference(checkpoint: Path) -> Tensor:
    """The longest window in float32."""
    return _decoder(checkpoint, CodecForm(torch.float32))(max(WINDOWS))


def _decoder(checkpoint: Path, form: CodecForm) -> Callable[[int], Tensor]:
    """Decodes that many frames of fixed tokens."""
    network = load_network(checkpoint)
    network.prepare(form)
    rng = np.random.default_rng(0)
    codebooks = network.quantizer.codebook.num_embeddings, network.speaker_encoder.quantizer.codebook_size
    tokens = torch.from_numpy(rng.integers(0, codebooks[0], (1, max(WINDOWS))))
    voice = torch.from_numpy(rng.integers(0, codebooks[1], (1, GLOBAL_TOKENS)))

    def decode(frames: int) -> Tensor:
        samples: Tensor = network.decoder(network.frames(tokens[:, :frames], voice, None), None)
        return samples

    return decode


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
