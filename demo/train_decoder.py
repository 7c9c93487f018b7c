"""The second stage: trains the decoder to speak semantic tokens in the voice of global tokens.

    python -m demo.train_decoder

The tokens are given. The speech has a flat pitch (`demo.flat_speech`), so it is a sum of shapes
(`demo.waveform_basis`). This stage learns the weight of each shape.
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

from demo.d_vectors import spread
from demo.flat_speech import flat
from demo.model import codec_config
from demo.runs import Run, fast
from demo.tokens import FACTORS, PHASES, PHONEMES, STATES, unknown_phase
from demo.train_speaker import STEP, SpeakerTask, Voices, nearest_step, read_pitch
from demo.trainable import trainable
from demo.waveform_basis import analysis, components, frames, overlapped
from engine.codec.mel import MelSpectrogram
from engine.codec.network import CodecNetwork
from engine.types import SAMPLES_PER_TOKEN

WINDOW = 32  # frames
BATCH = 20
BETWEEN = 5.0  # Hz
FLOOR = 1e-4  # of mel bands
TONELESS, MUFFLED = 2.0, 3.0  # weights of losses; ears and recognisers go by mel bands
SILENCE = 0.003  # energy, with high frequencies raised, of a frame that hardly matters
FAINT = 0.03  # the same for all frequencies as they are


class Codebook(nn.Module):
    """A semantic token's vector is the sum of its phoneme's, its third's and its phase's, at length 1.

    So a rare token is learnt from tokens with the same parts.
    """

    factors: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        counts = len(PHONEMES), STATES, PHASES
        self.parts = nn.ModuleList(nn.Embedding(count, dim) for count in counts)
        for part, deviation in zip(self.parts, (1.0, 0.4, 0.4), strict=True):
            assert isinstance(part, nn.Embedding)
            nn.init.normal_(part.weight, std=deviation)
        self.register_buffer("factors", torch.tensor(FACTORS), persistent=False)

    def forward(self) -> Tensor:
        """All rows, (tokens, dim)."""
        sums = [part(self.factors[:, place]) for place, part in enumerate(self.parts)]
        return F.normalize(torch.stack(sums).sum(0), dim=-1)


class Speaking(nn.Module):
    """The parts that decode: the codebook, and the networks from tokens to weights of shapes."""

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
        self.codebook = Codebook(network.quantizer.codebook.embedding_dim)
        self.out_project = network.quantizer.out_project
        self.fsq = network.speaker_encoder.quantizer
        self.project = network.speaker_encoder.project
        self.prenet = network.prenet
        self.conv_in = network.decoder.model[0]

    def forward(self, semantic: Tensor, voice: Tensor) -> Tensor:
        """Tokens (B, T) and (B, 32) to amounts (B, T, SHAPES)."""
        latent = self.out_project(self.codebook()[semantic].transpose(1, 2)).transpose(1, 2)
        d_vector = self.project(self.fsq.vectors(voice).transpose(1, 2).flatten(1))
        amounts: Tensor = self.conv_in(self.prenet(latent, d_vector, None) + d_vector[:, None])
        return amounts


class FlatWindows:
    """Windows of flat speech as weights of shapes, with semantic and global tokens; all pitches are as frequent."""

    def __init__(
        self,
        directory: Path,
        said: Tensor,
        read: npt.NDArray[np.float64],
        female: npt.NDArray[np.bool_],
        random: np.random.Generator,
    ) -> None:
        """Of the voices' global tokens `said` (N, 32), the pitch in Hz `read` from them (N,), and `female` (N,).

        The shapes are those of the directory, if it has some.
        """
        content = flat(directory)
        self._random, self._said = random, said
        self._tokens = torch.from_numpy(content["tokens"]).long()
        lengths = content["frames"]
        waves = np.split(content["samples"], np.cumsum(lengths)[:-1] * SAMPLES_PER_TOKEN)
        kept = directory / "shapes.pt"
        if not kept.exists():
            torch.save(self._main_shapes(waves), kept)
        self.shapes: Tensor = torch.load(kept, weights_only=True)
        weighing, self.deviations = analysis(self.shapes)
        self._amounts = torch.cat([frames(sounded(wave)) @ weighing.T for wave in waves])
        self._first = np.cumsum(lengths) - lengths
        self._lengths = lengths
        self._kinds = []
        for kind in sorted(set(zip(content["pitch"].tolist(), content["female"].tolist(), strict=True))):
            spoken = (content["pitch"] == kind[0]) & (content["female"] == kind[1]) & (lengths >= WINDOW)
            voices = np.flatnonzero((nearest_step(read) == kind[0]) & (female == kind[1]))
            if spoken.any() and len(voices):
                # Voices between two pitches are the hardest to tell apart, so they are heard more often.
                weights = 1 + (np.abs(read[voices] - kind[0]).clip(max=STEP / 2) / BETWEEN) ** 2
                self._kinds.append((np.flatnonzero(spoken), voices, weights / weights.sum()))

    def _main_shapes(self, waves: list[npt.NDArray[np.int16]]) -> Tensor:
        covariance = torch.zeros(2 * SAMPLES_PER_TOKEN, 2 * SAMPLES_PER_TOKEN)
        for wave in waves:
            pieces = frames(sounded(wave))
            loud = pieces / (pieces.square().sum(1, keepdim=True) + SILENCE).sqrt()  # quiet sounds matter as well
            covariance += loud.T @ loud / len(self._tokens)
        return components(covariance)

    def batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Semantic tokens (B, WINDOW), global tokens (B, 32), amounts (B, WINDOW, SHAPES)."""
        semantic, voice, amounts = [], [], []
        for _ in range(BATCH):
            spoken, voices, weights = self._kinds[int(self._random.integers(len(self._kinds)))]
            utterance = int(self._random.choice(spoken))
            start = self._first[utterance] + int(self._random.integers(self._lengths[utterance] - WINDOW + 1))
            semantic.append(self._tokens[start : start + WINDOW])
            amounts.append(self._amounts[start : start + WINDOW])
            voice.append(self._said[int(self._random.choice(voices, p=weights))])
        return torch.stack(semantic), torch.stack(voice), torch.stack(amounts)


def sounded(wave: npt.NDArray[np.int16]) -> Tensor:
    """Samples as the wave generator has them before its last layer, which is tanh."""
    return torch.atanh((torch.from_numpy(wave).float() / 32_767).clamp(-0.95, 0.95))


def error(spoken: Tensor, target: Tensor, deviations: Tensor) -> Tensor:
    """The error of weights, for each frame relative to its loudness."""
    difference = ((spoken - target) * deviations).square().sum(-1)
    loudness = (target * deviations).square().sum(-1)
    return ((difference + SILENCE) / (loudness + SILENCE)).sqrt().mean()


def toneless(spoken: Tensor, target: Tensor) -> Tensor:
    """The error of waves (B, samples), for each frame relative to its loudness.

    Low frequencies are the loudest, so this is about the first harmonics: without them, voices have no certain pitch.
    """
    pieces = [wave.view(len(wave), -1, SAMPLES_PER_TOKEN) for wave in (spoken - target, target)]
    difference, loudness = (piece.square().sum(-1) for piece in pieces)
    relative: Tensor = (difference + FAINT) / (loudness + FAINT)
    return relative.sqrt().mean()


def muffled(spoken: Tensor, target: Tensor, mel: MelSpectrogram) -> Tensor:
    """The distance of waves (B, samples) in log mel bands.

    With the errors alone, uncertain sounds become too quiet, above all high frequencies; this penalises that.
    """
    bands = [torch.log(FLOOR + mel(wave)) for wave in (spoken, target)]
    return (bands[0] - bands[1]).abs().mean()


def main(
    corpus: Annotated[Path, typer.Option(help="What demo.corpus made.")] = Path("build/demo/corpus"),
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 130,
    threads: Annotated[int, typer.Option(help="Cores.")] = 1,
) -> None:
    """Train the decoder, starting from the voice's projections of the first stage."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    random = np.random.default_rng()
    voices = Voices(corpus)
    said = torch.load(out / "global_tokens.pt", weights_only=True)
    network = trainable(codec_config())
    task = SpeakerTask(network.speaker_encoder)
    task.load_state_dict(torch.load(out / "speaker.pt", weights_only=True)["speaker"])
    read = read_pitch(task, said, voices)
    windows = FlatWindows(out, said, read, voices.female, random)
    spread(task, said, read)
    speaking = Speaking(network)
    speaking.codebook.requires_grad_(not (out / "listener.pt").exists())  # what an encoder has learnt to hear stays

    def losses() -> dict[str, Tensor]:
        semantic, voice, target = windows.batch()
        if random.random() < 0.15:
            semantic = unknown_phase(semantic)
        with fast():
            spoken = speaking(semantic, voice).float()
        waves = [overlapped(amounts @ windows.shapes) for amounts in (spoken, target)]
        return {
            "frames": error(spoken, target, windows.deviations),
            "toneless": TONELESS * toneless(waves[0], waves[1]),
            "muffled": MUFFLED * muffled(waves[0], waves[1], network.speaker_encoder.mel),
        }

    Run(out, "codec", {"speaking": speaking}, minutes, 1e-3).train(losses)


if __name__ == "__main__":
    typer.run(main)
