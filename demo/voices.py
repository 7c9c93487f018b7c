"""The teacher's voices: variants of espeak-ng for training and for tests, and the meaning of labels."""

from __future__ import annotations

import numpy as np

from demo.teacher import Setting
from engine.types import Gender, Level

FEMALE = ("f1", "f2", "f3", "f4", "Annie", "Andrea", "anika", "aunty", "belinda", "grandma", "linda", "steph")
MALE = (
    *("", "m1", "m2", "m3", "m4", "m6", "m7", "Alex", "Gene2", "Michael", "adam", "boris", "ed", "john", "max"),
    *("norbert", "pablo", "paul", "rob", "robert", "sandro", "travis"),
)
UNSEEN = ("f5", "Alicia", "shelby", "Nguyen", "m5", "m8", "david", "Jacky", "Lee", "Denis")
"""Variants that training never hears: cloning is measured with them."""

CLONED = ("f5", "m5")
"""Those of them whose clones say all of the evaluation's sentences."""

LEVELS: tuple[Level, ...] = ("very_low", "low", "moderate", "high", "very_high")
RATES: dict[Level, int] = {"very_low": 115, "low": 145, "moderate": 175, "high": 210, "very_high": 250}
"""Words per minute for each speed label; a voice without a label speaks at the moderate one."""
PITCH_EDGES: dict[Gender, tuple[float, ...]] = {"female": (187, 212, 237, 262), "male": (87, 112, 137, 162)}
"""Pitch in Hz at which one label ends and the next begins; voices speak at multiples of 25 Hz."""
PITCHES = (10, 90)  # espeak-ng's pitch setting, lowest and highest that is taught


def gender(variant: str) -> Gender:
    """The gender of a training variant."""
    return "female" if variant in FEMALE else "male"


def pitch_label(of: Gender, frequency: float) -> int:
    """The label, 0 to 4, of a median fundamental frequency in Hz."""
    return int(np.searchsorted(PITCH_EDGES[of], frequency))


def draw(random: np.random.Generator) -> Setting:
    """A random training voice, with any pitch, at the moderate rate."""
    variants = FEMALE if random.random() < 0.5 else MALE
    return Setting(variants[random.integers(len(variants))], int(random.integers(PITCHES[0], PITCHES[1] + 1)))
