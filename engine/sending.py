"""What is sent of a sentence: tokens, in windows through the codec, trimmed, and joined where another take goes on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from engine.codec.windows import Window, WindowPlan, Windows
from engine.codec.worker import CodecWorker
from engine.planning import Sentence
from engine.postprocess import crossfade, fade
from engine.takes.take import INNER, Take
from engine.takes.trimming import Trimmer
from engine.types import TOKENS_PER_SECOND, AudioChunk, Passage, Samples, Usage


@dataclass(frozen=True, slots=True)
class _Piece:
    """A window's samples, and the tokens that it was decoded from."""

    window: Window
    tokens: list[int]
    samples: Samples


class Sending:
    """What was sent of one sentence, and what waits for that."""

    def __init__(self, codec: CodecWorker, plan: WindowPlan, sentence: Sentence, prompt_tokens: int) -> None:
        self._codec = codec
        self._plan = plan
        self._sentence = sentence
        self._trimmer = Trimmer(sentence.pause, first=sentence.index == 0)
        self._windows = Windows(plan)
        self._waiting: deque[_Piece] = deque()
        self._last: _Piece | None = None  # that was sent
        self._seam: Samples | None = None  # how the last take went on
        self._prompt_tokens = prompt_tokens  # 0 once they are counted
        self._counted = 0  # tokens that the usage has

    @property
    def sent(self) -> int:
        """Frames that were sent for good."""
        return self._trimmer.sent

    @property
    def next(self) -> Window | None:
        """The window that is sent next, if one was heard."""
        return self._waiting[0].window if self._waiting else None

    @property
    def waiting(self) -> Samples:
        """All samples that were heard and not sent, shape (n,)."""
        return np.concatenate([piece.samples for piece in self._waiting] or [np.zeros(0, np.float32)])

    async def hear(self, take: Take, *, ended: bool = False) -> None:
        """Decode the windows that are complete, until the take has a fault; all that are left if it has `ended`."""
        while not take.fault and (window := self._windows.next(len(take.tokens), ended=ended)):
            tokens = take.tokens[window.start : window.end]
            start, end = window.keep_start - window.start, window.keep_end - window.start
            samples = await self._decode(tokens, start, end, window.keep_start)
            take.hear(samples, last=window.last)
            self._waiting.append(_Piece(window, tokens, fade(samples, start=window.keep_start == 0, end=window.last)))

    async def is_silent(self, take: Take, start: int) -> bool:
        """Whether a take's tokens from `start` have no sound; the last ones are what the decoder looks ahead."""
        begin, end = max(0, start - self._plan.context), len(take.tokens) - self._plan.first_lookahead
        if end <= start:
            return False
        samples = await self._decode(take.tokens[begin:], start - begin, end - begin, start)
        return take.sound.is_silent(samples)

    def send(self, take: Take) -> AudioChunk:
        """Return the next window's samples, as far as it is known what follows silence."""
        piece = self._last = self._waiting.popleft()
        window, samples = piece.window, piece.samples
        if self._seam is not None:
            samples = crossfade(self._seam, samples)
            self._seam = None
        sound = take.sound.frames[window.keep_start : window.keep_end]
        usage = Usage(self._prompt_tokens, max(0, window.keep_end - self._counted))
        self._prompt_tokens, self._counted = 0, max(self._counted, window.keep_end)
        return AudioChunk(self._trimmer.push(samples, sound), usage)

    def send_rest(self, take: Take) -> list[AudioChunk]:
        """Return all that is left, and the pause after it; if nothing is, the sentence ends with a fade."""
        chunks = []
        while self._waiting:
            chunks.append(self.send(take))
        if self._seam is not None:
            chunks.append(AudioChunk(self._trimmer.push(fade(self._seam, start=False, end=True), [True]), Usage()))
        return [*chunks, AudioChunk(self._trimmer.end(), Usage())]

    async def rewind(self) -> int:
        """Forget what was not sent, and return the number of frames that were; another take goes on after them."""
        held = self._trimmer.rewind()
        self._waiting.clear()
        self._windows = Windows(self._plan, self.sent)
        self._seam = None
        if self.sent and self._last is not None:
            at = self.sent - self._last.window.start
            self._seam = held if held is not None else await self._decode(self._last.tokens, at, at + 1, self.sent)
        return self.sent

    def shorten_silence(self) -> None:
        """From now on send no more silence inside the sentence than a take may have."""
        self._trimmer.longest = INNER

    async def _decode(self, tokens: list[int], start: int, end: int, at: int) -> Samples:
        """Decode tokens, and return the samples of those from `start` to `end`; the first is `at` in the sentence."""
        passage = Passage(np.array(tokens, np.int64), self._sentence.voice.global_tokens, slice(start, end))
        return await self._codec.decode(passage, self._sentence.due + at / TOKENS_PER_SECOND)
