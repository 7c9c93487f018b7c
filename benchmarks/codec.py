"""The decoder's speed: `python -m benchmarks.codec CHECKPOINT`, run in the repository with a full-size checkpoint.

    fast-spark models synthesize DIR --size full
    python -m benchmarks.codec DIR

All forms of the decoder decode the same windows in turn, in one process, so that other load on the machine affects all
of them. Compare only figures of one run. With OMP_NUM_THREADS=1 they are the thread's CPU time, for a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from engine.codec import kernels
from engine.codec.activation import Snake
from engine.codec.bicodec import BiCodec
from engine.codec.decoder import WaveGenerator
from engine.codec.features import FEATURE_LAYERS
from engine.codec.form import FLOAT32, CodecForm
from engine.codec.layers import Convolution
from engine.codec.loader import load_features, load_network
from engine.codec.selection import kernel_directories
from engine.codec.windows import WindowPlan, Windows
from engine.types import GLOBAL_TOKENS, TOKENS_PER_SECOND, Passage, Samples, TokenIds
from server.bench.markdown import record

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
FULL_CODEBOOK = 8192  # semantic tokens at full size
Decode = Callable[[TokenIds, slice], Samples]


def golden(codebook_size: int) -> dict[str, Any]:
    """The reference implementation's numbers for the synthetic checkpoint with this codebook, and the golden clip."""
    size = "full" if codebook_size == FULL_CODEBOOK else "small"
    with np.load(GOLDEN / "small.npz") as small, np.load(GOLDEN / f"{size}.npz") as numbers:
        return {"wav_16k": small["wav_16k"], **numbers}


def signal_to_noise(signal: Samples, found: Samples) -> float:
    """In dB."""
    return float(10 * np.log10(np.mean(signal**2) / np.mean((signal - found) ** 2)))


class Published(nn.Module):
    """The wave generator as in the reference implementation: one-dimensional, in one precision."""

    def __init__(self, generator: WaveGenerator) -> None:
        super().__init__()
        self.generator = generator  # not prepared

    @property
    def receptive_radius(self) -> int:
        return self.generator.receptive_radius

    def forward(self, x: Tensor, lengths: None) -> Tensor:
        layers: list[Any] = list(self.generator.model)
        conv_in, *stages, snake, conv_out = layers
        x = self.convolve(conv_in, x.transpose(1, 2).to(conv_in.weight.dtype))
        for stage in stages:
            before, up, *units = stage.block
            x = F.conv_transpose1d(self.activate(before, x), up.weight, up.bias, stride=up.rate, padding=up.padding)
            for unit in units:
                snake_1, dilated, snake_2, pointwise = unit.block
                h = self.activate(snake_2, self.convolve(dilated, self.activate(snake_1, x)))
                x = x + self.convolve(pointwise, h)
        wave = torch.tanh(self.convolve(conv_out, self.activate(snake, x)))  # (B, 1, samples)
        return wave[:, 0].float()

    def convolve(self, layer: Convolution, x: Tensor) -> Tensor:
        return F.conv1d(x, layer.weight, layer.bias, padding=layer.padding, dilation=layer.dilation)

    def activate(self, snake: Snake, x: Tensor) -> Tensor:
        return x + (snake.alpha * x).sin().square() / (snake.alpha + 1e-9)


def published(checkpoint: Path, dtype: torch.dtype) -> BiCodec:
    generator = load_network(checkpoint).decoder
    codec = BiCodec.from_checkpoint(checkpoint)
    codec.network.decoder = Published(generator.to(dtype))  # type: ignore[assignment]
    return codec


def fused(checkpoint: Path, dtype: torch.dtype) -> BiCodec | None:
    """Our decoder with compiled activations; None if they have not been built, see `fast-spark tune`."""
    activations = kernels.load("bfloat16" if dtype == torch.bfloat16 else "float32", kernel_directories())
    if activations is None:
        return None
    return BiCodec.from_checkpoint(checkpoint, form=CodecForm(dtype, fused=activations))


def streamed(decode: Decode, tokens: TokenIds) -> None:
    """Decode a sentence in the windows of the default plan."""
    windows = Windows(WindowPlan())
    while window := windows.next(len(tokens), ended=True):
        kept = slice(window.keep_start - window.start, window.keep_end - window.start)
        decode(tokens[window.start : window.end], kept)


def least_seconds(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least seconds of each function; all are measured in turn."""
    seconds = dict.fromkeys(functions, float("inf"))
    # A single thread's CPU time depends little on the machine's other load.
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    for _ in track(range(rounds), "Measuring", console=Console(stderr=True), transient=True):
        for name, function in functions.items():
            begin = clock()
            function()
            seconds[name] = min(seconds[name], clock() - begin)
    return seconds


def forms_table(checkpoint: Path, frames: list[int], rounds: int) -> Table:
    """Each form of the decoder: seconds per second of audio, and signal to noise on the golden tokens."""
    forms = {
        f"{name}, {str(dtype).removeprefix('torch.')}": codec
        for dtype in (torch.float32, torch.bfloat16)
        for name, form in (
            ("published form", published),
            ("ours", lambda path, dtype: BiCodec.from_checkpoint(path, form=CodecForm(dtype))),
            ("ours, activations compiled", fused),
        )
        if (codec := form(checkpoint, dtype)) is not None
    }
    codebook_size = next(iter(forms.values())).codebook_size
    numbers = golden(codebook_size)
    voice, semantic, wave = (numbers[name] for name in ("global_tokens", "decode_semantic_tokens", "decode_wave"))
    noise = {name: signal_to_noise(wave, codec.decode(semantic, voice)) for name, codec in forms.items()}
    table = Table("form", *(f"{count} frames" for count in frames), "signal to noise", title="s per s of audio")
    rows: dict[str, list[str]] = {name: [name] for name in forms}
    for count in frames:
        tokens = np.random.default_rng(count).integers(0, codebook_size, count)
        for codec in forms.values():
            codec.decode(tokens, voice)
        functions: dict[str, Callable[[], object]] = {
            name: partial(codec.decode, tokens, voice) for name, codec in forms.items()
        }
        for name, seconds in least_seconds(functions, rounds).items():
            rows[name].append(f"{seconds / count * TOKENS_PER_SECOND:.3f}")
    for name, row in rows.items():
        table.add_row(*row, f"{noise[name]:.1f} dB")
    return table


def parts_table(checkpoint: Path, rounds: int) -> Table:
    """The cost of each part of decoding, and of streaming and padding compared with a whole decode."""
    codec = BiCodec.from_checkpoint(checkpoint)
    network = codec.network
    count = 500
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, codec.codebook_size, count)
    voice = rng.integers(0, codec.global_codebook_size, GLOBAL_TOKENS)
    width = network.prenet.linear.out_features
    latent, d_vector = torch.randn(1, count, network.prenet.linear_pre.in_features), torch.randn(1, width)
    frames = torch.randn(1, count, width)
    even, padded = [Passage(tokens[:100], voice)] * 4, [Passage(tokens[:length], voice) for length in (100, 99, 98, 97)]
    functions: dict[str, Callable[[], object]] = {
        "prenet": lambda: network.prenet(latent, d_vector, None),
        "wave generator": lambda: network.decoder(frames, None),
        "whole decode": lambda: codec.decode(tokens, voice),
        "the same in the default windows": lambda: streamed(lambda part, kept: codec.decode(part, voice, kept), tokens),
        "4 x 2 s in a batch": lambda: codec.decode_batch(even),
        "the same, padded": lambda: codec.decode_batch(padded),
    }
    with torch.inference_mode():
        seconds = least_seconds(functions, rounds)
    audio = dict.fromkeys(functions, count / TOKENS_PER_SECOND) | {"4 x 2 s in a batch": 8.0, "the same, padded": 7.88}
    table = Table("part, float32", "s per s of audio", title=f"{count / TOKENS_PER_SECOND:.0f} s of speech")
    for name, value in seconds.items():
        table.add_row(name, f"{value / audio[name]:.3f}")
    return table


@torch.inference_mode()
def encoder_table(checkpoint: Path) -> Table:
    """The share of the golden clip's semantic tokens that stay the same with wav2vec2 in bfloat16."""
    network = load_network(checkpoint)
    numbers = golden(network.quantizer.codebook.num_embeddings)
    clip, expected = torch.tensor(numbers["wav_16k"]), numbers["semantic_tokens"]
    network.prepare(FLOAT32)
    features = load_features(checkpoint)
    table = Table("encoder", "same tokens", title="the golden clip")
    exact, _ = features([clip])
    features.to(torch.bfloat16)
    # The same features, except for the precision of wav2vec2 and of its input.
    wav = F.layer_norm(clip, clip.shape, eps=1e-7).to(torch.bfloat16)[None]
    states = features.wav2vec2(wav, output_hidden_states=True).hidden_states
    coarse = torch.stack([states[layer].float() for layer in FEATURE_LAYERS]).mean(dim=0)
    for name, value in (("float32", exact), ("wav2vec2 in bfloat16", coarse)):
        tokens = network.quantizer.tokens(network.encoder(value, None))[0].numpy()
        table.add_row(name, f"{np.mean(tokens == expected):.1%}")
    return table


def main(
    checkpoint: Annotated[Path, typer.Argument(help="A synthetic checkpoint, of full size for meaningful figures.")],
    frames: Annotated[list[int], typer.Option(help="Windows to decode, in frames of 20 ms.")] = [24, 150],  # noqa: B006
    rounds: Annotated[int, typer.Option(help="Rounds; the least time of each form counts.")] = 5,
    file: Annotated[Path | None, typer.Option("--record", help="A Markdown file to append the tables to.")] = None,
) -> None:
    """Print the tables."""
    console = Console()
    console.print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {torch.cpu.get_capabilities()['cpu_name']}"
    )
    tables = [encoder_table(checkpoint), parts_table(checkpoint, rounds), forms_table(checkpoint, frames, rounds)]
    for table in tables:
        console.print(table)
    if file is not None:
        record(file, "python -m benchmarks.codec DIR", tables)


if __name__ == "__main__":
    typer.run(main)
