"""The fourth stage: trains a small wav2vec2 and the encoder to recognise the semantic tokens in any voice.

python -m demo.train_encoder
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn
from transformers import Wav2Vec2Config

from demo.model import CODEC, WAV2VEC2, codec_config
from demo.runs import Run
from demo.tokens import unknown_phase
from demo.train_decoder import Codebook
from demo.train_speaker import Voices
from demo.trainable import trainable
from engine.codec.features import FEATURE_LAYERS, SpeechFeatures
from engine.codec.network import CodecNetwork
from engine.types import SAMPLES_PER_TOKEN

WINDOW = 80  # frames
BATCH = 6
SHARPNESS = 24.0  # of the choice among cosines


class Listening(nn.Module):
    """The parts that encode: features, the encoder and the projection to the codebook's space."""

    def __init__(self, network: CodecNetwork) -> None:
        super().__init__()
        config = Wav2Vec2Config(**{**WAV2VEC2, "num_hidden_layers": FEATURE_LAYERS[-1]})
        self.features = SpeechFeatures(config)
        self.encoder = network.encoder
        self.in_project = network.quantizer.in_project

    def forward(self, waves: Tensor) -> Tensor:
        """Samples (B, N) to directions in the codebook's space (B, T, dim)."""
        features, _ = self.features(list(waves))
        latent = self.encoder(features, None)
        return F.normalize(self.in_project(latent.transpose(1, 2)).transpose(1, 2), dim=-1)


def main(
    corpus: Annotated[Path, typer.Option(help="What demo.corpus made.")] = Path("build/demo/corpus"),
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 26,
    threads: Annotated[int, typer.Option(help="Cores.")] = 1,
) -> None:
    """Train the encoder on the codebook of the second stage."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    random = np.random.default_rng()
    voices = Voices(corpus)
    long_enough = np.flatnonzero(np.asarray(voices.frames, np.int64) > WINDOW)
    codebook = Codebook(CODEC["quantizer"]["codebook_dim"])
    speaking = torch.load(out / "codec.pt", weights_only=True)["speaking"]
    codebook.load_state_dict(
        {name.removeprefix("codebook."): v for name, v in speaking.items() if name.startswith("codebook.")}
    )
    rows = codebook().detach()
    listening = Listening(trainable(codec_config()))
    samples = (WINDOW - 1) * SAMPLES_PER_TOKEN + listening.features.shortest

    def losses() -> dict[str, Tensor]:
        waves, wanted = [], []
        for utterance in random.choice(long_enough, BATCH):
            start = int(random.integers(voices.frames[utterance] - WINDOW))
            waves.append(voices.wave(utterance)[start * SAMPLES_PER_TOKEN :][:samples])
            wanted.append(voices.tokens[voices.starts[utterance] + start :][:WINDOW])
        heard = listening(torch.stack(waves))
        return {"tokens": F.cross_entropy(SHARPNESS * (heard @ rows.T).flatten(0, 1), unknown_phase(torch.cat(wanted)))}

    Run(out, "listener", {"listening": listening}, minutes, 1.5e-3).train(losses)


if __name__ == "__main__":
    typer.run(main)
