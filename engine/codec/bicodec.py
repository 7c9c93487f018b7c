"""BiCodec: samples to tokens and tokens to samples. Its interface is numpy, its implementation torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from engine.codec.features import SpeechFeatures
from engine.codec.fixed_shapes import Batched, FixedShapes, exactly, groups
from engine.codec.form import FLOAT32, CodecForm
from engine.codec.layers import lengths_if_padded
from engine.codec.loader import load_features, load_network
from engine.codec.network import CodecNetwork
from engine.types import CODEC_SAMPLE_RATE, GLOBAL_TOKENS, SAMPLES_PER_TOKEN, Passage, Samples, TokenIds

REFERENCE_SAMPLES = 6 * CODEC_SAMPLE_RATE  # the voice is taken from the first 6 s


class BiCodec:
    """Speech as tokens: 32 global tokens for the voice, and 50 semantic tokens per second.

    Apart from rounding, the result for an item does not depend on the rest of its batch. On a CPU there is no rounding
    either: passages are decoded one by one there, which takes no longer. `form` says how decoding is computed. Encoding
    is always float32, since a token is either right or wrong: with wav2vec2 in bfloat16, 94 to 96 % of the golden
    clip's semantic tokens are the same. Only one thread may call at a time.
    """

    def __init__(
        self,
        features: SpeechFeatures,
        network: CodecNetwork,
        *,
        device: str | torch.device = "cpu",
        form: CodecForm = FLOAT32,
        fixed: bool | None = None,
    ) -> None:
        """`fixed` decodes at fixed shapes, as graphs on CUDA; by default on CUDA only."""
        self.device = torch.device(device)
        self.dtype = form.dtype
        self.features = features.to(self.device)
        self.network = network.to(self.device)
        self.network.prepare(form)
        cuda = self.device.type == "cuda"
        # Not the stream of the language model: neither waits for the other's kernels.
        self._stream = torch.cuda.Stream(self.device) if cuda else None  # type: ignore[no-untyped-call]
        self._fixed = cuda if fixed is None else fixed
        self._frames: Batched = partial(exactly, self.network.frames)
        self._waves: Batched = partial(exactly, self.network.decoder)
        if self._fixed:
            tokens = torch.zeros(1, 1, dtype=torch.long, device=self.device)
            frame = torch.zeros(1, 1, self.network.prenet.linear.out_features, device=self.device)
            self._frames = FixedShapes(self.network.frames, (tokens, tokens.expand(1, GLOBAL_TOKENS)))
            self._waves = FixedShapes(self.network.decoder, (frame,))

    @classmethod
    def from_checkpoint(
        cls,
        path: str | os.PathLike[str],
        *,
        device: str | torch.device = "cpu",
        form: CodecForm = FLOAT32,
        fixed: bool | None = None,
    ) -> BiCodec:
        """Load the codec of the Spark-TTS checkpoint in the directory `path`; raises CheckpointError."""
        path = Path(path)
        return cls(load_features(path), load_network(path), device=device, form=form, fixed=fixed)

    @property
    def sample_rate(self) -> int:
        """The sample rate of what is encoded and of what is decoded, in Hz."""
        return CODEC_SAMPLE_RATE

    @property
    def codebook_size(self) -> int:
        """The number of different semantic tokens."""
        return self.network.quantizer.codebook.num_embeddings

    @property
    def global_codebook_size(self) -> int:
        """The number of different global tokens."""
        return self.network.speaker_encoder.quantizer.codebook_size

    def encode(self, wav_16k: Samples) -> tuple[TokenIds, TokenIds]:
        """Encode a recording (samples,) to global tokens (32,) and semantic tokens (T,), 50 per second.

        The samples are at 16 kHz, and at the volume that the model expects. The global tokens are computed from the
        first 6 s. Raises ValueError for the wrong shape or type, for a recording that is too short, and for values
        that are not finite.
        """
        return self.encode_batch([wav_16k])[0]

    @torch.inference_mode()
    def encode_batch(self, wavs: Sequence[Samples]) -> list[tuple[TokenIds, TokenIds]]:
        """Encode several recordings at once, see `encode`."""
        if not wavs:
            raise ValueError("the batch is empty, expected one recording or more")
        with torch.cuda.stream(self._stream):
            samples = [self._checked_wav(wav) for wav in wavs]
            features, lengths = self.features(samples)
            latent = self.network.encoder(features, lengths_if_padded(lengths))
            semantic = self.network.quantizer.tokens(latent).cpu().numpy()  # (B, T)
            clips = torch.stack([reference_clip(wav) for wav in samples])
            voices = self.network.speaker_encoder.tokens(clips).cpu().numpy()  # (B, 32)
        return [(voice, tokens[:length]) for voice, tokens, length in zip(voices, semantic, lengths, strict=True)]

    def decode(self, semantic_tokens: TokenIds, global_tokens: TokenIds, kept: slice = slice(None)) -> Samples:
        """Decode semantic tokens (T,) in the voice of global tokens (32,) to samples at 16 kHz.

        There are 320 samples for each token in `kept`; the others are context. Raises ValueError for the wrong shape or
        type, and for tokens that are not in the codebook.
        """
        return self.decode_batch([Passage(semantic_tokens, global_tokens, kept)])[0]

    @torch.inference_mode()
    def decode_batch(self, items: Sequence[Passage]) -> list[Samples]:
        """Decode several passages at once, see `decode`.

        The wave generator, which takes most of the time, gets only as much of the context as its receptive field.
        """
        if not items:
            raise ValueError("the batch is empty, expected one passage or more")
        semantic = [self._checked_tokens("semantic", tokens, self.codebook_size) for tokens, _, _ in items]
        voices = [self._checked_tokens("global", tokens, self.global_codebook_size) for _, tokens, _ in items]
        for voice in voices:
            if len(voice) != GLOBAL_TOKENS:
                raise ValueError(f"global tokens have shape ({len(voice)},), expected ({GLOBAL_TOKENS},)")
        passages = [(*tokens, item.kept) for *tokens, item in zip(semantic, voices, items, strict=True)]
        together = groups([len(tokens) for tokens in semantic]) if self._fixed else [[n] for n in range(len(items))]
        waves: dict[int, Samples] = {}
        with torch.cuda.stream(self._stream):
            for group in together:
                waves |= zip(group, self._decode(*zip(*(passages[n] for n in group), strict=True)), strict=True)
        return [waves[n] for n in range(len(items))]

    def _decode(
        self, semantic: Sequence[Tensor], voices: Sequence[Tensor], slices: Sequence[slice]
    ) -> Sequence[Samples]:
        lengths = [len(tokens) for tokens in semantic]
        frames = self._frames(
            pad_sequence(list(semantic), batch_first=True), torch.stack(list(voices)), lengths=lengths
        )
        kept = [kept.indices(length)[:2] for kept, length in zip(slices, lengths, strict=True)]
        receptive_radius = self.network.decoder.receptive_radius
        inputs = [  # of the wave generator
            (max(0, a - receptive_radius), min(length, b + receptive_radius))
            for (a, b), length in zip(kept, lengths, strict=True)
        ]
        pieces = [frame[begin:end] for frame, (begin, end) in zip(frames, inputs, strict=True)]
        waves = self._waves(pad_sequence(pieces, batch_first=True), lengths=[len(piece) for piece in pieces])
        return [
            wave[(a - begin) * SAMPLES_PER_TOKEN : (b - begin) * SAMPLES_PER_TOKEN]
            for wave, (a, b), (begin, _) in zip(waves.cpu().numpy(), kept, inputs, strict=True)
        ]

    def _checked_wav(self, wav: Samples) -> Tensor:
        shortest = self.features.shortest
        if wav.ndim != 1 or not np.issubdtype(wav.dtype, np.floating):
            raise ValueError(f"samples have shape {wav.shape} and type {wav.dtype}, expected (samples,) of floats")
        if len(wav) < shortest:
            raise ValueError(f"samples have shape {wav.shape}, expected ({shortest},) or more for one frame")
        if not np.isfinite(wav).all():
            raise ValueError(f"samples of shape {wav.shape} have values that are not finite")
        return torch.tensor(wav, dtype=torch.float32, device=self.device)

    def _checked_tokens(self, kind: str, tokens: TokenIds, codebook_size: int) -> Tensor:
        if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
            raise ValueError(
                f"{kind} tokens have shape {tokens.shape} and type {tokens.dtype}, expected (T,) of integers"
            )
        if not len(tokens):
            raise ValueError(f"{kind} tokens have shape (0,), expected one token or more")
        low, high = int(tokens.min()), int(tokens.max())
        if low < 0 or high >= codebook_size:
            raise ValueError(
                f"{kind} tokens of shape {tokens.shape} span {low} to {high}, expected 0 to {codebook_size - 1}"
            )
        return torch.tensor(tokens, dtype=torch.int64)


def reference_clip(wav: Tensor) -> Tensor:
    """The first 6 s of `wav` (samples,), which is repeated if it is shorter."""
    return wav.repeat(-(-REFERENCE_SAMPLES // len(wav)))[:REFERENCE_SAMPLES]
