"""The codec gives what the reference implementation gives, from the same weights."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engine.codec import BiCodec
from engine.codec.bicodec import reference_clip
from engine.codec.form import CodecForm
from tests.engine.codec.conftest import Arrays, signal_to_noise

TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def assert_close(found: torch.Tensor | npt.NDArray[np.generic], expected: npt.NDArray[np.generic]) -> None:
    np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=TOLERANCE)


def as_batch(tokens: npt.NDArray[np.generic]) -> torch.Tensor:
    return torch.tensor(tokens, dtype=torch.int64)[None]


def test_the_mel_spectrogram_of_the_reference_clip(codec: BiCodec, small_numbers: Arrays) -> None:
    clip = reference_clip(torch.tensor(small_numbers["wav_16k"]))
    assert_close(codec.network.speaker_encoder.mel(clip[None])[0], small_numbers["mel"])


def test_speech_features(codec: BiCodec, small_numbers: Arrays) -> None:
    features, lengths = codec.features([torch.tensor(small_numbers["wav_16k"])])
    assert lengths == [len(small_numbers["features"])]
    assert_close(features[0], small_numbers["features"])


def test_the_latent(codec: BiCodec, small_numbers: Arrays) -> None:
    latent = codec.network.encoder(torch.tensor(small_numbers["features"])[None], None)
    assert_close(latent[0].T, small_numbers["latent"])


def test_the_tokens_of_a_latent(codec: BiCodec, small_numbers: Arrays) -> None:
    tokens = codec.network.quantizer.tokens(torch.tensor(small_numbers["latent"].T)[None])
    assert np.mean(tokens[0].numpy() == small_numbers["semantic_tokens"]) >= 0.99


def test_tokens_of_a_sample(codec: BiCodec, small_numbers: Arrays) -> None:
    voice, semantic = codec.encode(small_numbers["wav_16k"])
    assert voice.dtype == semantic.dtype == np.int64
    np.testing.assert_array_equal(voice, small_numbers["global_tokens"])
    assert semantic.shape == small_numbers["semantic_tokens"].shape
    assert np.mean(semantic == small_numbers["semantic_tokens"]) >= 0.99


def test_tokens_of_a_sample_at_44_khz_in_stereo(codec: BiCodec, golden: Path, small_numbers: Arrays) -> None:
    """The same speech by another way: nearly the same samples, so nearly the same tokens."""
    with np.load(golden / "stereo.npz") as arrays:
        voice, semantic = codec.encode(arrays["wav_16k"])
    assert np.mean(voice == small_numbers["global_tokens"]) >= 0.9
    assert semantic.shape == small_numbers["semantic_tokens"].shape


def test_the_d_vector(codec: BiCodec, small_numbers: Arrays) -> None:
    d_vector = codec.network.speaker_encoder.d_vector(as_batch(small_numbers["global_tokens"]))
    assert_close(d_vector[0], small_numbers["d_vector"])


def test_the_prenet(codec: BiCodec, small_numbers: Arrays) -> None:
    latent = codec.network.quantizer.vectors(as_batch(small_numbers["decode_semantic_tokens"]))
    d_vector = torch.tensor(small_numbers["d_vector"])[None]
    assert_close(codec.network.prenet(latent, d_vector, None)[0].T, small_numbers["decode_prenet"])


def test_the_wave_of_tokens(codec: BiCodec, small_numbers: Arrays) -> None:
    wave = codec.decode(small_numbers["decode_semantic_tokens"], small_numbers["global_tokens"])
    assert wave.dtype == np.float32
    assert_close(wave, small_numbers["decode_wave"])


def test_the_wave_of_a_samples_own_tokens(codec: BiCodec, small_numbers: Arrays) -> None:
    wave = codec.decode(small_numbers["semantic_tokens"], small_numbers["global_tokens"])
    assert_close(wave, small_numbers["reconstructed_wave"])


@pytest.fixture(scope="module")
def full_codec(full_checkpoint: Path) -> BiCodec:
    return BiCodec.from_checkpoint(full_checkpoint)


@pytest.mark.slow
def test_tokens_at_full_size(full_codec: BiCodec, small_numbers: Arrays, full_numbers: Arrays) -> None:
    voice, semantic = full_codec.encode(small_numbers["wav_16k"])
    np.testing.assert_array_equal(voice, full_numbers["global_tokens"])
    assert semantic.shape == full_numbers["semantic_tokens"].shape
    assert np.mean(semantic == full_numbers["semantic_tokens"]) >= 0.99


@pytest.mark.slow
def test_d_vector_at_full_size(full_codec: BiCodec, full_numbers: Arrays) -> None:
    d_vector = full_codec.network.speaker_encoder.d_vector(as_batch(full_numbers["global_tokens"]))
    assert_close(d_vector[0], full_numbers["d_vector"])


@pytest.mark.slow
def test_wave_at_full_size(full_codec: BiCodec, full_numbers: Arrays) -> None:
    wave = full_codec.decode(full_numbers["decode_semantic_tokens"], full_numbers["global_tokens"])
    assert_close(wave, full_numbers["decode_wave"])


@pytest.mark.slow
def test_wave_at_full_size_in_bfloat16(full_checkpoint: Path, full_numbers: Arrays) -> None:
    codec = BiCodec.from_checkpoint(full_checkpoint, form=CodecForm(torch.bfloat16))
    wave = codec.decode(full_numbers["decode_semantic_tokens"], full_numbers["global_tokens"])
    assert signal_to_noise(full_numbers["decode_wave"], wave) >= 35
