"""What the language model is told of words: where each ends, and how the teacher says it."""

import ctypes.util
from itertools import pairwise

import pytest
import torch
from transformers import Qwen2ForCausalLM

from demo import language_model, tokens
from demo.corpus import spoken
from demo.reading import Reading, lower, pronunciations, word_ends
from demo.teacher import Teacher

TEXT = "My sister bought a new red coat."


def test_what_is_between_words_belongs_to_the_first() -> None:
    text = "He isn't, is he?"
    found = [text[place] for place in word_ends(text)]
    assert found == [*"   ", *",,,,,,,", *"   ", *"???"]
    assert word_ends("So") == [2, 2]
    assert word_ends("") == []


@pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None, reason="the teacher is not installed: apt install libespeak-ng1"
)
def test_each_word_is_said_as_the_teacher_says_it() -> None:
    heard = Teacher().speak(TEXT)
    frames = len(tokens.padded(heard)) // 320
    codes = tokens.tokens(tokens.phonemes(heard), frames).tolist()
    said = pronunciations(TEXT, codes, spoken(TEXT, heard, frames).tolist())
    names = [*tokens.UNVOICED, *tokens.VOICED]
    found = [[names[phoneme] for phoneme in said[place]] for place in sorted(said)]
    begins = [begin for _, _, begin in heard.words]
    expected = [
        [name for name, at in heard.phonemes if begin <= at < end and not name.startswith("_")]
        for begin, end in pairwise([*begins, len(heard.samples)])
    ]
    assert found == expected
    assert found[1] == ["s", "I", "s", "t", "3"]


def test_reading_is_learnt_by_the_lower_layers_alone() -> None:
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(language_model.config())
    ids = torch.arange(20)[None]
    hidden = model(ids, output_hidden_states=True).hidden_states[3]
    assert torch.allclose(lower(model)(ids).last_hidden_state, hidden, atol=1e-5)
    reading = Reading(model.config.hidden_size)
    said = {5: [3, 4], 9: [7, 8, 9, 10]}
    reading(model, [list(range(20))], [said], 2).backward()
    learning = [layer.self_attn.q_proj.weight.grad is not None for layer in model.model.layers]
    assert learning == [True, True, True, False, False, False]
