"""The language model's lessons: prompts of all forms with their answers, at random, in batches of similar length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.material import Material, Numbers
from demo.model import vocabulary
from demo.natural import END_OF_WORD
from demo.reading import Said, pronunciations, word_ends
from demo.tokens import CODES, LEAD, PHASES, STATES, TAIL, index, unknown_phase
from demo.voices import LEVELS, pitch_label
from engine.tokens.prompts import Prompts
from engine.types import ClonedVoiceTokens, CreatedVoiceTokens, Gender, VoiceAttributes

CONTENT = 2  # ids before the text in every prompt
MODERATE = 2  # the label of the speed of voices without a label
PLAIN, JOINED, SAMPLED = 0.4, 0.2, 0.3  # of the batches: texts alone, several in a row, after a sample; the rest: mixed
CLONED = 0.75  # of the lessons at moderate speed, when they begin with no sample
AFTER_OWN = 0.4  # of the lessons with several texts begin with some of them as a sample, misheard at random
MISHEARD = 0.9  # at most of such a sample's tokens,
MISHEARD_AGAIN = 0.5  # and of those that the encoder heard
UNPUNCTUATED = 0.3  # of the texts end with a letter, as people write them
MANDARIN = 1 / 4  # so many of its texts for each English one: pinyin is soon learnt
SHORT = 30  # letters at most of the Mandarin in a mixed text
SEAM = 3  # frames of silence between two languages
LETTERS = 0.6  # ids of texts whose words are read, for each id of a lesson


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt with its answer; for each id of the answer, the letter that it says (or -1) and the end of the word."""

    prompt: Numbers
    answer: Numbers
    letters: Numbers
    ends: Numbers


@dataclass(frozen=True, slots=True)
class Text:
    """A text, its semantic tokens, and the letter that each of them says."""

    text: str
    tokens: Numbers
    letters: Numbers


class Lessons:
    """Prompts of all forms, built at random from texts, samples and voices."""

    def __init__(self, material: Material, random: np.random.Generator, size: int) -> None:
        """Batches have about `size` ids."""
        self._material, self._random, self._size = material, random, size
        self._vocabulary = vocabulary()
        self._prompts = Prompts(self._vocabulary)
        self._first = self._vocabulary.semantic.first
        self._end = self._vocabulary.id("<|end_semantic_token|>")
        english, mandarin = np.flatnonzero(~material.mandarin), np.flatnonzero(material.mandarin)
        self._inserted = mandarin[(material.texts.lengths[mandarin] <= SHORT) & (material.speed[mandarin] == MODERATE)]
        # Some are repeated; those that are equally long are in any order.
        repeated = np.resize(mandarin, int(MANDARIN * len(english))) if len(mandarin) else mandarin
        shown = random.permutation(np.concatenate([english, repeated]))
        self._moderate = shown[material.speed[shown] == MODERATE]
        lengths = material.tokens.lengths + material.texts.lengths
        self._by_length = shown[np.argsort(lengths[shown], kind="stable")]
        self._by_letters = shown[np.argsort(material.texts.lengths[shown], kind="stable")]
        self._samples = np.argsort(material.heard.lengths, kind="stable")

    def batch(self) -> list[Lesson]:
        """Lessons of similar length."""
        kind = self._random.random()
        if kind < PLAIN:
            return self._of_texts(1)
        if kind < PLAIN + JOINED:
            return self._of_texts(int(self._random.integers(2, 6)))
        if kind < PLAIN + JOINED + SAMPLED and len(self._samples):
            return self._of_samples()
        return self._mixed() if len(self._inserted) else self._of_texts(1)

    def words(self) -> tuple[list[Numbers], list[Said]]:
        """The beginnings of prompts, up to the text's end, with the pronunciations of their words."""
        first = int(self._random.integers(len(self._by_letters)))
        size = int(self._material.texts.lengths[self._by_letters[first]]) + CONTENT
        prompts, said = [], []
        for n in self._by_letters[first : first + max(1, int(LETTERS * self._size) // size)]:
            text = self._ended(self._text(n))
            prompts.append(self._prompt(text.text, 0)[: CONTENT + len(text.text) + 1])
            said.append(pronunciations(text.text, text.tokens, text.letters))
        return prompts, said

    def _of_texts(self, count: int) -> list[Lesson]:
        """Lessons with so many texts one after the other."""
        return [
            self._lesson([self._text(n) for n in texts], int(self._material.speed[texts[0]]))
            for texts in self._neighbours(count, 45)
        ]

    def _neighbours(self, count: int, others: int) -> list[list[int]]:
        """Groups of texts at one speed, `count` at most; all texts are as long. Lessons have `others` ids beside."""
        material, first = self._material, int(self._random.integers(len(self._by_length)))
        n = self._by_length[first]
        each = int(material.tokens.lengths[n] + material.texts.lengths[n])
        groups = max(1, self._size // (count * each + others))
        chosen = self._by_length[first : first + count * groups].tolist()
        found = [chosen[start : start + count] for start in range(0, len(chosen), count)]
        return [[n for n in group if material.speed[n] == material.speed[group[0]]] for group in found]

    def _of_samples(self) -> list[Lesson]:
        """Lessons in which texts come after a sample as the encoder hears it."""
        material, first = self._material, int(self._random.integers(len(self._samples)))
        n = self._samples[first]
        longest = int(material.heard.lengths[n] + material.transcripts.lengths[n]) + 250
        chosen = self._samples[first : first + max(1, self._size // longest)]
        lessons = []
        for sample in chosen.tolist():
            transcript = self._as_written(material.transcripts.text(sample))
            count = 1 if self._random.random() < 0.7 else 2
            texts = [self._text(n) for n in self._random.choice(self._moderate, count).tolist()]
            answer = self._ended(joined(texts))
            before = len(transcript) + 1
            heard = self._misheard(material.heard[sample].astype(np.int64), MISHEARD_AGAIN)
            voice = ClonedVoiceTokens(material.heard_voices[sample].astype(np.int64))
            prompt = self._prompts.speak(f"{transcript} {answer.text}", voice).ids
            whole = Text(f"{transcript} {answer.text}", answer.tokens, answer.letters + before)
            lessons.append(self._answered(np.concatenate([prompt, heard + self._first]), whole))
        return lessons

    def _mixed(self) -> list[Lesson]:
        """Lessons with a sentence in both languages."""
        lessons = []
        for (n,) in self._neighbours(1, 150):
            if self._material.speed[n] != MODERATE:
                continue
            parts = [self._text(n), self._text(int(self._random.choice(self._inserted)))]
            if self._random.random() < 0.5:
                parts.reverse()
            if self._random.random() < 0.3:
                parts.append(self._text(int(self._random.choice(self._moderate))))
            lessons.append(self._lesson([seamless(parts)], MODERATE))
        return lessons

    def _lesson(self, texts: list[Text], speed: int) -> Lesson:
        """A lesson with texts in one cloned or created voice."""
        text = self._ended(joined(texts))
        if len(texts) > 1 and speed == MODERATE and self._random.random() < AFTER_OWN:
            heard = sum(len(part.tokens) for part in texts[: int(self._random.integers(1, len(texts)))])
            sample = self._misheard(unknown_phase(without_word_ends(text.tokens[:heard])), MISHEARD)
            prompt = np.concatenate([self._prompt(text.text, self._voice()), sample + self._first])
            return self._answered(prompt, Text(text.text, text.tokens[heard:], text.letters[heard:]))
        voice = self._voice()
        if speed == MODERATE and self._random.random() < CLONED:
            return self._answered(self._prompt(text.text, voice), text)
        globals_ = self._material.voices[voice].astype(np.int64)
        gender: Gender = "female" if self._material.female[voice] else "male"
        frequency = float(self._material.pitch[voice])
        attributes = VoiceAttributes(gender, LEVELS[pitch_label(gender, frequency)], LEVELS[speed])
        asked = self._prompts.create_voice(text.text, attributes).ids
        acoustic = self._acoustic(frequency, speed)
        known = self._prompts.speak(text.text, CreatedVoiceTokens(globals_, attributes, acoustic)).ids
        return self._answered(np.array(asked), text, np.array(known[len(asked) :]))

    def _answered(self, prompt: Numbers, text: Text, begun: Numbers | None = None) -> Lesson:
        """The lesson of a prompt; its answer begins with `begun`, then says the text."""
        before = np.zeros(0, np.int64) if begun is None else begun
        letters = np.append(text.letters, len(text.text) - 1)
        ends = np.array(word_ends(text.text))[letters]
        silent = np.full(len(before), -1)
        return Lesson(
            prompt,
            np.concatenate([before, text.tokens + np.int64(self._first), [self._end]]),
            np.concatenate([silent, letters]),
            np.concatenate([silent, ends]),
        )

    def _text(self, n: int) -> Text:
        material = self._material
        return Text(material.texts.text(n), material.tokens[n].astype(np.int64), material.spoken[n].astype(np.int64))

    def _voice(self) -> int:
        return int(self._random.integers(len(self._material.voices)))

    def _prompt(self, text: str, voice: int) -> Numbers:
        """The prompt of a cloned voice."""
        return np.array(self._prompts.speak(text, ClonedVoiceTokens(self._material.voices[voice])).ids)

    def _ended(self, text: Text) -> Text:
        """A text, sometimes without its punctuation."""
        written = self._as_written(text.text)
        return Text(written, text.tokens, np.minimum(text.letters, len(written) - 1))

    def _as_written(self, text: str) -> str:
        return text.rstrip(".?!") if self._random.random() < UNPUNCTUATED else text

    def _misheard(self, tokens: Numbers, most: float) -> Numbers:
        """The tokens of a sample, some of them replaced."""
        # More often few than many.
        wrong = self._random.random(len(tokens)) < most * self._random.random() ** 2
        return np.where(wrong, self._random.integers(CODES, size=len(tokens)), tokens)

    def _acoustic(self, frequency: float, speed: int) -> tuple[int, ...]:
        """The acoustic block: pitch in Hz, loudness, speed."""
        names = (
            "start_acoustic_token",
            f"pitch_value_{round(frequency)}",
            "loudness_value_15",
            f"speed_value_{2 * speed + 1}",
            "end_acoustic_token",
        )
        return tuple(self._vocabulary.id(f"<|{name}|>") for name in names)


def joined(texts: list[Text]) -> Text:
    """Texts one after the other, with a space between them."""
    if len(texts) == 1:
        return texts[0]
    starts = np.cumsum([0, *(len(part.text) + 1 for part in texts)])
    return Text(
        " ".join(part.text for part in texts),
        np.concatenate([part.tokens for part in texts]),
        np.concatenate([part.letters + start for part, start in zip(texts, starts, strict=False)]),
    )


def seamless(parts: list[Text]) -> Text:
    """One sentence of several: without the punctuation and most of the silence between them."""
    cut = []
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        text = part.text if last else part.text.rstrip(".?!")
        # Whole pairs of frames are left out, so that the others stay together.
        begin = 0 if place == 0 else LEAD // 2 * 2
        end = len(part.tokens) if last else (len(part.tokens) - TAIL + SEAM - begin) // 2 * 2 + begin
        kept = slice(begin, end)
        cut.append(Text(text, part.tokens[kept], np.minimum(part.letters[kept], len(text) - 1)))
    return joined(cut)


def without_word_ends(said: Numbers) -> Numbers:
    """Semantic tokens (T,) with the sound before it in place of each end of a word: espeak-ng's voices have none."""
    ends = said // (STATES * PHASES) == index(END_OF_WORD)
    return said[np.maximum.accumulate(np.where(ends, 0, np.arange(len(said))))]
