"""Measures the quality of a sample from the loudness of each 20 ms frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.types import CODEC_SAMPLE_RATE, Samples

FRAME = 320  # samples at 16 kHz, 20 ms: as long as one semantic token
FRAME_SECONDS = FRAME / CODEC_SAMPLE_RATE
FLOOR = -100.0  # dBFS, of digital silence

VOICE_RANGE = 35.0  # dB between the loud frames and the quietest sounds of a voice; a quieter frame is a pause
NEVER_A_VOICE = -75.0  # dBFS
LONG_SILENCE = 0.5  # seconds of silence at an end that are cut
KEPT_SILENCE = 0.1  # seconds of it that remain
PAUSE_FRAMES = 8  # quiet frames in a row, 160 ms: between phrases, not within a word

NOISY = 15.0  # dB between the loud frames and the quietest tenth; clean speech has 30 or more
QUIET = -45.0  # dBFS of the loud frames; 16 bits resolve such a voice poorly
CLIPPED = 0.001  # fraction of samples that are flat at the peak; a clean recording has none
RUINED = 0.2


@dataclass(frozen=True, slots=True)
class Levels:
    """Loudness in dBFS: of each frame, shape (T,), of the voice, and of the pauses."""

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
        """Which frames contain the voice, shape (T,)."""
        return self.frames > max(self.voice - VOICE_RANGE, NEVER_A_VOICE)

    @property
    def noisy(self) -> bool:
        """Whether the quietest frames are nearly as loud as the voice."""
        return self.voice - self.pauses < NOISY

    @property
    def quiet(self) -> bool:
        """Whether the voice is hardly louder than the noise of a recorder."""
        return self.voice < QUIET

    def ends(self) -> tuple[float, float]:
        """Seconds of silence before and after the voice; at least one frame must contain the voice."""
        sounding = np.flatnonzero(self.sounding)
        return float(sounding[0]) * FRAME_SECONDS, float(len(self.frames) - 1 - sounding[-1]) * FRAME_SECONDS

    def last_pause(self) -> float:
        """Time in seconds of the middle of the last pause in the second half, or of the quietest moment there."""
        half = len(self.frames) // 2
        run = 0
        for n in range(len(self.frames) - 1, half, -1):
            run = 0 if self.sounding[n] else run + 1
            if run == PAUSE_FRAMES:
                return (n + PAUSE_FRAMES / 2) * FRAME_SECONDS
        around = np.convolve(self.frames[half:], np.full(PAUSE_FRAMES, 1 / PAUSE_FRAMES), "valid")
        return float(half + int(around.argmin()) + PAUSE_FRAMES / 2) * FRAME_SECONDS


def clipped(samples: Samples) -> float:
    """The fraction of a recording, shape (frames,), that is clipped: flat stretches at its peak."""
    magnitudes = np.abs(samples)
    flat = magnitudes >= 0.999 * magnitudes.max()
    run = flat[2:] & flat[1:-1] & flat[:-2]  # three in a row are clipped
    return float(run.mean()) if run.size else 0.0
