"""Speech at one pitch, from a teacher's spectra: on any device, in many voices at once.

Frames of 20 ms do not show the phase of the voice's period, so a vocoder must generate a phase, and learning that takes
days of training. Here every voice has a pitch that is a multiple of 25 Hz, a whole period begins with every second
frame, and a token says whether its frame is the first or the second of a pair. Noise depends on the token as well: on
its frame of the pair and its third of the phoneme, so that it hardly repeats within a sound. So the same sound always
has the same waveform, which is quick to learn. The cost is a voice without intonation.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from demo.spectra import BINS, Kept, amplitudes
from demo.tokens import PHASES, STATES
from engine.types import CODEC_SAMPLE_RATE, SAMPLES_PER_TOKEN

PAIR = 2 * SAMPLES_PER_TOKEN
FFT, HOP = 800, 200  # at 16 kHz: the teacher's 20 Hz and 12.5 ms
OWN_PITCH = 190.0  # Hz, the teacher's: its amplitudes are those of harmonics so far from each other
EARLY = 2
"""Frames: so much before the time that teachers give a phoneme, it is heard. Spectra tell phonemes best there."""
BEFORE = 16  # frames of silence before what the teacher says, where a sentence can begin
VOLUME, AUDIBLE, RANGE = 0.2, 0.01, (0.1, 10.0)  # as in engine.voices.samples.normalise_volume

STEP = 25.0  # Hz: half the frame rate
LOWEST, HIGHEST = 75.0, 300.0  # Hz

Kind = tuple[float, bool]
"""A voice's pitch in Hz, and whether it is a woman's."""


def nearest_step(pitch: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The nearest pitches in Hz that the decoder has."""
    steps: npt.NDArray[np.float64] = np.clip(np.rint(pitch / STEP) * STEP, LOWEST, HIGHEST)
    return steps


@cache
def noise() -> Tensor:
    """A frame of noise for each third of a phoneme and frame of a pair, (STATES, 2, samples)."""
    return torch.randn(STATES, 2, SAMPLES_PER_TOKEN, generator=torch.Generator().manual_seed(0))


@cache
def pulses(pitch: float) -> Tensor:
    """A pair of frames of pulses at a pitch in Hz, of harmonics with amplitude 1; pulses can be between samples."""
    harmonics = torch.arange(1, int(CODEC_SAMPLE_RATE / 2 // pitch) + 1)
    times = torch.arange(PAIR) / CODEC_SAMPLE_RATE
    return torch.cos(2 * torch.pi * pitch * harmonics[:, None] * times).sum(0)


def tract(pitch: float, female: bool) -> float:
    """How much lower or higher a voice's formants are than the teacher's, a woman's at 190 Hz."""
    return 1 + 0.0006 * (pitch - 200) if female else 0.86 + 0.0006 * (pitch - 125)


def warped(found: Tensor, factors: Tensor) -> Tensor:
    """Amplitudes (T, BINS) with all formants at `factors` (K,) times theirs, up to 8 kHz: (K, FFT / 2 + 1, T)."""
    places = (torch.arange(FFT // 2 + 1, device=found.device) / factors[:, None]).clamp(max=BINS - 1)
    below = places.long().clamp(max=BINS - 2)
    part = (places - below)[..., None]
    rows = found.T
    return rows[below] * (1 - part) + rows[below + 1] * part


class Mouth:
    """Speaks kept sentences in voices of several kinds."""

    def __init__(self, kinds: list[Kind], device: str) -> None:
        """Prepare the kinds' pulses."""
        self._device = device
        self._factors = torch.tensor([tract(pitch, female) for pitch, female in kinds], device=device)
        self._pulses = torch.stack([pulses(pitch) for pitch, _ in kinds]).to(device)
        self._loudness = torch.tensor([(pitch / OWN_PITCH) ** 0.5 for pitch, _ in kinds], device=device)
        self._noise = noise().to(device)
        self._window = torch.hann_window(FFT, device=device)

    def speak(self, kept: Kept, sentence: int, chosen: list[int]) -> Tensor:
        """A sentence's samples in each of the chosen kinds, (K, 320 * frames): pulses and noise, both filtered.

        The filters do not change a phase.
        """
        which = torch.tensor(chosen, device=self._device)
        first, steps = int(kept.steps[:sentence].sum()), int(kept.steps[sentence])
        periodic, noisy = (
            amplitudes(torch.from_numpy(part[first : first + steps]).to(self._device))
            for part in (kept.periodic, kept.noisy)
        )
        voiced = torch.from_numpy(kept.voiced[first : first + steps]).to(self._device)
        length = steps * HOP
        pulsing = self._pulses[which].repeat(1, -(-length // PAIR))[:, :length]
        hissing = self._hissing(kept, sentence, length)[None]
        harmonic = warped(periodic * voiced[:, None], self._factors[which]) * self._loudness[which][:, None, None]
        total = self._seen(pulsing) * (4 / FFT) * F.pad(harmonic, (0, 1))
        scale = float(self._window.square().sum()) ** -0.5
        total = total + self._seen(hissing) * scale * F.pad(warped(noisy, self._factors[which]), (0, 1))
        said = torch.istft(total, FFT, HOP, FFT, self._window, length=length)
        return louder(self._cut(said, kept, sentence))

    def _hissing(self, kept: Kept, sentence: int, length: int) -> Tensor:
        """The noise of a sentence, as its tokens say, (length,)."""
        start, frames = int(kept.frames[:sentence].sum()), int(kept.frames[sentence])
        said = np.arange(-(-length // SAMPLES_PER_TOKEN)) - (int(kept.begin[sentence]) - EARLY)
        own = kept.tokens[start : start + frames][said.clip(0, frames - 1)] // PHASES % STATES
        # `begin` and EARLY are even, so a frame is the first or the second of a pair here as in the tokens.
        states, pairs = torch.from_numpy(own.astype(np.int64)), torch.from_numpy(said % 2)
        return self._noise[states.to(self._device), pairs.to(self._device)].flatten()[:length]

    def _seen(self, source: Tensor) -> Tensor:
        return torch.stft(source, FFT, HOP, FFT, self._window, return_complex=True)

    def _cut(self, said: Tensor, kept: Kept, sentence: int) -> Tensor:
        """The part that the tokens are for."""
        length = int(kept.frames[sentence]) * SAMPLES_PER_TOKEN
        first = (BEFORE + int(kept.begin[sentence]) - EARLY) * SAMPLES_PER_TOKEN
        return F.pad(said, (BEFORE * SAMPLES_PER_TOKEN, length))[:, first : first + length]


def louder(waves: Tensor) -> Tensor:
    """Waves (K, samples) as loud as a voice's sample is made before it is encoded: louder parts reach about 0.2."""
    magnitudes = waves.abs().sort(dim=1).values
    audible = (magnitudes > AUDIBLE).sum(dim=1, keepdim=True)
    quiet = magnitudes.shape[1] - audible
    sums = F.pad(magnitudes.double().cumsum(1), (1, 0))
    ends = [quiet + (share * audible).long() for share in (0.9, 0.99)]
    volume = (sums.gather(1, ends[1]) - sums.gather(1, ends[0])) / (ends[1] - ends[0]).clamp(min=1)
    scale = torch.where(audible > 10, (VOLUME / volume.clamp(min=1e-3)).clamp(*RANGE), 1.0).float()
    scaled = waves * scale
    return scaled / scaled.abs().amax(dim=1, keepdim=True).clamp(min=1)
