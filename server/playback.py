"""Whether a listener hears an answer without a gap: pure arithmetic."""

from __future__ import annotations


class Playback:
    """A listener who plays an answer from its first audio on, and waits whenever there is none yet."""

    def __init__(self) -> None:
        self._ends: float | None = None  # when all that has come will have been played

    def receive(self, at: float, seconds: float) -> bool:
        """Take so many seconds of audio, which came at the time `at`; whether playback had stalled before them."""
        stalled = self._ends is not None and at > self._ends
        self._ends = max(at, self._ends or at) + seconds
        return stalled
