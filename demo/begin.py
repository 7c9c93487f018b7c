"""Begins where a checkpoint ended: takes its weights apart into the states of the stages, which then go on from them.

    python -m demo.begin

Training from an empty folder takes hours before anything is understood. What the speaker's stage predicts, and does
not put into the checkpoint, is fitted to the corpus again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from torch import Tensor

from demo.corpus import SAID
from demo.model import codec_config
from demo.train_decoder import Codebook, Speaking
from demo.train_encoder import Listening
from demo.train_speaker import SpeakerTask, Voices, global_tokens, targets
from demo.trainable import trainable, weights
from demo.widen import OWN, language_model_state
from engine.codec.loader import load_features, load_network

FIT_STEPS = 2000


@torch.enable_grad()
def parts_of(rows: Tensor) -> Codebook:
    """The codebook whose sums of parts have the directions of `rows` (tokens, dim)."""
    codebook = Codebook(rows.shape[1])
    optimizer = torch.optim.Adam(codebook.parameters(), 0.02)
    for step in range(FIT_STEPS):
        loss = (codebook() - rows).square().sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - step / FIT_STEPS)
    typer.echo(f"The codebook's parts give its rows with an error of {loss.detach().item():.4f}.")
    return codebook


def fit_reading(task: SpeakerTask, said: Tensor, wanted: Tensor) -> None:
    """Fit what the speaker's stage reads from d-vectors, of global tokens (N, 32), to its targets, by least squares."""
    vectors = task.encoder.d_vector(said)
    inputs = torch.cat([vectors, torch.ones(len(vectors), 1)], dim=1)
    # Ridge: a d-vector has more numbers than a voice has independent properties.
    normal = inputs.T @ inputs + 0.01 * len(inputs) * torch.eye(inputs.shape[1])
    solved = torch.linalg.solve(normal, inputs.T @ wanted)
    task.reading.weight.copy_(solved[:-1].T)
    task.reading.bias.copy_(solved[-1])


@torch.no_grad()
def codec_states(checkpoint: Path, voices: Voices, out: Path) -> None:
    """Write the states of the speaker's, the decoder's and the encoder's stage, and the corpus's global tokens."""
    network = trainable(codec_config())
    loaded = load_network(checkpoint).state_dict()
    for name, value in weights(network).items():
        if loaded[name].shape != value.shape:
            raise typer.BadParameter(f"{checkpoint}: {name} has other dimensions than demo.model gives it")
        value.copy_(loaded[name])
    task, speaking, listening = SpeakerTask(network.speaker_encoder), Speaking(network), Listening(network)
    speaking.codebook = parts_of(F.normalize(network.quantizer.codebook.weight.detach(), dim=-1))
    listening.features.load_state_dict(load_features(checkpoint).state_dict())
    said = global_tokens(task.encoder, voices)
    fit_reading(task, said, targets(voices, task.encoder.mel).repeat_interleave(SAID, dim=0))
    torch.save(said, out / "global_tokens.pt")
    states = {"speaker": ("speaker", task), "codec": ("speaking", speaking), "listener": ("listening", listening)}
    for name, (key, module) in states.items():
        torch.save({key: module.state_dict()}, out / f"{name}.pt")


def main(
    checkpoint: Annotated[Path, typer.Option(help="The checkpoint to begin with.")] = OWN,
    corpus: Annotated[Path, typer.Option(help="What demo.corpus made.")] = Path("build/demo/corpus"),
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
) -> None:
    """Write the states; those that exist are kept."""
    torch.manual_seed(0)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / "codec.pt").exists():
        codec_states(checkpoint, Voices(corpus), out)
    if not (out / "language_model.pt").exists():
        language_model_state(checkpoint, out)


if __name__ == "__main__":
    typer.run(main)
