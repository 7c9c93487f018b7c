"""A take: one drawing of a sentence's tokens, watched while it comes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.takes.faults import Fault
from engine.takes.length import Lengths
from engine.takes.loops import Loops
from engine.takes.sound import Sound
from engine.types import TOKENS_PER_SECOND, Samples

LEADING = 7 * TOKENS_PER_SECOND // 10  # tokens, 0.7 s: longest silence before a sentence
INNER = TOKENS_PER_SECOND  # tokens, 1 s: longest silence inside a sentence
AROUND = 25  # tokens, 0.5 s: silence before and after a sentence


class Take:
    """One drawing, with the first fault that is found in it.

    `good` is the number of tokens before the fault. Another take may go on after `resume` of its tokens; those after
    them are to be drawn again. What is found depends on the tokens and their samples alone, and not on when they come.
    """

    def __init__(
        self,
        lengths: Lengths | None,
        kept: Sequence[int] = (),
        sound: Sound | None = None,
        *,
        through_silence: bool = False,
    ) -> None:
        """Go on after the tokens `kept` of another take; `sound` is what was heard of them.

        Without `lengths` nothing is judged. `through_silence` goes on whatever silence there is, which is then no part
        of the length: silence can be cut out, and words that were not drawn are lost.
        """
        self.lengths = lengths
        self.tokens: list[int] = list(kept)
        self.sound = sound or Sound()
        self.fault: Fault | None = None
        self.good = self.resume = 0
        self.errors = 0.0  # the share of wrong words, by the listener
        self.ended = False  # the model has said that it is the end
        self.through_silence = through_silence
        self._surplus = [0, 0]  # frames of silence beyond what may be: before the first sound, and inside
        self._goes_on = bool(kept)
        self._loops = Loops(lengths.said if lengths else 1)
        self._pardoned = 0  # tokens that the loops do not have
        if lengths:
            for token in kept:
                self._loops.push(token)

    def is_sure(self, tokens: int) -> bool:
        """Whether the first `tokens` may be heard before the take has passed.

        Not while the last tokens may be the beginning of a loop, and not if the sentence may have ended before.
        """
        return not self._loops.suspicious and (not self.lengths or tokens <= self.lengths.usual)

    def push(self, token: int) -> None:
        """Take the next token."""
        self.tokens.append(token)
        if not self.lengths:
            return
        second_turn = self._loops.push(token)
        if second_turn is not None:
            self.fail(Fault.LOOP, self._pardoned + second_turn)
        elif len(self.tokens) - sum(self._surplus) > self.lengths.longest + AROUND:
            self.fail(Fault.RUNAWAY, self.lengths.usual, resume=0)

    def pardon(self) -> None:
        """Take back a loop that was silence: how long that may be is judged by its samples."""
        self.fault = None
        self.good = self.resume = 0
        self._loops = Loops(self.lengths.said if self.lengths else 1)
        self._pardoned = len(self.tokens)

    def hear(self, samples: Samples, *, last: bool) -> None:
        """Take the samples of the next tokens, shape (320 T,). Silence at the end of the `last` is no fault."""
        self.sound.push(samples)
        if not self.lengths:
            return
        self._surplus = [0, 0]
        for start, end in self.sound.silences():
            beyond = end - start - (INNER if start else LEADING)
            trailing = last and end == len(self.sound.frames)
            if beyond > 0 and not trailing:
                self._surplus[start > 0] += beyond
                if not self.through_silence:
                    self.fail(Fault.SILENCE, start)
                    break

    def end(self, *, bounded: bool) -> None:
        """Judge the whole, after the last token was heard; `bounded` if it has as many tokens as the model may draw."""
        lengths, spoken = self.lengths, self.sound.spoken - self._surplus[1]
        if not lengths or self.fault:
            return
        shortest = lengths.complete if self._goes_on else lengths.shortest
        if bounded:
            self.fail(Fault.RUNAWAY, min(len(self.tokens), lengths.usual), resume=0)
        elif spoken <= lengths.third:
            self.fail(Fault.NOTHING, len(self.tokens) - self.sound.trailing)
        elif not shortest <= spoken <= lengths.longest:
            good = len(self.tokens) - self.sound.trailing
            self.fail(Fault.LENGTH, good, resume=good if spoken < shortest else 0)

    def fail(self, fault: Fault, good: int, resume: int | None = None) -> None:
        """Note a fault after `good` tokens, unless one was found before."""
        if self.fault is None:
            self.fault, self.good = fault, good
            self.resume = good if resume is None else resume

    @property
    def overran(self) -> bool:
        """Whether it failed by going on, so that nobody knows where in it the sentence ended."""
        return self.fault in (Fault.RUNAWAY, Fault.LENGTH) and not self.resume

    @property
    def badness(self) -> float:
        """How bad a failed take is: its share of wrong words, or more the further its length is from the expected."""
        if self.fault is Fault.WORDS or not self.lengths:
            return self.errors
        return 1 + abs(math.log((self.good + 1) / (self.lengths.expected + 1)))
