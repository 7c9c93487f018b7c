"""What independent judges hear: the words of English, the syllables of Mandarin, and the quality of speech.

The judges are Whisper and DNSMOS, in an environment of their own (`demo.listener`): `make listener` installs it.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import soundfile

from engine.text.normalise import normalise
from engine.text.pinyin import spelled
from engine.types import CODEC_SAMPLE_RATE, Samples

PYTHON = Path(__file__).parents[1] / ".venv-listen/bin/python"
LISTENER = Path(__file__).with_name("listener.py")

Size = Literal["base", "tiny.en"]
ListenerLanguage = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in a recording; `quality` is DNSMOS's overall score of 1 to 5, if it was asked for."""

    text: str
    quality: float | None = None


def hear(
    recordings: Sequence[Samples], size: Size = "base", language: ListenerLanguage = "en", quality: bool = False
) -> list[Heard]:
    """What the judges hear in recordings at 16 kHz; raises RuntimeError if they are not installed."""
    if not PYTHON.exists():
        raise RuntimeError("The judges of speech are not installed: make listener")
    with TemporaryDirectory() as directory:
        names = [f"{directory}/{n}.wav" for n in range(len(recordings))]
        for name, samples in zip(names, recordings, strict=True):
            soundfile.write(name, samples, CODEC_SAMPLE_RATE)
        command = [PYTHON, LISTENER, "--size", size, "--language", language, *(["--quality"] if quality else [])]
        done = subprocess.run(command, input=json.dumps(names), stdout=subprocess.PIPE, text=True, check=True)
    return [Heard(**json.loads(line)) for line in done.stdout.splitlines()]


def units(text: str) -> list[str]:
    """A text as the judge's errors are counted: English words in lower case, Mandarin syllables without their tones.

    So a Chinese character may be heard as another that is said alike: voices without melody have no tones.
    """
    plain = normalise(text).lower().replace("'", "").replace("’", "").replace("-", " ")
    return [re.sub(r"(?<=[a-z])[1-5]$", "", unit) for unit in re.findall(r"[a-z0-9]+", spelled(plain))]


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """How many units must be replaced, inserted or deleted to make one text the other (Levenshtein 1966)."""
    row = np.arange(len(heard) + 1)
    for n, unit in enumerate(said, 1):
        # The best of replacing and deleting, then of inserting, which goes from left to right.
        changed = np.minimum(row[1:] + 1, row[:-1] + np.array([unit != other for other in heard], np.int64))
        ahead = np.concatenate([[n], changed]) - np.arange(len(heard) + 1)
        row = np.minimum.accumulate(ahead) + np.arange(len(heard) + 1)
    return int(row[-1])


def error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """The errors in all of what was heard, per unit of the texts that were said."""
    pairs = [(units(text), units(other)) for text, other in zip(said, heard, strict=True)]
    return sum(errors(*pair) for pair in pairs) / sum(len(text) for text, _ in pairs)
