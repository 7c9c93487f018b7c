"""Trims the silence around a sentence, frame by frame, so that a text has even pauses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.postprocess import fade
from engine.types import CODEC_SAMPLE_RATE, SAMPLES_PER_TOKEN, Samples

LEAD = 3  # frames of 20 ms that stay before the first sound, whose beginning may be too soft to be found
TAIL = 4  # frames that stay after the last sound; the shortest pause that can be set has room for both

_NONE = np.zeros(0, np.float32)


class Trimmer:
    """The samples of one sentence. Silence is held back until it is known what follows.

    `sent` is the number of frames that have left it for good; those before the first sound may still be replaced.
    """

    def __init__(self, pause: float | None, *, first: bool) -> None:
        """`pause` is in seconds, from the last sound of the sentence to the first one of the next; 0 after the last.

        None leaves all silence as it is. A sentence that is not the `first` begins with exactly LEAD frames of silence.
        """
        self._pause = pause
        self._first = first
        self.longest: int | None = None  # frames of silence inside the sentence that stay; None for all
        self._held: list[Samples] = []
        self._begun = False
        self._frames = 0  # all so far
        self.sent = 0

    def push(self, samples: Samples, sound: Sequence[bool]) -> Samples:
        """Take the next frames, shape (320 T,), and whether each has sound; return the samples that can be sent."""
        ready: list[Samples] = []
        for frame, audible in zip(samples.reshape(-1, SAMPLES_PER_TOKEN), sound, strict=True):
            self._frames += 1
            self._held.append(frame)
            if audible or self._pause is None:
                ready += self._release()
        return np.concatenate(ready) if ready else _NONE

    def rewind(self) -> Samples | None:
        """Forget the frames that were not sent, as others will come instead; return the first of them."""
        held, self._held = self._held, []
        self._frames = self.sent
        return held[0] if held else None

    def end(self) -> Samples:
        """Return the end of the sentence and the pause after it."""
        kept = self._held[:TAIL] if self._begun else []
        if self._pause is None or not self._begun:
            kept = self._held
        self._held = []
        if not self._pause:
            return np.concatenate(kept) if kept else _NONE
        if kept:
            kept[-1] = fade(kept[-1], start=False, end=True)
        silence = round(self._pause * CODEC_SAMPLE_RATE) - (len(kept) + LEAD) * SAMPLES_PER_TOKEN
        return np.concatenate((*kept, np.zeros(max(0, silence), np.float32)))

    def _release(self) -> list[Samples]:
        ready, self._held = self._held, []
        self.sent = self._frames
        if self._pause is None:
            return ready
        if self._begun:
            return ready if self.longest is None else _shortened(ready, self.longest)
        self._begun = True
        ready = ready[-LEAD - 1 :]
        ready[0] = fade(ready[0], start=True, end=False)
        missing = 0 if self._first else LEAD + 1 - len(ready)
        return [*[np.zeros(SAMPLES_PER_TOKEN, np.float32)] * missing, *ready]


def _shortened(frames: list[Samples], longest: int) -> list[Samples]:
    """Silence without its middle, if it has more than `longest` frames, and the sound after it."""
    if len(frames) - 1 <= longest:
        return frames
    before, after = frames[: longest // 2], frames[-(longest - longest // 2) - 1 :]
    return [*before[:-1], fade(before[-1], start=False, end=True), fade(after[0], start=True, end=False), *after[1:]]
