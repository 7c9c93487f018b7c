"""What the language model is told of words: where each ends, and how the teacher says it."""

import torch
from transformers import Qwen2ForCausalLM

from demo import language_model, tokens
from demo.natural import END_OF_WORD, NaturalTeacher
from demo.reading import Reading, lower, pronunciations, slots, word_ends

TEXT = "My sister bought a new red coat."


def test_what_is_between_words_belongs_to_the_first() -> None:
    text = "He isn't, is he?"
    found = [text[place] for place in word_ends(text)]
    assert found == [*"   ", *",,,,,,,", *"   ", *"???"]
    assert word_ends("So") == [2, 2]
    assert word_ends("") == []


def test_each_word_is_said_as_the_teacher_says_it() -> None:
    read = NaturalTeacher().read(TEXT)
    assert read is not None
    said = pronunciations(TEXT, read.tokens, read.characters)
    names = tokens.PHONEMES
    found = [[names[phoneme] for phoneme in said[place]] for place in sorted(said)]
    words = [[name for name in word if name != END_OF_WORD] for word in found]
    assert len(words) == len(TEXT.split())
    assert words[0] == ["m", "aI"]
    assert words[1] == ["s", "I", "s", "t", "3"]
    assert words[-1] == ["k", "oU", "t"]
    assert [word[-1] for word in found[:-1]] == [END_OF_WORD] * (len(words) - 1)


def test_reading_is_learnt_by_the_lower_layers_alone() -> None:
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(language_model.config())
    ids = torch.arange(20)[None]
    hidden = model(ids, output_hidden_states=True).hidden_states[3]
    assert torch.allclose(lower(model)(ids).last_hidden_state, hidden, atol=1e-5)
    reading = Reading(model.config.hidden_size)
    wanted = torch.tensor([slots([3, 4]), slots([7, 8, 9, 10])])
    reading(lower(model)(ids).last_hidden_state[0, [7, 11]], wanted).backward()
    learning = [layer.self_attn.q_proj.weight.grad is not None for layer in model.model.layers]
    assert learning == [True, True, True, False, False, False]
