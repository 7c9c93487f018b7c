"""Resynthesizes the teacher's speech for the decoder's training: at one pitch, aligned with the frames.

    python -m demo.flatten_pitch

Frames of 20 ms do not show the phase of the voice's period, so a vocoder must generate a phase, and learning that takes
days of training. Here every voice has a pitch that is a multiple of 25 Hz, a whole period begins with every second
frame, a token says whether its frame is the first or the second of a pair, and noise repeats with each pair. So the
same sound always has the same waveform, which is quick to learn. The cost is a robot's voice without intonation.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyworld
import torch
import typer
from rich.progress import track
from torch import Tensor

from demo.corpus import SAID
from demo.model import codec_config
from demo.train_speaker import SpeakerTask, Voices, read_pitch
from demo.trainable import trainable
from engine.types import CODEC_SAMPLE_RATE, SAMPLES_PER_TOKEN

STEP = 25.0  # Hz: half the frame rate
LOWEST, HIGHEST = 75.0, 300.0  # Hz
PAIR = 2 * SAMPLES_PER_TOKEN
HOP = 80  # samples between WORLD's frames, 5 ms
FFT, WINDOW = 1024, 320


@cache
def noise() -> Tensor:
    """A pair of frames of noise with power 1."""
    return torch.randn(PAIR, generator=torch.Generator().manual_seed(0))


def pulses(pitch: float) -> Tensor:
    """A pair of frames of pulses at a pitch in Hz, with power 1; pulses can be between samples."""
    harmonics = torch.arange(1, int(CODEC_SAMPLE_RATE / 2 // pitch) + 1)
    times = torch.arange(PAIR) / CODEC_SAMPLE_RATE
    wave = torch.cos(2 * torch.pi * pitch * harmonics[:, None] * times).sum(0)
    return wave / wave.square().mean().sqrt()


def flat(samples: npt.NDArray[np.int16], pitch: float) -> npt.NDArray[np.int16]:
    """The same speech at a constant pitch in Hz, with envelope and aperiodicity by WORLD (Morise et al. 2016)."""
    torch.set_num_threads(1)
    wave = samples.astype(np.float64) / 32_767
    found, times = pyworld.dio(wave, CODEC_SAMPLE_RATE, f0_floor=55, f0_ceil=450)
    envelope = pyworld.cheaptrick(wave, found, times, CODEC_SAMPLE_RATE, fft_size=FFT)
    noisiness = pyworld.d4c(wave, found, times, CODEC_SAMPLE_RATE, fft_size=FFT)
    noisiness[found == 0] = 1
    frames = len(wave) // HOP + 1
    filters = (
        torch.from_numpy(np.sqrt(envelope[:frames] * noisiness[:frames])).float().T,
        torch.from_numpy(np.sqrt(envelope[:frames] * (1 - noisiness[:frames] ** 2).clip(0))).float().T,
    )
    window = torch.hann_window(WINDOW)
    total = torch.zeros(FFT // 2 + 1, frames, dtype=torch.complex64)
    for source, gains in zip((noise(), pulses(pitch)), filters, strict=True):
        excitation = source.repeat(-(-len(wave) // PAIR))[: len(wave)]
        total += gains * torch.stft(excitation, FFT, HOP, WINDOW, window, return_complex=True)[:, :frames]
    spoken = torch.istft(total, FFT, HOP, WINDOW, window, length=len(wave)).numpy()
    spoken *= wave.std() / max(float(spoken.std()), 1e-6)
    made: npt.NDArray[np.int16] = (np.clip(spoken, -1, 1) * 32_767).astype(np.int16)
    return made


def main(
    corpus: Annotated[Path, typer.Option(help="What demo.corpus made.")] = Path("build/demo/corpus"),
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
    kept: Annotated[int, typer.Option(help="Sentences of each voice.")] = 2,
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Flatten several sentences of each voice, at the pitch that its global tokens encode."""
    voices = Voices(corpus)
    said = torch.load(out / "global_tokens.pt", weights_only=True)
    task = SpeakerTask(trainable(codec_config()).speaker_encoder)
    task.load_state_dict(torch.load(out / "speaker.pt", weights_only=True)["speaker"])
    pitch = np.clip(np.rint(read_pitch(task, said, voices) / STEP) * STEP, LOWEST, HIGHEST)
    chosen = np.flatnonzero(np.arange(voices.count) % SAID < kept)
    waves = [(voices.wave(n).numpy() * 32_767).astype(np.int16) for n in chosen.tolist()]
    with ProcessPoolExecutor(workers) as pool:
        results = pool.map(flat, waves, pitch[chosen], chunksize=20)
        made = list(track(results, "Flattening", total=len(waves)))
    partial = out / "flat.partial.npz"
    np.savez(partial, samples=np.concatenate(made), utterances=chosen, pitch=pitch)
    partial.rename(out / "flat.npz")


if __name__ == "__main__":
    typer.run(main)
