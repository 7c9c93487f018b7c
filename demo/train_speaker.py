"""The first stage: trains the speaker encoder to encode a voice's pitch and timbre in 32 global tokens.

    python -m demo.train_speaker

From one sentence it predicts the mean spectrum and the median pitch of all sentences of the voice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from demo.corpus import SAID, load
from demo.flat_windows import HeardVoices
from demo.model import codec_config
from demo.runs import Run
from demo.trainable import trainable
from engine.codec.bicodec import reference_clip
from engine.codec.mel import MelSpectrogram
from engine.codec.speaker import FiniteScalarQuantizer, SpeakerEncoder
from engine.types import SAMPLES_PER_TOKEN

BANDS = 32
CLIP = 150 * SAMPLES_PER_TOKEN  # samples that training hears at once; serving hears twice as much
BATCH = 16


class Voices:
    """The corpus by voice: the `SAID` sentences of a voice follow one another."""

    def __init__(self, directory: Path) -> None:
        corpus = load(directory, "voices")
        self.samples = torch.from_numpy(corpus["samples"])
        self.tokens = torch.from_numpy(corpus["tokens"]).long()
        self.frames = corpus["frames"]
        self.starts = np.concatenate([[0], np.cumsum(self.frames)])
        self.frequency = corpus["frequency"].astype(np.float32)
        self.female = corpus["female"].astype(np.bool_)
        self.count = len(self.frames)

    def wave(self, utterance: int) -> Tensor:
        """The samples of one sentence, float32."""
        start, end = (int(frame) * SAMPLES_PER_TOKEN for frame in self.starts[utterance : utterance + 2])
        return self.samples[start:end].float() / 32_767


def targets(voices: Voices, mel: MelSpectrogram) -> Tensor:
    """The mean log spectrum in `BANDS` bands and the log of the median pitch of each voice, each with variance 1."""
    found = []
    for utterance in range(voices.count):
        spectrum = mel(voices.wave(utterance)[None])[0]  # (bands, T)
        loud = spectrum.sum(0) > 0.2 * spectrum.sum(0).mean()
        bands = torch.log(1e-4 + spectrum[:, loud]).mean(dim=1).view(BANDS, -1).mean(dim=1)
        found.append(torch.cat([bands, torch.tensor([np.log(voices.frequency[utterance])])]))
    of_voices = torch.stack(found).view(-1, SAID, BANDS + 1).mean(dim=1)
    normal: Tensor = (of_voices - of_voices.mean(0)) / of_voices.std(0)
    return normal


def quantise(quantizer: FiniteScalarQuantizer, x: Tensor) -> Tensor:
    """`vectors(tokens(x))`, with gradients as if nothing were rounded (straight-through)."""
    half = (quantizer.levels - 1) * 1.001 / 2
    offset = torch.where(quantizer.levels % 2 == 0, 0.5, 0.0)
    bounded = torch.tanh(quantizer.project_in(x) + torch.atanh(offset / half)) * half - offset
    codes = (bounded + (bounded.round() - bounded).detach()) / (quantizer.levels // 2)
    vectors: Tensor = quantizer.project_out(codes)
    return vectors


class SpeakerTask(nn.Module):
    """The speaker encoder, and a linear layer on its d-vector for training only."""

    def __init__(self, encoder: SpeakerEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.reading = nn.Linear(encoder.project.out_features, BANDS + 1)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, samples) to predictions of the voice's targets (B, BANDS + 1)."""
        encoder = self.encoder
        frames = encoder.ecapa(encoder.mel(clips)).transpose(1, 2)
        vectors = quantise(encoder.quantizer, encoder.resampler(frames))
        read: Tensor = self.reading(encoder.project(vectors.transpose(1, 2).flatten(1)))
        return read


@torch.inference_mode()
def read_pitch(task: SpeakerTask, said: Tensor, voices: Voices) -> npt.NDArray[np.float64]:
    """The median pitch in Hz that global tokens (N, 32) encode, (N,)."""
    logs = np.log(voices.frequency).reshape(-1, SAID).mean(axis=1)
    read = task.reading(task.encoder.d_vector(said))[:, -1].numpy()
    pitch: npt.NDArray[np.float64] = np.exp(read * logs.std(ddof=1) + logs.mean())
    return pitch


def heard_voices(out: Path, voices: Voices) -> HeardVoices:
    """The voices of the corpus as the trained stage, whose state is in `out`, encodes them."""
    task = SpeakerTask(trainable(codec_config()).speaker_encoder)
    task.load_state_dict(torch.load(out / "speaker.pt", weights_only=True)["speaker"])
    said = torch.load(out / "global_tokens.pt", weights_only=True)
    return HeardVoices(said, read_pitch(task, said, voices), voices.female)


@torch.inference_mode()
def global_tokens(encoder: SpeakerEncoder, voices: Voices) -> Tensor:
    """The global tokens of each sentence, computed as in serving, (utterances, 32)."""
    encoder.eval()
    return torch.cat([encoder.tokens(reference_clip(voices.wave(n))[None]) for n in range(voices.count)])


def main(
    corpus: Annotated[Path, typer.Option(help="What demo.corpus made.")] = Path("build/demo/corpus"),
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 9,
    threads: Annotated[int, typer.Option(help="Cores.")] = 2,
) -> None:
    """Train the speaker encoder, and keep the global tokens of the corpus."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    voices = Voices(corpus)
    task = SpeakerTask(trainable(codec_config()).speaker_encoder)
    wanted = targets(voices, task.encoder.mel)

    def losses() -> dict[str, Tensor]:
        chosen = random.integers(voices.count, size=BATCH)
        clips = []
        for utterance in chosen:
            wave = reference_clip(voices.wave(int(utterance)))
            start = int(random.integers(len(wave) - CLIP))
            clips.append(wave[start : start + CLIP] * float(random.uniform(0.7, 1.1)))
        error = F.mse_loss(task(torch.stack(clips)), wanted[chosen // SAID], reduction="none")
        return {"spectrum": error[:, :-1].mean(), "pitch": error[:, -1].mean()}

    Run(out, "speaker", {"speaker": task}, minutes, 2e-3).train(losses)
    found = global_tokens(task.encoder, voices)
    torch.save(found, out / "global_tokens.pt")
    used = len(np.unique(found.numpy()))
    typer.echo(f"{used} of {task.encoder.quantizer.codebook_size} global tokens are used.")


if __name__ == "__main__":
    typer.run(main)
