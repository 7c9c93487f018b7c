"""What can be wrong with a take."""

from __future__ import annotations

import enum


class Fault(enum.StrEnum):
    """What is wrong with a take, as events, headers and metrics name it."""

    LOOP = "loop"
    """A sound is held, or a phrase is repeated, more often than speech does."""
    SILENCE = "silence"
    """Silence before the sentence or inside it, longer than a pause."""
    NOTHING = "nothing"
    """It ends before a third of the words can have been said."""
    LENGTH = "length"
    """It is far shorter or longer than the text takes in this voice."""
    RUNAWAY = "runaway"
    """It does not end although the text must have been said."""
    WORDS = "words"
    """The listener understood other words."""
