"""The natural teacher: hibari, a small English speech synthesiser, with the time of each phoneme and its spectra.

Its network says how loud each frequency is, periodic and noisy, so a sentence can be spoken at any pitch and with any
length of the vocal tract. Its weights (Apache-2.0) are for training only. A word's end is said as a sound of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from demo.tokens import LEAD, TAIL, index, tokens
from engine.types import CODEC_SAMPLE_RATE, TOKENS_PER_SECOND, Samples, TokenIds

UNIT = 0.025  # seconds: hibari's durations are multiples of it
_DURATIONS = "/Clip_output_0"  # the node that holds each phoneme's units
_PUNCTUATION = set(';:,.!?—…"()“”')
_STRESS = "ˈˌ"
END_OF_WORD = "@-"  # a rare phoneme of espeak-ng, which hibari has no use for
_PAIRS = {"ɜɹ": "3:", "əɹ": "3", "ɑɹ": "A@", "ɔɹ": "O@", "ɛɹ": "e@", "ɪɹ": "i@3", "ʊɹ": "U@", "Iɹ": "aI3"}
_SINGLE = {
    "p": "p",
    "b": "b",
    "t": "t",
    "d": "d",
    "k": "k",
    "ɡ": "g",
    "f": "f",
    "v": "v",
    "θ": "T",
    "ð": "D",
    "s": "s",
    "z": "z",
    "ʃ": "S",
    "ʒ": "Z",
    "ʧ": "tS",
    "ʤ": "dZ",
    "h": "h",
    "m": "m",
    "n": "n",
    "ŋ": "N",
    "l": "l",
    "ɹ": "r",
    "w": "w",
    "j": "j",
    "T": "t#",
    "ɾ": "t#",
    "ʔ": "?",
    "i": "i:",
    "ɪ": "I",
    "ᵻ": "I2",
    "ɛ": "E",
    "æ": "a",
    "ɑ": "A:",
    "ɔ": "O:",
    "ʌ": "V",
    "ə": "@",
    "ᵊ": "@2",
    "ɜ": "3:",
    "u": "u:",
    "ʊ": "U",
    "A": "eI",
    "I": "aI",
    "O": "oU",
    "W": "aU",
    "Y": "OI",
    "x": "k",
    "ɚ": "3",
    "ɐ": "@",
}
"""hibari's phonemes, which are misaki's for American English, as espeak-ng's mnemonics."""


@dataclass(frozen=True, slots=True)
class Spectra:
    """A sentence in steps of 12.5 ms: amplitudes every 20 Hz, periodic and noisy, both (601, T), and F0 in Hz (T,)."""

    periodic: npt.NDArray[np.float32]
    noisy: npt.NDArray[np.float32]
    frequency: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence as tokens (T,), and the character of the text that each of them says (T,).

    `begin` is the first token's frame in what the teacher says: an even one, so that pairs of frames stay together.
    """

    text: str
    tokens: TokenIds
    characters: npt.NDArray[np.int16]
    begin: int
    spectra: Spectra | None = None


class NaturalTeacher:
    """hibari with its durations. Use one per process."""

    def __init__(self) -> None:
        """Load the network; raises RuntimeError if it is not installed."""
        try:
            import onnx
            import onnxruntime
            from hibari import Hibari
        except ImportError as error:
            raise RuntimeError("The natural teacher is not installed: pip install -e '.[demo]'") from error
        self._hibari = Hibari()
        model = onnx.load(self._hibari.model_path)
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(_DURATIONS))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._whole = onnxruntime.InferenceSession(model.SerializeToString(), options)
        parts = onnx.utils.Extractor(model).extract_model(["ids", "speed"], [_DURATIONS])
        self._timing = onnxruntime.InferenceSession(parts.SerializeToString(), options)

    def read(self, text: str, speed: float = 1.0, spectra: bool = False) -> Reading | None:
        """Read a text of one sentence; None if its words and their phonemes do not correspond."""
        said = self._hibari.g2p(text)
        ids = self._hibari.ids(said)
        if len(ids) != len(said) + 2 or len(said.split(" ")) != len(text.split(" ")):
            return None
        inputs = {"ids": np.array([ids]), "speed": np.array([speed], np.float32)}
        found = None
        if spectra:
            periodic, _, faint, noisy, _, frequency, units = self._whole.run(None, inputs)
            found = Spectra(np.exp(periodic[0]), np.hypot(np.exp(faint[0]), np.exp(noisy[0])), frequency[0])
        else:
            (units,) = self._timing.run(None, inputs)
        starts = _starts(said, units.ravel())
        if starts is None:
            return None
        begin = (starts[0][1] - LEAD) // 2 * 2
        frames = starts[-1][1] - begin + TAIL  # the silence at the end begins there
        phonemes = [(index("_"), 0)] + [(phoneme, start - begin) for phoneme, start, _ in starts]
        return Reading(text, tokens(phonemes, frames), characters(text, starts, begin, frames), begin, found)

    def speak(self, text: str) -> Samples:
        """What hibari itself makes of a text, at 16 kHz."""
        samples: Samples = soxr.resample(self._hibari(text, seed=0), self._hibari.sample_rate, CODEC_SAMPLE_RATE)
        return samples


def _starts(said: str, units: npt.NDArray[np.float64]) -> list[tuple[int, int, int]] | None:
    """Each phoneme's index, first frame and word, from the end of the silence before the text; None for unknown ones.

    The last is the silence after the text. A phoneme that contains no frame's middle is left out.
    """
    times = np.concatenate([[0], np.cumsum(units)]) * UNIT
    found: list[tuple[int, int, int]] = []
    word, at, stressed = 0, 1, None
    while at <= len(said):
        letters = said[at - 1 : at + 1]
        seconds = times[at] if stressed is None else stressed
        stressed = None
        at += len(letters) if letters in _PAIRS else 1
        if letters[0] in _STRESS:
            stressed = seconds  # belongs to the vowel that follows
            continue
        name = _PAIRS.get(letters) or _SINGLE.get(letters[0])
        if letters[0] in _PUNCTUATION or (letters[0] == " " and found and found[-1][0] == index("_")):
            name = "_"
        elif letters[0] == " ":
            name = END_OF_WORD
        if name is None:
            return None
        start = int(np.ceil(seconds * TOKENS_PER_SECOND - 0.5))
        while found and start <= found[-1][1]:
            found.pop()
        if not (found and name == "_" and found[-1][0] == index("_")):
            found.append((index(name), start, word))
        word += letters[0] == " "
    if not found or found[-1][0] != index("_"):
        return None
    return found


def characters(text: str, starts: list[tuple[int, int, int]], begin: int, frames: int) -> npt.NDArray[np.int16]:
    """The character that each frame says, (frames,). All characters of a word count as equally long.

    `starts` are each phoneme's index, first frame and word, up to the silence after the text.
    """
    letters = [match.start() for match in re.finditer(r"\S+", text)]
    times, places = [0.0], [0.0]
    for (_, _, before), (_, start, word) in zip([(0, 0, -1), *starts], starts, strict=False):
        if word != before and start - begin > times[-1]:
            times.append(float(start - begin))
            places.append(float(letters[word]))
    times.append(float(frames - TAIL))
    places.append(float(len(text) - 1))
    found: npt.NDArray[np.int16] = np.interp(np.arange(frames) + 0.5, times, places).round().astype(np.int16)
    return found
