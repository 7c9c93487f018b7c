"""Voices to clone that training never heard: of synthesisers, and of people, in two of Debian's packages.

    apt install asterisk-core-sounds-en-g722 asterisk-core-sounds-en pocketsphinx-testdata

The recordings stay on the machine that evaluates: nothing of them is in the repository or in the weights.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from demo.teacher import Setting, Teacher
from demo.texts import held_out
from demo.voices import CLONED
from engine.types import CODEC_SAMPLE_RATE, Samples

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")  # one woman; CC BY-SA
PROMPT_TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
SAID = ("cannot-complete-as-dialed", "check-number-dial-again", "all-circuits-busy-now")
BOOK = Path("/usr/share/pocketsphinx/test/data/librivox")  # one man reads a novel; public domain
PASSAGE = "sense_and_sensibility_01_austen_64kb-0870"


@dataclass(frozen=True, slots=True)
class Recording:
    """A voice's sample at 16 kHz, and what it says, if that is known."""

    samples: Samples
    text: str | None


def of_synthesiser() -> dict[str, Recording]:
    """Variants of espeak-ng."""
    text = " ".join(held_out()[:3])
    teacher = Teacher()
    return {variant: Recording(teacher.speak(text, Setting(variant)).samples, text) for variant in CLONED}


def of_people() -> dict[str, Recording]:
    """A woman who says announcements, and a man who reads; each only if the package is installed."""
    found = {}
    if PROMPTS.is_dir() and PROMPT_TEXTS.exists():
        written = dict(re.findall(r"(?m)^([\w-]+): (.+)$", gzip.decompress(PROMPT_TEXTS.read_bytes()).decode()))
        said = np.concatenate([_decoded(PROMPTS / f"{name}.g722") for name in SAID])
        found["a woman's announcements"] = Recording(said, " ".join(written[name] for name in SAID))
    if BOOK.is_dir():
        written = dict(re.findall(r"(?m)^<s> (.+) </s> \((.+)\)$", (BOOK / "transcription").read_text()))
        words = {name: text for text, name in written.items()}[PASSAGE]
        found["a man who reads"] = Recording(_decoded(BOOK / f"{PASSAGE}.wav"), f"{words.capitalize()}.")
    return found


def of_files(files: list[Path]) -> dict[str, Recording]:
    """Recordings in files; what one says is in a .txt beside it."""
    texts = {file: file.with_suffix(".txt") for file in files}
    return {
        file.stem: Recording(_decoded(file), text.read_text().strip() if text.exists() else None)
        for file, text in texts.items()
    }


def _decoded(file: Path) -> Samples:
    """A file's samples, mono at 16 kHz; raw G.722 is told by its name."""
    with av.open(str(file), format="g722" if file.suffix == ".g722" else None) as container:
        resampler = av.AudioResampler("flt", "mono", CODEC_SAMPLE_RATE)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]])
