"""What is good and bad about a sample, from how loud each 20 ms of it are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.types import CODEC_SAMPLE_RATE, Samples

FRAME = 320  # samples at 16 kHz, 20 ms: as long as one semantic token
FRAME_SECONDS = FRAME / CODEC_SAMPLE_RATE
FLOOR = -100.0  # dBFS, of digital silence

VOICE_RANGE = 35.0  # dB between a voice's loud frames and the last of its sounds; below that is a pause
NEVER_A_VOICE = -75.0  # dBFS
LONG_SILENCE = 0.5  # seconds at an end that are worth leaving out
KEPT_SILENCE = 0.1  # seconds of it that stay
PAUSE_FRAMES = 8  # quiet frames in a row, 160 ms: between phrases, not within a word

NOISY = 15.0  # dB between the loud frames and the quietest tenth; clean speech has 30 and more
QUIET = -45.0  # dBFS of the loud frames; 16 bits leave little of such a voice
CLIPPED = 0.001  # part of all samples that lie flat at the top; a clean recording has none
RUINED = 0.2
FLAT_RUN = 3  # samples in a row at the top that are no peak any more


@dataclass(frozen=True, slots=True)
class Levels:
    """A sample's frames, in dBFS: `frames` of shape (T,), and how loud its voice and its pauses are."""

    frames: npt.NDArray[np.float32]
    voice: float
    pauses: float

    @classmethod
    def of(cls, samples: Samples) -> Levels:
        """Measure a sample at 16 kHz, shape (samples,), of at least one frame."""
        whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
        power = np.square(whole).mean(axis=1)
        frames = np.maximum(10 * np.log10(np.maximum(power, 1e-12)), FLOOR).astype(np.float32)
        return cls(frames, float(np.percentile(frames, 95)), float(np.percentile(frames, 10)))

    @property
    def sounding(self) -> npt.NDArray[np.bool_]:
        """Which frames hold the voice, shape (T,)."""
        return self.frames > max(self.voice - VOICE_RANGE, NEVER_A_VOICE)

    @property
    def noisy(self) -> bool:
        """Whether even the quietest frames are not far below the voice."""
        return self.voice - self.pauses < NOISY

    @property
    def quiet(self) -> bool:
        """Whether the voice is hardly above the noise of any recorder."""
        return self.voice < QUIET

    def ends(self) -> tuple[float, float]:
        """Seconds of silence before the voice, which there must be, and after it."""
        sounding = np.flatnonzero(self.sounding)
        return float(sounding[0]) * FRAME_SECONDS, float(len(self.frames) - 1 - sounding[-1]) * FRAME_SECONDS

    def last_pause(self) -> float:
        """Seconds to the middle of the last pause in the second half, or to the quietest moment there."""
        half = len(self.frames) // 2
        run = 0
        for n in range(len(self.frames) - 1, half, -1):
            run = 0 if self.sounding[n] else run + 1
            if run == PAUSE_FRAMES:
                return (n + PAUSE_FRAMES / 2) * FRAME_SECONDS
        around = np.convolve(self.frames[half:], np.full(PAUSE_FRAMES, 1 / PAUSE_FRAMES), "valid")
        return float(half + int(around.argmin()) + PAUSE_FRAMES / 2) * FRAME_SECONDS


def clipped(samples: Samples) -> float:
    """The part of a recording, shape (frames,), that was too loud for the recorder: flat stretches at its peak."""
    magnitudes = np.abs(samples)
    flat = magnitudes >= 0.999 * magnitudes.max()
    run = flat[2:] & flat[1:-1] & flat[:-2]  # FLAT_RUN in a row
    return float(run.mean()) if run.size else 0.0
