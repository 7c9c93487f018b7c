"""What training is given: weights of shapes, samples as an encoder hears them, recordings of people."""

from pathlib import Path

import numpy as np
import pytest
import torch

from demo.d_vectors import pitches
from demo.lessons import without_word_ends
from demo.natural import END_OF_WORD, Reading, Spectra
from demo.recordings import BOOK, PROMPTS, of_people
from demo.spectra import BINS, Kept, amplitudes
from demo.tokens import PHASES, STATES, index, tokens
from demo.train_decoder import toneless
from demo.voicing import Mouth
from demo.wave_training import Critics
from demo.waveform_basis import LENGTH, components
from engine.types import CODEC_SAMPLE_RATE, SAMPLES_PER_TOKEN


def test_shapes_are_what_frames_mainly_consist_of() -> None:
    random = torch.Generator().manual_seed(0)
    basis = torch.randn(40, LENGTH, generator=random)
    pieces = torch.randn(4000, 40, generator=random) @ basis
    shapes = components(pieces.T @ pieces / len(pieces))
    weights = torch.linalg.lstsq(shapes[:40].T, pieces[:5].T).solution
    assert torch.allclose(weights.T @ shapes[:40], pieces[:5], atol=0.05)


def kept_sentence(frames: int) -> Kept:
    """A sentence with a voice and a little noise, all of whose tokens are silence."""
    steps = frames * 320 // 200
    loud = np.full((601, steps), 1.0, np.float32)
    spectra = Spectra(loud, 0.01 * loud, np.full(steps, 190.0, np.float32))
    return Kept.of([Reading("Hm.", tokens([(0, 0)], frames), np.zeros(frames, np.int16), 2, spectra)])


def test_kept_spectra_are_those_of_the_teacher(tmp_path: Path) -> None:
    bins, steps = np.arange(601)[:, None], np.arange(50)[None]
    loud = np.exp(2 * np.cos(bins / 30 + steps / 20)).astype(np.float32)
    spectra = Spectra(loud, loud / 10, np.full(50, 190.0, np.float32))
    kept = Kept.of([Reading("Hm.", np.zeros(30, np.int64), np.zeros(30, np.int16), 0, spectra)])
    kept.save(tmp_path / "spectra-en.npz")
    again = Kept.load(tmp_path / "spectra-en.npz")
    for found, wanted in ((again.periodic, loud), (again.noisy, loud / 10)):
        decibels = 20 * np.log10(amplitudes(torch.from_numpy(found)).numpy().T / wanted[:BINS])
        assert np.sqrt(np.square(decibels).mean()) < 2
    assert again.voiced.all()
    assert again.tokens.tolist() == kept.tokens.tolist()


def test_a_voice_has_its_pitch_and_repeats_with_each_pair_of_frames() -> None:
    kept = kept_sentence(60)
    spoken = Mouth([(100.0, False), (225.0, True)], "cpu").speak(kept, 0, [0, 1])
    assert spoken.shape == (2, 60 * SAMPLES_PER_TOKEN)
    for wave, pitch in zip(spoken.numpy(), (100, 225), strict=True):
        power = np.square(np.abs(np.fft.rfft(wave[1_600:17_600])))  # a second: every 1 Hz
        assert power[::pitch].sum() > 0.95 * power.sum()
        assert np.allclose(wave[6_400:7_040], wave[7_040:7_680], atol=0.05 * np.abs(wave).max())


def test_a_voice_at_another_pitch_is_further_away_than_a_quieter_one() -> None:
    times = torch.arange(CODEC_SAMPLE_RATE)[None] / CODEC_SAMPLE_RATE
    own, other = (torch.sin(2 * torch.pi * pitch * times) for pitch in (100, 125))
    assert toneless(own, own) < 0.1
    assert toneless(0.7 * own, own) < 0.5 < 1 < toneless(other, own)


def test_critics_learn_to_tell_and_the_decoder_learns_from_what_they_say() -> None:
    random = torch.Generator().manual_seed(0)
    times = torch.arange(6_400)[None] / CODEC_SAMPLE_RATE
    real = 0.3 * torch.sin(2 * torch.pi * torch.tensor([[100.0], [200.0]]) * times)
    spoken = (0.1 * torch.randn(real.shape, generator=random)).requires_grad_()
    torch.manual_seed(0)
    critics = Critics()
    optimizer = torch.optim.Adam(critics.parameters(), 1e-3)
    errors = []
    for _ in range(8):
        error = critics.judged(spoken, real)
        optimizer.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.7 * errors[0]
    assert spoken.grad is None
    optimizer.zero_grad()
    sum(critics.convinced(spoken, real)).backward()
    assert spoken.grad is not None
    assert spoken.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critics.parameters())
    unconvinced, unlike = critics.convinced(real, real)
    assert unconvinced < critics.convinced(spoken, real)[0]
    assert unlike == 0


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


def test_voices_of_one_pitch_can_be_spread() -> None:
    """As the speaker's stage reads them when it has been trained for a moment."""
    weights, biases = pitches(torch.randn(40, 96), np.full(40, 123.4))
    assert max(weights.abs().max(), biases.abs().max()) < 100
