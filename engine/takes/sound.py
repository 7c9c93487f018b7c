"""Tells sound from silence in frames of 20 ms, one for each semantic token."""

from __future__ import annotations

from typing import Final

import numpy as np

from engine.types import SAMPLES_PER_TOKEN, Samples

BELOW: Final = 10 ** (-35 / 20)  # the level of silence, as a part of the loudest frame's
QUIETEST: Final = 10 ** (-36 / 20)  # the loudest frame of the quietest voice; the codec's voices are near -20 dB


def levels(samples: Samples) -> list[float]:
    """The root mean square of each frame; `samples` has shape (320 T,)."""
    frames = samples.reshape(-1, SAMPLES_PER_TOKEN)
    found: list[float] = np.sqrt(np.mean(frames * frames, axis=1)).tolist()
    return found


class Sound:
    """Which frames of a take have sound: those within 35 dB of its loudest frame so far."""

    def __init__(self) -> None:
        self.frames: list[bool] = []
        self._loudest = QUIETEST

    def push(self, samples: Samples) -> None:
        """Take the next frames, shape (320 T,); T may be 0."""
        new = levels(samples)
        self._loudest = max([self._loudest, *new])
        self.frames += [level > BELOW * self._loudest for level in new]

    def is_silent(self, samples: Samples) -> bool:
        """Whether samples that are not pushed yet, shape (320 T,), have no sound."""
        return max(levels(samples), default=0.0) <= BELOW * self._loudest

    def until(self, frames: int) -> Sound:
        """A copy with the first frames only, which knows how loud the voice is."""
        copy = Sound()
        copy.frames, copy._loudest = self.frames[:frames], self._loudest
        return copy

    def silences(self) -> list[tuple[int, int]]:
        """The first and the last frame after it of each silence."""
        edges = np.flatnonzero(np.diff([True, *self.frames, True]))
        return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]

    @property
    def leading(self) -> int:
        """Silent frames before the first sound, or all."""
        return self.frames.index(True) if any(self.frames) else len(self.frames)

    @property
    def trailing(self) -> int:
        """Silent frames after the last sound, or all."""
        return self.frames[::-1].index(True) if any(self.frames) else len(self.frames)

    @property
    def spoken(self) -> int:
        """The frames from the first sound to the last."""
        return len(self.frames) - self.leading - self.trailing if any(self.frames) else 0
