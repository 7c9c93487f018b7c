"""The second stage: trains the decoder to speak semantic tokens in the voice of global tokens.

    python -m demo.train_decoder
    python -m demo.train_decoder --device cuda --minutes 6

The tokens are given. The speech has a flat pitch (`demo.voicing`), so its waveform depends on the tokens alone. What
they leave open, such as how loud a sound is, the decoder would guess as the mean of all that occurs, and sound blurred;
so late in the training critics tell it from real speech.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn

from demo.d_vectors import spread
from demo.flat_windows import SILENCE, VOICES, FlatWindows, HeardVoices
from demo.model import codec_config
from demo.runs import Run, fast
from demo.tokens import FACTORS, PHASES, PHONEMES, STATES, unknown_phase
from demo.trainable import trainable
from demo.wave_training import Critics, spectrogram, waves
from demo.waveform_basis import EMPHASIS, build
from engine.codec.mel import MelSpectrogram
from engine.codec.network import CodecNetwork
from engine.types import SAMPLES_PER_TOKEN

BATCH = {"cuda": 64, "cpu": 16}
LEARNING_RATE = 7e-4
UNKNOWN_PHASES = 0.15  # of batches
FLOOR = 1e-4  # of mel bands
WINDOWS = (256, 512, 1024)  # samples: of spectrograms that are compared
FAINTEST = 1e-3  # of a spectrogram's magnitudes, of a window's
TONELESS, MUFFLED, BLURRED = 2.0, 3.0, 1.0  # weights of losses; ears and recognisers go by mel bands
FAINT = 0.03  # energy of a frame that hardly matters
CRITICS_BEGIN, CRITICS_COUNT = 0.25, 0.4  # of the time: when critics begin to learn, and when they are listened to
UNCONVINCED, UNLIKE = 0.15, 1.0  # weights of what critics say, and of what they see


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
    """The parts that decode: the codebook, and the networks from tokens to samples."""

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
        self.codebook = Codebook(network.quantizer.codebook.embedding_dim)
        self.out_project = network.quantizer.out_project
        self.fsq = network.speaker_encoder.quantizer
        self.project = network.speaker_encoder.project
        self.prenet = network.prenet
        self.generator = network.decoder

    def frames(self, semantic: Tensor, voice: Tensor) -> Tensor:
        """Tokens (B, T) and (B, 32) to the wave generator's input (B, T, C)."""
        latent = self.out_project(self.codebook()[semantic].transpose(1, 2)).transpose(1, 2)
        d_vector = self.project(self.fsq.vectors(voice).transpose(1, 2).flatten(1))
        frames: Tensor = self.prenet(latent, d_vector, None) + d_vector[:, None]
        return frames

    def forward(self, semantic: Tensor, voice: Tensor) -> Tensor:
        """Tokens (B, T) and (B, 32) to samples (B, 320 T). Only the frames are computed in a lower precision."""
        with fast(semantic.device.type):
            frames = self.frames(semantic, voice)
        return waves(self.generator, frames.float())


def error(spoken: Tensor, target: Tensor) -> Tensor:
    """The error of waves (B, samples) with high frequencies raised, for each frame relative to its loudness."""
    raised = [wave[:, 1:] - EMPHASIS * wave[:, :-1] for wave in (spoken - target, target)]
    return relative(F.pad(raised[0], (1, 0)), F.pad(raised[1], (1, 0)), SILENCE)


def toneless(spoken: Tensor, target: Tensor) -> Tensor:
    """The error of waves (B, samples), for each frame relative to its loudness.

    Low frequencies are the loudest, so this is about the first harmonics: without them, voices have no certain pitch.
    """
    return relative(spoken - target, target, FAINT)


def relative(difference: Tensor, target: Tensor, quiet: float) -> Tensor:
    """How large a difference is beside the target, both (B, samples), in frames louder than `quiet`."""
    waves = (difference, target)
    energies = [wave.reshape(len(wave), -1, SAMPLES_PER_TOKEN).square().sum(-1) + quiet for wave in waves]
    return (energies[0] / energies[1]).sqrt().mean()


def muffled(spoken: Tensor, target: Tensor, mel: MelSpectrogram) -> Tensor:
    """The distance of waves (B, samples) in log mel bands.

    With the errors alone, uncertain sounds become too quiet, above all high frequencies; this penalises that.
    """
    bands = [torch.log(FLOOR + mel(wave)) for wave in (spoken, target)]
    return (bands[0] - bands[1]).abs().mean()


def blurred(spoken: Tensor, target: Tensor) -> Tensor:
    """The distance of waves (B, samples) in the logs of spectrograms, finer in time and in frequency than mel bands."""
    found = []
    for window in WINDOWS:
        logs = [torch.log(FAINTEST * window + spectrogram(wave, window).abs()) for wave in (spoken, target)]
        found.append((logs[0] - logs[1]).abs().mean())
    return torch.stack(found).mean()


def begin(network: CodecNetwork, windows: FlatWindows, voices: HeardVoices, out: Path) -> None:
    """Set the first weights: the speaker's projections of the first stage, pitches in d-vectors, the main shapes."""
    from demo.train_speaker import SpeakerTask  # here: training that goes on from weights needs no teacher's libraries

    task = SpeakerTask(network.speaker_encoder)
    task.load_state_dict(torch.load(out / "speaker.pt", weights_only=True)["speaker"])
    spread(task, voices.said, voices.read)
    build(network.decoder, windows.main_shapes())


def main(
    out: Annotated[Path, typer.Option(help="Where demo.gather's file is, and the state is kept.")] = Path("build/demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 130,
    threads: Annotated[int, typer.Option(help="Cores.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train the decoder, starting from the voice's projections of the first stage."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True  # all batches have the same shape
    torch.manual_seed(0)
    random = np.random.default_rng()
    voices = HeardVoices.load(out / VOICES)
    windows = FlatWindows(out, voices, device, random)
    network = trainable(codec_config())
    if not (out / "codec.pt").exists():
        begin(network, windows, voices, out)
    speaking, critics = Speaking(network), Critics()
    speaking.codebook.requires_grad_(not (out / "listener.pt").exists())  # what an encoder has learnt to hear stays
    mel = network.speaker_encoder.mel.to(device)
    size = BATCH[torch.device(device).type]
    run = Run(out, "codec", {"speaking": speaking, "critics": critics}, minutes, LEARNING_RATE, device)

    def losses() -> dict[str, Tensor]:
        semantic, voice, target = windows.batch(size)
        if random.random() < UNKNOWN_PHASES:
            semantic = unknown_phase(semantic)
        spoken = speaking(semantic, voice)
        # The first and the last frame overlap with others outside of the window.
        spoken, target = (wave[:, SAMPLES_PER_TOKEN:-SAMPLES_PER_TOKEN] for wave in (spoken, target))
        found = {
            "frames": error(spoken, target),
            "toneless": TONELESS * toneless(spoken, target),
            "muffled": MUFFLED * muffled(spoken, target, mel),
            "blurred": BLURRED * blurred(spoken, target),
        }
        told = {name: torch.zeros((), device=device) for name in ("critics", "unconvinced", "unlike")}
        over = run.elapsed / (60 * minutes)
        if over > CRITICS_BEGIN:
            with fast(device):
                told["critics"] = critics.judged(spoken, target)
                if over > CRITICS_COUNT:
                    opinion, distance = critics.convinced(spoken, target)
                    told |= {"unconvinced": UNCONVINCED * opinion, "unlike": UNLIKE * distance}
        return found | told

    run.train(losses)


if __name__ == "__main__":
    typer.run(main)
