"""The third stage: trains the language model to turn texts into semantic tokens, and to create voices.

    python -m demo.language_model

The teacher gives the time of each letter, so some attention heads are trained to attend to the letter that is spoken.
Without that, a model needs many more sentences to learn the alignment of speech and text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
import typer
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset
from transformers import AttentionInterface, Qwen2Config, Qwen2ForCausalLM

from demo.lessons import CONTENT, Lesson, Lessons
from demo.material import FILE, Material, Numbers
from demo.model import QWEN2, TEXT_TOKENS, names
from demo.reading import Reading, Said, lower, slots
from demo.runs import Run, fast

LETTER_LAYERS, LETTER_HEAD = (2, 3, 4), 0  # this head of these layers is told to look at the letter that is said,
WORD_LAYERS, WORD_HEAD = (3, 4), 3  # and this one at the end of its word: only there the whole word has been read
REACH = 2  # letters to either side of the one that is said
GUIDED = 0.3  # the weight of where they look
NOWHERE = -1e4  # the score of a place where a head must not look
LOST = 11.5  # at most, of a head's loss: it sees 1e-5 of what it should
ROUND = 32  # lengths of batches are multiples of it, so that there are few

Arrays = dict[str, Numbers]
Made = TypeVar("Made")


@dataclass(slots=True)
class Guide:
    """Where guided heads should look: the letter and the word's end of each position (B, T), below 0 for anywhere.

    Their losses are gathered in `losses`.
    """

    letters: Tensor
    ends: Tensor
    losses: list[Tensor] = field(default_factory=list)

    def heads(self, layer: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The guided heads of a layer, each with the first and the last place where it should look, both (B, T)."""
        if layer in LETTER_LAYERS:
            yield LETTER_HEAD, self.letters - REACH, self.letters + REACH
        if layer in WORD_LAYERS:
            yield WORD_HEAD, self.ends - 1, self.ends

    def watch(self, layer: int, query: Tensor, key: Tensor, scaling: float) -> None:
        """Add the losses of a layer's guided heads, whose queries and keys are (B, heads, T, dim)."""
        for head, first, last in self.heads(layer):
            scores = (query[:, head] @ key[:, head].transpose(1, 2)).float() * scaling  # (B, T, T)
            self.losses.append(lost(scores, first, last, self.letters >= 0))


def lost(scores: Tensor, first: Tensor, last: Tensor, asked: Tensor) -> Tensor:
    """How little a causal head with these scores (B, T, T) sees of the places from `first` to `last`, both (B, T).

    It is the mean, over the positions that are `asked`, of the negative log of the attention to those places.
    """
    places = torch.arange(scores.shape[-1], device=scores.device)
    scores = scores.masked_fill(places > places[:, None], NOWHERE)
    far = (places < first[..., None]) | (places > last[..., None])
    seen = scores.masked_fill(far, NOWHERE).logsumexp(-1) - scores.logsumexp(-1)
    # The positions are not selected but weighed: selecting them would wait for the device.
    total: Tensor = ((-seen).clamp(max=LOST) * asked).sum()
    return total / asked.sum().clamp(min=1)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    scaling: float,
    guide: Guide | None = None,
    **_others: object,
) -> tuple[Tensor, None]:
    """Causal attention as `transformers` calls it, (B, heads, T, dim) to (B, T, heads, dim). Padding is behind."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    if guide is not None:
        guide.watch(int(module.layer_idx), query, key, scaling)  # type: ignore[arg-type]
    seen = F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling)
    return seen.transpose(1, 2).contiguous(), None


AttentionInterface.register("guided", attention)


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
        attn_implementation="guided",  # type: ignore[call-arg]
    )


def padded(rows: list[Numbers]) -> Numbers:
    """Rows as (rows, T), with zeros behind: nothing sees them."""
    length = -(-max(map(len, rows)) // ROUND) * ROUND
    out = np.zeros((len(rows), length), np.int64)
    for row, values in zip(out, rows, strict=True):
        row[: len(values)] = values
    return out


def arranged(lessons: list[Lesson], prompts: list[Numbers], said: list[Said]) -> Arrays:
    """A batch of lessons, and of prompts whose words are read: `at` and `read_at` are where ids or words are wanted."""
    ids = padded([np.concatenate([lesson.prompt, lesson.answer]) for lesson in lessons])
    letters, ends = np.full(ids.shape, -1), np.full(ids.shape, -1)
    at = []
    for row, lesson in enumerate(lessons):
        first = len(lesson.prompt) - 1
        asked = slice(first, first + len(lesson.answer))
        spoken = lesson.letters >= 0
        letters[row, asked] = np.where(spoken, lesson.letters + CONTENT, -1)
        ends[row, asked] = np.where(spoken, lesson.ends + CONTENT, -1)
        at.append(np.arange(asked.start, asked.stop) + row * ids.shape[1])
    read = padded(prompts)
    words = [(row, end, phonemes) for row, of_row in enumerate(said) for end, phonemes in of_row.items()]
    return {
        "ids": ids,
        "at": np.concatenate(at),
        "wanted": np.concatenate([lesson.answer for lesson in lessons]),
        "letters": letters,
        "ends": ends,
        "read": read,
        "read_at": np.array([row * read.shape[1] + CONTENT + end for row, end, _ in words]),
        "read_wanted": np.array([slots(phonemes) for _, _, phonemes in words]),
    }


class Batches(IterableDataset[Arrays]):
    """Batches of lessons without end, of the material in a file."""

    def __init__(self, file: Path, size: int) -> None:
        super().__init__()
        self._file, self._size = file, size

    def __iter__(self) -> Iterator[Arrays]:
        lessons = Lessons(Material.load(self._file), np.random.default_rng(), self._size)
        while True:
            yield arranged(lessons.batch(), *lessons.words())


def moved(arrays: Arrays, device: str) -> dict[str, Tensor]:
    """Arrays as tensors on a device; a GPU takes them from pinned memory, so that nothing waits."""
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if torch.device(device).type == "cuda":
        return {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in tensors.items()}
    return tensors


def as_it_is(made: Made) -> Made:
    """A batch as it was made: as tensors, its arrays would take shared memory to come from another process."""
    return made


def losses(model: Qwen2ForCausalLM, reading: Reading, low: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The losses of the answers, of the guided heads, and of the words that the lower layers `low` read."""
    guide = Guide(batch["letters"], batch["ends"])
    hidden = model.model(batch["ids"], use_cache=False, guide=guide).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1)[batch["at"]])
    read = low(batch["read"], use_cache=False).last_hidden_state
    return {
        "tokens": F.cross_entropy(logits.float(), batch["wanted"]),
        "guidance": GUIDED * torch.stack(guide.losses).mean(),
        "reading": reading(read.flatten(0, 1)[batch["read_at"]], batch["read_wanted"]),
    }


def main(
    out: Annotated[Path, typer.Option(help="Where demo.gather's file is, and the state is kept.")] = Path("build/demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 200,
    threads: Annotated[int, typer.Option(help="Cores.")] = 1,
    learning_rate: Annotated[float, typer.Option(help="At most; half of it after demo.begin.")] = 2e-3,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    batch: Annotated[int, typer.Option(help="Ids in a step; 30,000 on a GPU.")] = 1300,
    workers: Annotated[int, typer.Option(help="Processes that make lessons; 8 for a GPU.")] = 0,
) -> None:
    """Train the language model."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    made: DataLoader[Arrays] = DataLoader(
        Batches(out / FILE, batch),
        batch_size=None,
        collate_fn=as_it_is,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )
    batches = iter(made)
    next(batches)  # the time begins when the processes are ready
    model = Qwen2ForCausalLM(config())  # type: ignore[no-untyped-call]
    reading, low = Reading(model.config.hidden_size), lower(model)
    run = Run(out, "language_model", {"model": model, "reading": reading}, minutes, learning_rate, device)

    def all_losses() -> dict[str, Tensor]:
        with fast(device):
            return losses(model, reading, low, moved(next(batches), device))

    run.train(all_losses)


if __name__ == "__main__":
    typer.run(main)
