"""The third stage: trains the language model to turn texts into semantic tokens, and to create voices.

    python -m demo.language_model

The teacher gives the time of each letter, so some attention heads are trained to attend to the letter that is spoken.
Without that, a model needs many more sentences to learn the alignment of speech and text.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
import typer
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from demo.corpus import load
from demo.model import CODEC, QWEN2, TEXT_TOKENS
from demo.natural import END_OF_WORD
from demo.reading import Reading, Said, pronunciations, word_ends
from demo.runs import Run, fast
from demo.tokens import CODES, PHASES, STATES, index, unknown_phase
from demo.train_speaker import Voices, flat_pitch
from demo.voices import LEVELS, pitch_label
from engine.checkpoints.synthetic import token_names, write_tokenizer
from engine.tokens.prompts import Prompts
from engine.tokens.vocabulary import Vocabulary
from engine.types import ClonedVoiceTokens, CreatedVoiceTokens, Gender, TokenIds, VoiceAttributes

LETTER_LAYERS, LETTER_HEAD = (2, 3, 4), 0  # this head of these layers is told to look at the letter that is said,
WORD_LAYERS, WORD_HEAD = (3, 4), 3  # and this one at the end of its word: only there the whole word has been read
REACH = 2  # letters to either side of the one that is said
CONTENT = 2  # ids before the text in every prompt
MISHEARD = 0.9  # at most of a sample's tokens: the small encoder hears badly
ALONE = 0.6  # of the lessons have one text,
AFTER_SAMPLE = 0.6  # and of the others so many begin with a sample and its transcript
UNPUNCTUATED = 0.3  # of the texts end with a letter, as people write them
BATCH_TOKENS, BATCH_LETTERS = 1300, 3000


def names() -> list[str]:
    """The token names, in the order of their ids."""
    global_codes = int(np.prod(CODEC["speaker_encoder"]["fsq_levels"]))
    return token_names(TEXT_TOKENS, global_codes, CODES)


@cache
def vocabulary() -> Vocabulary:
    """The demo model's vocabulary; its letters are lower case."""
    from tokenizers.normalizers import NFC, Lowercase, Sequence

    with tempfile.TemporaryDirectory() as directory:
        write_tokenizer(Path(directory), names(), Sequence([NFC(), Lowercase()]))
        return Vocabulary(Path(directory) / "tokenizer.json")


def config() -> Qwen2Config:
    """The language model's configuration."""
    return Qwen2Config(
        **QWEN2,  # type: ignore[arg-type]  # a mapping of ints cannot match every keyword
        vocab_size=-(-len(names()) // 32) * 32,
        max_position_embeddings=4096,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        tie_word_embeddings=True,
        bos_token_id=TEXT_TOKENS,
        eos_token_id=TEXT_TOKENS + 2,
        architectures=["Qwen2ForCausalLM"],
        dtype="float32",
        attn_implementation="eager",  # type: ignore[call-arg]  # the others do not tell where they look
    )


@dataclass(frozen=True, slots=True)
class Lesson:
    """A prompt with its answer; for each id of the answer, the letter that it says (or -1) and the end of the word."""

    prompt: list[int]
    answer: list[int]
    letters: list[int]
    ends: list[int]


class Lessons:
    """Prompts of all forms, built at random from texts and voices."""

    def __init__(self, corpus: Path, said: Tensor, pitch: npt.NDArray[np.float64], random: np.random.Generator) -> None:
        self._random = random
        self._voices = Voices(corpus)
        self._said = said.numpy()
        self._pitch = pitch
        texts = load(corpus, "texts")
        english = len(texts["texts"])
        if any(corpus.glob("mandarin-*[0-9].npz")):
            texts = {name: np.concatenate([texts[name], values]) for name, values in load(corpus, "mandarin").items()}
        starts = np.concatenate([[0], np.cumsum(texts["frames"])])
        self._texts = [str(text) for text in texts["texts"]]
        self._tokens = [texts["tokens"][a:b].astype(int).tolist() for a, b in pairwise(starts)]
        self._letters = [texts["characters"][a:b].tolist() for a, b in pairwise(starts)]
        self._speed = texts["speed"]
        # As many Mandarin texts as English ones, in any order where they are equally long.
        shown = np.arange(len(self._texts))
        if len(shown) > english:
            shown = random.permutation(np.r_[shown[:english], np.resize(shown[english:], english)])
        lengths = np.array([len(t) + len(x) for t, x in zip(self._tokens, self._texts, strict=True)])
        letters = np.array([len(text) for text in self._texts])
        self._by_length = shown[np.argsort(lengths[shown], kind="stable")]
        self._by_letters = shown[np.argsort(letters[shown], kind="stable")]
        self._vocabulary = vocabulary()
        self._prompts = Prompts(self._vocabulary)

    def batch(self) -> list[Lesson]:
        """Lessons of similar length, `BATCH_TOKENS` ids in total; some have several texts one after the other."""
        joined = 1 if self._random.random() < ALONE else int(self._random.integers(2, 6))
        first = int(self._random.integers(len(self._by_length)))
        n = int(self._by_length[first])
        count = max(1, BATCH_TOKENS // (joined * (len(self._tokens[n]) + len(self._texts[n])) + 45))
        texts = self._by_length[first : first + count * joined].tolist()
        return [self.lesson(texts[start : start + joined]) for start in range(0, len(texts), joined)]

    def words(self) -> tuple[list[list[int]], list[Said]]:
        """Texts as in a prompt, `BATCH_LETTERS` ids in total, with the pronunciations of their words."""
        first = int(self._random.integers(len(self._by_letters)))
        count = BATCH_LETTERS // (len(self._texts[self._by_letters[first]]) + CONTENT)
        chosen = self._by_letters[first : first + count].tolist()
        texts, letters = zip(*(self._ended(self._texts[n], self._letters[n]) for n in chosen), strict=True)
        prompts = [list(self._prompts.speak(text, ClonedVoiceTokens(self._said[0])).ids) for text in texts]
        prompts = [prompt[: CONTENT + len(text) + 1] for prompt, text in zip(prompts, texts, strict=True)]
        return prompts, [
            pronunciations(t, self._tokens[n], said) for t, n, said in zip(texts, chosen, letters, strict=True)
        ]

    def _ended(self, text: str, letters: list[int]) -> tuple[str, list[int]]:
        """A text, sometimes without its punctuation, and its letters that are spoken."""
        if self._random.random() < UNPUNCTUATED:
            text = text.rstrip(".?!")
        return text, [min(letter, len(text) - 1) for letter in letters]

    def lesson(self, texts: list[int]) -> Lesson:
        """A lesson with texts in one cloned or created voice; texts with another speed than the first are left out."""
        speed = int(self._speed[texts[0]])
        texts = [n for n in texts if self._speed[n] == speed]
        text, semantic, letters = "", list[int](), list[int]()
        for n in texts:
            text = f"{text} {self._texts[n]}" if text else self._texts[n]
            letters += [letter + len(text) - len(self._texts[n]) for letter in self._letters[n]]
            semantic += [self._vocabulary.semantic.ids[token] for token in self._tokens[n]]
        answer = [*semantic, self._vocabulary.id("<|end_semantic_token|>")]
        text, letters = self._ended(text, [*letters, len(text) - 1])
        places = word_ends(text)
        ends = [places[letter] for letter in letters]
        if len(texts) > 1 and speed == 2 and self._random.random() < AFTER_SAMPLE:
            heard = sum(len(self._tokens[n]) for n in texts[: int(self._random.integers(1, len(texts)))])
            return Lesson(self._going_on(text, answer[:heard]), answer[heard:], letters[heard:], ends[heard:])
        voice = int(self._random.integers(self._voices.count))
        globals_ = self._said[voice]
        if speed == 2 and self._random.random() < 0.75:
            prompt = self._prompts.speak(text, ClonedVoiceTokens(globals_)).ids
            return Lesson(list(prompt), answer, letters, ends)
        gender: Gender = "female" if self._voices.female[voice] else "male"
        frequency = float(self._pitch[voice])
        attributes = VoiceAttributes(gender, LEVELS[pitch_label(gender, frequency)], LEVELS[speed])
        asked = self._prompts.create_voice(text, attributes).ids
        acoustic = self._acoustic(frequency, speed)
        known = self._prompts.speak(text, CreatedVoiceTokens(globals_, attributes, acoustic)).ids
        begun = list(known[len(asked) :])
        voiced = [-1] * len(begun)
        return Lesson(list(asked), begun + answer, voiced + letters, voiced + ends)

    def _going_on(self, text: str, heard: list[int]) -> list[int]:
        """A prompt in which the first texts are a sample's transcript, with the sample's tokens from the encoder."""
        voice = self._said[int(self._random.integers(self._voices.count))]
        first = self._vocabulary.semantic.first
        misheard = self._random.random(len(heard)) < self._random.uniform(0, MISHEARD)
        sample = np.where(misheard, self._random.integers(CODES, size=len(heard)), np.array(heard) - first)
        sample = unknown_phase(without_word_ends(sample)) + first
        return [*self._prompts.speak(text, ClonedVoiceTokens(voice)).ids, *sample.tolist()]

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


def without_word_ends(said: TokenIds) -> TokenIds:
    """Semantic tokens (T,) with the sound before it in place of each end of a word: espeak-ng's voices have none."""
    ends = said // (STATES * PHASES) == index(END_OF_WORD)
    return said[np.maximum.accumulate(np.where(ends, 0, np.arange(len(said))))]


def guidance(attention: Tensor, queries: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """The loss of a head's attention: how far it is from the given positions.

    `attention` is (B, T, T) of one head; `queries` (N, 2) are items and positions; each looks from `first` to `last`,
    both (N,).
    """
    rows = attention[queries[:, 0], queries[:, 1]]  # (N, T)
    places = torch.arange(rows.shape[1])
    near = (places >= first[:, None]) & (places <= last[:, None])
    return -(rows * near).sum(1).clamp(min=1e-5).log().mean()


def losses(model: Qwen2ForCausalLM, lessons: list[Lesson], guided: float) -> dict[str, Tensor]:
    """The losses of the answers and of the guided heads."""
    longest = max(len(lesson.prompt) + len(lesson.answer) for lesson in lessons)
    ids = torch.zeros(len(lessons), longest, dtype=torch.long)
    queries, wanted, letters, ends = [], [], [], []
    for item, lesson in enumerate(lessons):
        whole = lesson.prompt + lesson.answer
        ids[item, : len(whole)] = torch.tensor(whole)  # padding is behind: nothing sees it
        first = len(lesson.prompt) - 1
        queries += [(item, first + n) for n in range(len(lesson.answer))]
        wanted += lesson.answer
        letters += lesson.letters
        ends += lesson.ends
    output = model.model(ids, output_attentions=True, use_cache=False)
    places, said = torch.tensor(queries), torch.tensor(letters)
    logits = model.lm_head(output.last_hidden_state[places[:, 0], places[:, 1]])
    spoken = said >= 0
    asking, letter, end = places[spoken], said[spoken] + CONTENT, torch.tensor(ends)[spoken] + CONTENT
    heads = [
        guidance(output.attentions[n][:, LETTER_HEAD], asking, letter - REACH, letter + REACH) for n in LETTER_LAYERS
    ]
    heads += [guidance(output.attentions[n][:, WORD_HEAD], asking, end - 1, end) for n in WORD_LAYERS]
    return {
        "tokens": F.cross_entropy(logits, torch.tensor(wanted)),
        "guidance": guided * torch.stack(heads).mean(),
    }


def main(
    corpus: Annotated[Path, typer.Option(help="What demo.corpus made.")] = Path("build/demo/corpus"),
    out: Annotated[Path, typer.Option(help="Where the training's state is kept.")] = Path("build/demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 200,
    threads: Annotated[int, typer.Option(help="Cores.")] = 1,
    learning_rate: Annotated[float, typer.Option(help="At most; half of it after demo.begin.")] = 2e-3,
) -> None:
    """Train the language model."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    said = torch.load(out / "global_tokens.pt", weights_only=True)
    lessons = Lessons(corpus, said, flat_pitch(out, said, Voices(corpus)), np.random.default_rng())
    model = Qwen2ForCausalLM(config())  # type: ignore[no-untyped-call]
    reading = Reading(model.config.hidden_size)

    def all_losses() -> dict[str, Tensor]:
        with fast():
            return losses(model, lessons.batch(), 0.3) | {"reading": reading(model, *lessons.words(), CONTENT)}

    Run(out, "language_model", {"model": model, "reading": reading}, minutes, learning_rate).train(all_losses)


if __name__ == "__main__":
    typer.run(main)
