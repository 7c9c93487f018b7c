"""Makes d-vectors tell voices apart, above all by their pitch.

A decoder learns slowly from a property that hardly varies. It must tell pitches apart that are 25 Hz from each other:
a sum of two voices' waveforms has no pitch. So some numbers of the d-vector stand for one pitch each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from demo.voicing import HIGHEST, LOWEST, STEP

if TYPE_CHECKING:
    from demo.train_speaker import SpeakerTask

WIDTH = 10.0  # Hz, about one pitch
GAIN = 0.5  # deviation of a number that stands for a pitch
LEAST = 0.01  # deviation that is made larger


def pitches(codes: Tensor, pitch: npt.NDArray[np.float64]) -> tuple[Tensor, Tensor]:
    """The weights (n, inputs) and biases (n,) that best give the log of the pitch, and how near it is to each step.

    They are fitted to voices with vectors `codes` (N, inputs) and `pitch` in Hz (N,), by least squares. What they give
    has mean 0 and deviation `GAIN`.
    """
    near = np.clip(pitch, LOWEST, HIGHEST)[:, None] - np.arange(LOWEST, HIGHEST + 1, STEP)
    wanted = torch.from_numpy(np.column_stack([np.log(pitch), np.exp(-0.5 * (near / WIDTH) ** 2)]))
    inputs = torch.cat([codes, torch.ones(len(codes), 1)], dim=1).double()
    normal = inputs.T @ inputs + 3 * torch.eye(inputs.shape[1], dtype=torch.double)
    solved = torch.linalg.solve(normal, inputs.T @ wanted)
    values = inputs @ solved
    solved *= GAIN / values.std(dim=0).clamp(min=LEAST)  # no voice may be near a pitch, or all may
    solved[-1] -= (inputs @ solved).mean(dim=0)
    return solved[:-1].T.float(), solved[-1].float()


@torch.no_grad()
def spread(task: SpeakerTask, said: Tensor, pitch: npt.NDArray[np.float64]) -> None:
    """Initialise d-vectors: what the speaker's stage reads, pitches, then main components.

    `said` holds the global tokens of many voices (N, 32), and `pitch` what the stage reads from them in Hz (N,).
    """
    project, reading = task.encoder.project, task.reading
    codes = task.encoder.quantizer.vectors(said).transpose(1, 2).flatten(1)  # (N, inputs)
    of_pitch, biases = pitches(codes, pitch)
    _, _, components = torch.pca_lowrank(codes, q=project.out_features - reading.out_features - len(biases))
    weight = torch.cat([reading.weight @ project.weight, components.T])  # (out_features - pitches, inputs)
    values = codes @ weight.T
    weight /= values.std(dim=0, keepdim=True).T.clamp(min=0.05)
    project.weight.copy_(torch.cat([weight, of_pitch]))
    project.bias.copy_(torch.cat([-(codes @ weight.T).mean(dim=0), biases]))
