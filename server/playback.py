"""Detection of underruns in the playback of a response."""

from __future__ import annotations


class Playback:
    """A playback that starts with the first audio, and stalls when the buffer is empty."""

    def __init__(self) -> None:
        self._ends: float | None = None  # when the received audio has been played

    def receive(self, at: float, seconds: float) -> bool:
        """Add `seconds` of audio, received at the time `at`; returns whether playback had stalled before."""
        stalled = self._ends is not None and at > self._ends
        self._ends = max(at, self._ends or at) + seconds
        return stalled
