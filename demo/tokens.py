"""The demo's semantic tokens: the phoneme of a frame, which third of it, and which frame of a pair.

The published codec learned its tokens from many voices, in weeks of training. Here the teacher gives the times of the
phonemes, so the tokens are defined in advance, and are the same for every voice. The prenet learns to decode them, the
encoder to recognise them, and the language model to generate them. `demo.voicing` explains the pairs.
"""

from __future__ import annotations

from itertools import product
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from demo.teacher import Utterance
from engine.types import CODEC_SAMPLE_RATE, SAMPLES_PER_TOKEN, TOKENS_PER_SECOND, Samples, TokenIds

Tokens = TypeVar("Tokens", npt.NDArray[np.integer[Any]], torch.Tensor)

UNVOICED = ("_", "t", "s", "k", "f", "p", "h", "T", "S", "tS", "t2", "?")
"""espeak-ng's mnemonics; "_" is silence of any length."""
VOICED = (
    *(
        "n",
        "I",
        "d",
        "l",
        "z",
        "D",
        "r",
        "m",
        "@",
        "E",
        "a",
        "@2",
        "w",
        "V",
        "eI",
        "i:",
        "u:",
        "3",
        "i",
        "aI",
        "v",
        "b",
    ),
    *("j", "oU", "N", "0", "g", "t#", "I2", "I#", "a#", ";", "3:", "aU", "A@", "U", "dZ", "@L", "e@", "O2", "o@", "O@"),
    *("O:", "aa", "r-", "i@3", "U@", "OI", "i@", "A:", "Z", "aI@", "aI3", "n-", "@-"),
)
MANDARIN = (
    *("zh p", "zh pʰ", "zh t", "zh tʰ", "zh k", "zh kʰ", "zh x", "zh ʨ", "zh ʨʰ", "zh ɕ", "zh ꭧ", "zh ꭧʰ", "zh ʂ"),
    *("zh ɻ", "zh ʦ", "zh ʦʰ", "zh ɥ", "zh a", "zh ai", "zh au", "zh ɤ", "zh ei", "zh ə", "zh i", "zh ɛ", "zh e"),
    *("zh ou", "zh ʊ", "zh u", "zh o", "zh ɔ", "zh y", "zh ɚ", "zh ɨ"),
)
"""Mandarin's own, as `demo.mandarin` writes them; it shares others with English."""
PHONEMES = (*UNVOICED, *VOICED, *MANDARIN)
STATES = 3  # thirds of a phoneme
PHASES = 3  # the first frame of a pair, the second, or not known which: what is heard in a sample does not tell
UNKNOWN = 2

LEAD, TAIL = 2, 8
"""Frames of silence before and after a sentence: sentences are joined as they are."""

FACTORS: tuple[tuple[int, int, int], ...] = tuple(product(range(len(PHONEMES)), range(STATES), range(PHASES)))
"""Phoneme, third and phase of each token."""
CODES = len(FACTORS)
_PHONEME = {name: number for number, name in enumerate(PHONEMES)}


def index(name: str) -> int:
    """The number of a phoneme; raises KeyError for an unknown one."""
    return _PHONEME[name]


def padded(utterance: Utterance) -> Samples:
    """The samples with silence around them, a whole number of frames."""
    frames = LEAD + -(-len(utterance.samples) // SAMPLES_PER_TOKEN) + TAIL
    samples = np.zeros(frames * SAMPLES_PER_TOKEN, np.float32)
    samples[LEAD * SAMPLES_PER_TOKEN :][: len(utterance.samples)] = utterance.samples
    return samples


def phonemes(utterance: Utterance) -> list[tuple[int, int]]:
    """Each phoneme's index and first frame, in the padded samples; raises KeyError for an unknown phoneme.

    The first and the last are silence. A phoneme that contains no frame's middle is left out.
    """
    found = [(_PHONEME["_"], 0)]
    for name, seconds in utterance.phonemes:
        start = LEAD + int(np.ceil(seconds * TOKENS_PER_SECOND - 0.5))
        number = _PHONEME["_" if name in ("", "_:", "_") else name]
        if start <= found[-1][1]:
            found.pop()
        if not found or number != found[-1][0] or number != _PHONEME["_"]:
            found.append((number, max(start, 0) if found else 0))
    return found


def frequencies(samples: Samples) -> npt.NDArray[np.float64]:
    """The fundamental frequency of each frame in Hz by Praat, 0 where there is none, (frames,)."""
    import parselmouth  # here: training needs no more than the tokens, and may run where Praat is not installed

    sound = parselmouth.Sound(samples.astype(np.float64), CODEC_SAMPLE_RATE)
    pitch = sound.to_pitch(time_step=1 / TOKENS_PER_SECOND, pitch_floor=55, pitch_ceiling=450)
    found = pitch.selected_array["frequency"]
    middles = (np.arange(len(samples) // SAMPLES_PER_TOKEN) + 0.5) / TOKENS_PER_SECOND
    nearest = np.rint((middles - pitch.xs()[0]) * TOKENS_PER_SECOND).astype(int)
    inside = (nearest >= 0) & (nearest < len(found))
    return np.where(inside, found[np.clip(nearest, 0, len(found) - 1)], 0.0)


def tokens(starts: list[tuple[int, int]], frames: int) -> TokenIds:
    """The semantic tokens of an utterance, (frames,)."""
    out = np.empty(frames, np.int64)
    ends = [start for _, start in starts[1:]] + [frames]
    for (phoneme, start), end in zip(starts, ends, strict=True):
        frame = np.arange(start, end)
        state = ((frame - start + 0.5) * STATES / (end - start)).astype(int)
        out[start:end] = (phoneme * STATES + state) * PHASES + frame % 2
    return out


def unknown_phase(known: Tokens) -> Tokens:
    """The same tokens without their phase, for arrays and tensors."""
    without: Tokens = known // PHASES * PHASES + UNKNOWN
    return without
