"""What training is given: weights of shapes, samples as an encoder hears them, recordings of people."""

import numpy as np
import pytest
import torch

from demo.lessons import without_word_ends
from demo.natural import END_OF_WORD
from demo.recordings import BOOK, PROMPTS, of_people
from demo.tokens import PHASES, STATES, index
from demo.train_decoder import toneless
from demo.waveform_basis import LENGTH, analysis, components
from engine.types import CODEC_SAMPLE_RATE


def test_weights_of_shapes_are_found_again_in_their_sum() -> None:
    random = torch.Generator().manual_seed(0)
    pieces = torch.randn(4000, LENGTH, generator=random) * torch.linspace(1, 0.1, LENGTH)
    shapes = components(pieces.T @ pieces / len(pieces))
    weighing, deviations = analysis(shapes)
    weights = torch.randn(5, len(shapes), generator=random)
    assert torch.allclose(weights @ shapes @ weighing.T, weights, atol=1e-3)
    assert torch.all(deviations[:-1] >= deviations[1:] * 0.999)
    assert (pieces @ weighing.T).std(dim=0).mean() == pytest.approx(1, abs=0.05)


def test_a_voice_at_another_pitch_is_further_away_than_a_quieter_one() -> None:
    times = torch.arange(CODEC_SAMPLE_RATE)[None] / CODEC_SAMPLE_RATE
    own, other = (torch.sin(2 * torch.pi * pitch * times) for pitch in (100, 125))
    assert toneless(own, own) < 0.1
    assert toneless(0.7 * own, own) < 0.5 < 1 < toneless(other, own)


def test_a_sample_has_no_ends_of_words() -> None:
    said = np.array([index(name) * STATES * PHASES for name in ("t", "i:", END_OF_WORD, END_OF_WORD, "s")])
    assert without_word_ends(said).tolist() == said[[0, 1, 1, 1, 4]].tolist()


@pytest.mark.skipif(not (PROMPTS.is_dir() and BOOK.is_dir()), reason="demo.recordings says which packages have them")
def test_people_are_heard_for_seconds_and_their_words_are_known() -> None:
    for recording in of_people().values():
        assert 5 < len(recording.samples) / CODEC_SAMPLE_RATE < 10
        assert 0.2 < np.abs(recording.samples).max() <= 1
        assert recording.text
        assert 15 < len(recording.text.split()) < 30
