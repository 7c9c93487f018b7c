"""What callers of the codec are promised: batches, precisions, and clear refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.codec import BiCodec
from engine.codec.bicodec import REFERENCE_SAMPLES, reference_clip
from engine.codec.form import CodecForm
from engine.codec.layers import lengths_if_padded, zero_padding
from engine.types import SAMPLES_PER_TOKEN, Passage, Samples
from tests.engine.codec.conftest import Arrays, signal_to_noise

FRAMES = (40, 1, 3, 90, 40)  # very short items beside long ones
SAMPLE_LENGTHS = (24_000, 400, 1_100, 47_001, 24_000)  # of 400 samples is made one frame, of 1100 three


def items(frames: tuple[int, ...], seed: int = 0) -> list[Passage]:
    rng = np.random.default_rng(seed)
    return [Passage(rng.integers(0, 512, length), rng.integers(0, 4096, 32)) for length in frames]


def samples(lengths: tuple[int, ...], speech: Samples) -> list[Samples]:
    return [speech[index * 5_000 :][:length] for index, length in enumerate(lengths)]


def test_it_says_what_it_works_with(codec: BiCodec) -> None:
    assert codec.sample_rate == 16_000
    assert codec.codebook_size == 512
    assert codec.global_codebook_size == 4096


@pytest.mark.parametrize("frames", [FRAMES, (1, 60), (60, 1), (5, 5)])
def test_a_batch_decodes_to_what_its_items_give_alone(codec: BiCodec, frames: tuple[int, ...]) -> None:
    batch = items(frames)
    for item, wave in zip(batch, codec.decode_batch(batch), strict=True):
        assert wave.shape == (len(item[0]) * SAMPLES_PER_TOKEN,)
        np.testing.assert_allclose(wave, codec.decode(*item), rtol=0, atol=1e-4)


KEPT = (slice(0, 12), slice(1), slice(2, 3), slice(24, 66), slice(16, 40))


def test_what_a_passage_keeps_sounds_as_in_the_whole(codec: BiCodec) -> None:
    """Those short and long, with context on one side, on both or on none, in one batch."""
    whole = items(FRAMES)
    passages = [item._replace(kept=kept) for item, kept in zip(whole, KEPT, strict=True)]
    for item, passage, wave in zip(whole, passages, codec.decode_batch(passages), strict=True):
        first, last, _ = passage.kept.indices(len(item.semantic))
        expected = codec.decode(*item)[first * SAMPLES_PER_TOKEN : last * SAMPLES_PER_TOKEN]
        np.testing.assert_allclose(wave, expected, rtol=0, atol=1e-5)


def test_at_fixed_shapes_passages_sound_the_same(codec: BiCodec, small_checkpoint: Path) -> None:
    """More of them than a shape has, shorter and longer than any shape, and again after others."""
    fixed = BiCodec.from_checkpoint(small_checkpoint, fixed=True)
    for frames in ((28,), FRAMES, (3,) * 17, (310,), (28,)):
        passages = [
            item._replace(kept=KEPT[n % len(KEPT)] if len(item.semantic) > 66 else slice(None))
            for n, item in enumerate(items(frames, seed=len(frames)))
        ]
        for passage, wave in zip(passages, fixed.decode_batch(passages), strict=True):
            np.testing.assert_allclose(wave, codec.decode(*passage), rtol=0, atol=1e-4)


def test_the_wave_generator_hears_as_far_as_it_reaches_and_no_further(codec: BiCodec) -> None:
    generator = codec.network.decoder
    assert generator.receptive_radius == 11
    frames = torch.randn(1, 60, codec.network.prenet.linear.out_features)
    with torch.inference_mode():
        whole = generator(frames.clone(), None)[0, 30 * SAMPLES_PER_TOKEN :][:SAMPLES_PER_TOKEN]
        for reach, same in ((11, True), (9, False)):
            window = generator(frames[:, 30 - reach : 31 + reach].clone(), None)[0, reach * SAMPLES_PER_TOKEN :]
            assert torch.allclose(window[:SAMPLES_PER_TOKEN], whole, rtol=0, atol=1e-6) is same


def test_a_batch_encodes_to_what_its_items_give_alone(codec: BiCodec, small_numbers: Arrays) -> None:
    batch = samples(SAMPLE_LENGTHS, small_numbers["wav_16k"])
    for wav, (voice, semantic) in zip(batch, codec.encode_batch(batch), strict=True):
        voice_alone, semantic_alone = codec.encode(wav)
        np.testing.assert_array_equal(voice, voice_alone)
        assert semantic.shape == semantic_alone.shape
        assert np.mean(semantic == semantic_alone) >= 0.99


def test_a_batch_has_the_latents_that_its_items_have_alone(codec: BiCodec, small_numbers: Arrays) -> None:
    batch = [torch.tensor(wav) for wav in samples(SAMPLE_LENGTHS, small_numbers["wav_16k"])]
    with torch.inference_mode():
        features, lengths = codec.features(batch)
        latents = codec.network.encoder(features, lengths_if_padded(lengths))
        for wav, latent, length in zip(batch, latents, lengths, strict=True):
            features_alone, (length_alone,) = codec.features([wav])
            assert length == length_alone
            torch.testing.assert_close(
                latent[:length], codec.network.encoder(features_alone, None)[0], rtol=0, atol=1e-4
            )


def test_only_padding_is_zeroed() -> None:
    assert lengths_if_padded([3, 3]) is None
    x = torch.ones(2, 3, 1)
    assert zero_padding(x, None).sum() == 6
    assert zero_padding(x, lengths_if_padded([1, 3])).tolist() == [[[1], [0], [0]], [[1], [1], [1]]]


def test_one_frame_takes_400_samples(codec: BiCodec) -> None:
    assert codec.features.shortest == 400
    assert [codec.features.frames(samples) for samples in (400, 719, 720, 1_040)] == [1, 1, 2, 3]


def test_the_reference_clip_is_cut_or_repeated_to_six_seconds() -> None:
    assert REFERENCE_SAMPLES == 96_000
    long = torch.arange(100_000.0)
    assert torch.equal(reference_clip(long), long[:96_000])
    short = torch.arange(40_000.0)
    assert torch.equal(reference_clip(short), torch.cat([short, short, short[:16_000]]))


def test_only_the_first_six_seconds_make_the_voice(codec: BiCodec, small_numbers: Arrays) -> None:
    speech = np.tile(small_numbers["wav_16k"], 2)[:112_000]
    changed = speech.copy()
    changed[REFERENCE_SAMPLES:] *= -0.5
    np.testing.assert_array_equal(codec.encode(speech)[0], codec.encode(changed)[0])


def test_bfloat16_decodes_to_nearly_the_same_and_encodes_to_the_same(
    codec: BiCodec, small_checkpoint: Path, small_numbers: Arrays
) -> None:
    coarse = BiCodec.from_checkpoint(small_checkpoint, form=CodecForm(torch.bfloat16))
    for item, wave in zip(items(FRAMES), coarse.decode_batch(items(FRAMES)), strict=True):
        assert wave.dtype == np.float32
        assert 25 < signal_to_noise(codec.decode(*item), wave) < 60  # exact would mean that it was not bfloat16
    voice, semantic = coarse.encode(small_numbers["wav_16k"])
    np.testing.assert_array_equal(voice, small_numbers["global_tokens"])
    np.testing.assert_array_equal(semantic, codec.encode(small_numbers["wav_16k"])[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_what_the_cpu_gives(codec: BiCodec, small_checkpoint: Path, small_numbers: Arrays) -> None:
    on_gpu = BiCodec.from_checkpoint(small_checkpoint, device="cuda")
    for frames in (FRAMES, (28,), FRAMES * 4, (400, 28)):
        passages = items(frames)
        for item, wave in zip(passages, on_gpu.decode_batch(passages), strict=True):
            assert signal_to_noise(codec.decode(*item), wave) > 40  # convolutions may use TF32
    voice, semantic = on_gpu.encode(small_numbers["wav_16k"])
    assert np.mean(voice == small_numbers["global_tokens"]) >= 0.9
    assert np.mean(semantic == small_numbers["semantic_tokens"]) >= 0.95


NONE = np.zeros(0, np.int64)
VOICE = np.zeros(32, np.int64)


@pytest.mark.parametrize(
    ("semantic", "voice", "message"),
    [
        (NONE, VOICE, r"semantic tokens have shape \(0,\)"),
        (np.zeros((1, 4), np.int64), VOICE, r"semantic tokens have shape \(1, 4\)"),
        (np.zeros(4, np.float32), VOICE, "semantic tokens .* type float32"),
        (np.array([3, 512]), VOICE, r"semantic tokens .* span 3 to 512, expected 0 to 511"),
        (np.array([-1, 3]), VOICE, "semantic tokens .* span -1 to 3"),
        (np.array([3]), VOICE[:31], r"global tokens have shape \(31,\), expected \(32,\)"),
        (np.array([3]), VOICE + 4096, "global tokens .* span 4096 to 4096, expected 0 to 4095"),
    ],
)
def test_tokens_that_make_no_sense_are_refused(codec: BiCodec, semantic: Any, voice: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec.decode(semantic, voice)


@pytest.mark.parametrize(
    ("wav", "message"),
    [
        (np.zeros(0, np.float32), r"samples have shape \(0,\), expected \(400,\) or more"),
        (np.zeros(399, np.float32), r"samples have shape \(399,\), expected \(400,\) or more"),
        (np.zeros((1, 500), np.float32), r"samples have shape \(1, 500\)"),
        (np.zeros(500, np.int16), "type int16"),
        (np.full(500, np.nan, np.float32), "not finite"),
        (np.array([0.0] * 500 + [np.inf], np.float32), "not finite"),
    ],
)
def test_samples_that_make_no_sense_are_refused(codec: BiCodec, wav: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        codec.encode(wav)


def test_empty_batches_are_refused(codec: BiCodec) -> None:
    with pytest.raises(ValueError, match="batch is empty"):
        codec.decode_batch([])
    with pytest.raises(ValueError, match="batch is empty"):
        codec.encode_batch([])
