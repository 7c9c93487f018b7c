"""Draw the waveform and the spectrogram of an audio file, as docs/assets/hello.png has them.

fast-spark say 'Good morning. This voice is a small robot, and it speaks English.' --voice alloy --seed 1 -o hello.mp3
python scripts/draw_speech.py hello.mp3 hello.png
"""

from __future__ import annotations

import sys

import matplotlib
import numpy as np
import soundfile

matplotlib.use("Agg")

from matplotlib import pyplot as plt

COLOUR = "#3b6ea5"


def draw(audio: str, picture: str) -> None:
    """Write the picture of an audio file."""
    samples, rate = soundfile.read(audio, dtype="float32")
    seconds = len(samples) / rate
    figure, (wave, bands) = plt.subplots(2, 1, figsize=(10, 4), sharex=True, height_ratios=(1, 2))
    wave.plot(np.arange(len(samples)) / rate, samples, color=COLOUR, linewidth=0.4)
    wave.set(ylim=(-1, 1), yticks=(-1, 0, 1), ylabel="amplitude")
    bands.specgram(samples + 1e-6, NFFT=512, noverlap=256, Fs=rate, cmap="magma", vmin=-140, vmax=-40)
    bands.set(xlim=(0, seconds), ylim=(0, 8_000), xlabel="seconds", ylabel="Hz")
    figure.tight_layout()
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    draw(*sys.argv[1:])
