"""Checkpoints with synthetic weights in the real layout. They produce noise, and need no download.

A weight depends only on its tensor's name, its shape and the element's index, so any program that follows the
same recipe gets the same bits: splitmix64 over `crc32(name) * 2**32 + index`, the top 24 bits as a uniform
number on [-1, 1), scaled so that activations stay of order one.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import tokenizers
import torch
import yaml
from transformers import Qwen2Config, Qwen2ForCausalLM, Wav2Vec2Config, Wav2Vec2Model

from engine.config import Size
from engine.types import Progress, no_progress

GLOBAL_CODES = 4096  # six FSQ dimensions of four levels
TASKS = ("vc", "tts", "asr", "s2s", "t2s", "understand", "cap", "controllable_tts", "prompt_tts", "edit")
SECTIONS = ("content", "style_label", "style_prompt", "acoustic_token", "global_token", "semantic_token")
QWEN_SPECIAL = (
    *(f"<|{name}|>" for name in ("endoftext", "im_start", "im_end")),
    *(f"<|{name}_{side}|>" for name in ("object_ref", "box", "quad", "vision") for side in ("start", "end")),
    *(f"<|{name}_pad|>" for name in ("vision", "image", "video")),
    *("<tool_call>", "</tool_call>"),
    *(f"<|{name}|>" for name in ("fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "repo_name", "file_sep")),
)
ATTRIBUTES = (  # token families with their sizes, in the order of the real vocabulary
    ("pitch_value", 1001),
    ("pitch_var_value", 11),
    ("pitch_label", 5),
    ("pitch_var_label", 5),
    ("speed_value", 11),
    ("speed_label", 5),
    ("loudness_value", 31),
    ("loudness_label", 5),
    ("age", 5),
    ("gender", 3),
    ("emotion", 101),
)
LLM_SIZES: dict[Size, dict[str, int]] = {
    "small": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "full": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
}
TEXT_TOKENS: dict[Size, int] = {"small": 256, "full": 151_643}
VOCABULARY_ROWS: dict[Size, int] = {"small": 6112, "full": 166_000}
NFC = tokenizers.normalizers.NFC()
BLOCK = 1 << 20  # elements computed at a time, so that the temporaries stay in the CPU's cache


def uniform(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Pseudo-random float32 of `shape`, each on [-1, 1)."""
    out = np.empty(math.prod(shape), np.float32)
    base = np.uint64(zlib.crc32(name.encode()) << 32)

    def fill(start: int) -> None:
        z = np.arange(start, min(start + BLOCK, out.size), dtype=np.uint64)
        z += base + np.uint64(1)
        z *= np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z ^= z >> np.uint64(shift)
            z *= np.uint64(factor)
        z ^= z >> np.uint64(31)
        out[start : start + BLOCK] = (z >> np.uint64(40)).astype(np.float32) * np.float32(2**-23) - 1

    with ThreadPoolExecutor() as pool:  # numpy releases the interpreter's lock
        list(pool.map(fill, range(0, out.size, BLOCK)))
    return out.reshape(shape)


def offset_and_scale(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """The offset and the scale that `uniform` gets, by the tensor's name and shape."""
    leaf = name.rpartition(".")[2]
    if leaf == "weight_g":  # weight norm's magnitude
        return (0.7, 0.04) if name.startswith("decoder.") else (1.0, 0.1)
    if leaf == "running_var":
        return 1.0, 0.2
    if leaf == "alpha" or (leaf == "gamma" and "perceiver" in name):
        return 1.0, 0.1
    if leaf == "gamma":
        return 0.2, 0.05
    if leaf in ("bias", "running_mean"):
        return 0.0, 0.05
    if leaf == "latents":
        return 0.0, 0.3
    if leaf == "cluster_size" or "codebook" in name:
        return 0.0, 1.0
    if len(shape) == 1:
        return 1.0, 0.1
    if "embed_tokens" in name:
        return 0.0, 0.05
    if "norm.scale.weight" in name or "norm.shift.weight" in name:
        return 0.0, 0.5 / math.sqrt(shape[1])
    gain = 1.0
    if name == "speaker_encoder.speaker_encoder.layer1.conv.weight":
        gain = 8.0  # its input is a linear mel spectrogram, whose values are small
    elif ".to_q." in name or ".to_kv." in name:
        gain = 2.5  # so that attention is not the same for all frames
    return 0.0, gain * math.sqrt(3.0 / math.prod(shape[1:]))


def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The synthetic weight of this name and shape, float32; an integer counter is 0."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    offset, scale = offset_and_scale(name, shape)
    values = uniform(name, shape)
    values *= np.float32(scale)
    values += np.float32(offset)
    return torch.from_numpy(values)


def write_checkpoint(directory: str | os.PathLike[str], size: Size, progress: Progress = no_progress) -> None:
    """Write a complete checkpoint to `directory`, which must not exist; full size takes 4 GB and a minute.

    `progress` counts weights. The checkpoint is written under another name and renamed at the end, so it is never
    incomplete. Raises FileExistsError.
    """
    directory = Path(directory)
    if directory.exists():
        raise FileExistsError(f"{directory} already exists. Give a directory that does not exist.")
    spec = json.loads(resources.files("engine").joinpath("specs", f"{size}.json").read_text())
    codec_shapes = {name: tuple(shape) for name, shape in spec["tensors"].items()}
    wav2vec2 = Wav2Vec2Config(**spec["wav2vec2"])
    qwen = llm_config(size)
    with torch.device("meta"):
        wav2vec2_shapes = shapes_of(Wav2Vec2Model(wav2vec2))
        llm_shapes = shapes_of(Qwen2ForCausalLM(qwen))  # type: ignore[no-untyped-call]
    llm_shapes.pop("lm_head.weight")  # tied to the embedding

    total = sum(math.prod(s) for part in (codec_shapes, wav2vec2_shapes, llm_shapes) for s in part.values())
    done = 0

    def build(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
        nonlocal done
        tensors = {}
        for name, shape in shapes.items():
            tensors[name] = tensor(name, shape)
            done += math.prod(shape)
            progress(done, total)
        return tensors

    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = directory.with_name(directory.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for part in ("LLM", "BiCodec", "wav2vec2-large-xlsr-53"):
        (partial / part).mkdir(parents=True)
    (partial / "config.yaml").write_text(yaml.safe_dump(model_config()))
    write_codec(partial / "BiCodec", spec["audio_tokenizer"], build(codec_shapes))
    write_wav2vec2(partial / "wav2vec2-large-xlsr-53", wav2vec2, build(wav2vec2_shapes))
    write_llm(partial / "LLM", qwen, build(llm_shapes))
    semantic_codes = spec["audio_tokenizer"]["quantizer"]["codebook_size"]
    write_tokenizer(partial / "LLM", token_names(TEXT_TOKENS[size], GLOBAL_CODES, semantic_codes))
    partial.rename(directory)


def shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """The name and the shape of each tensor in a model's state."""
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def model_config() -> dict[str, Any]:
    """The content of the checkpoint's own config.yaml."""
    return {
        "highpass_cutoff_freq": 40,
        "sample_rate": 16_000,
        "segment_duration": 2.4,
        "max_val_duration": 12,
        "latent_hop_length": 320,
        "ref_segment_duration": 6,
        "volume_normalize": True,
    }


def llm_config(size: Size) -> Qwen2Config:
    """Qwen2.5-0.5B's configuration, or the same with fewer and smaller layers."""
    return Qwen2Config(
        **LLM_SIZES[size],  # type: ignore[arg-type]  # a mapping of ints cannot match every keyword
        vocab_size=VOCABULARY_ROWS[size],
        max_position_embeddings=32_768,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=TEXT_TOKENS[size],
        eos_token_id=TEXT_TOKENS[size] + 2,
        architectures=["Qwen2ForCausalLM"],
        dtype="bfloat16",  # as the real configuration says, although its file has float32
    )


def token_names(text_tokens: int, global_codes: int, semantic_codes: int) -> list[str]:
    """All tokens in the order of their ids: text, Qwen's special tokens, audio codes, attributes, control tokens."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    unused = [f"<unused_{index}>" for index in range(text_tokens - len(alphabet))]
    audio = [f"<|bicodec_global_{index}|>" for index in range(global_codes)]
    audio += [f"<|bicodec_semantic_{index}|>" for index in range(semantic_codes)]
    attributes = [f"<|{family}_{index}|>" for family, count in ATTRIBUTES for index in range(count)]
    control = [f"<|task_{task}|>" for task in TASKS]
    control += [f"<|{side}_{section}|>" for side in ("start", "end") for section in SECTIONS]
    return [*alphabet, *unused, *QWEN_SPECIAL, *audio, *attributes, *control]


def write_codec(directory: Path, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> None:
    """Write BiCodec's two files."""
    (directory / "config.yaml").write_text(yaml.safe_dump({"audio_tokenizer": config}))
    safetensors.torch.save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def write_wav2vec2(directory: Path, config: Wav2Vec2Config, weights: dict[str, torch.Tensor]) -> None:
    """Write wav2vec2's files, with tensors named as in the published pre-training checkpoint."""
    renames = {
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
    }
    published = {}
    for name, value in weights.items():
        for new, old in renames.items():
            name = name.replace(new, old)
        published[f"wav2vec2.{name}"] = value
    config.save_pretrained(directory)
    extractor = {"do_normalize": True, "feature_size": 1, "padding_value": 0.0, "return_attention_mask": True}
    (directory / "preprocessor_config.json").write_text(json.dumps({**extractor, "sampling_rate": 16_000}, indent=2))
    torch.save(published, directory / "pytorch_model.bin")


def write_llm(directory: Path, config: Qwen2Config, weights: dict[str, torch.Tensor]) -> None:
    """Write the language model's configuration and weights."""
    config.save_pretrained(directory)
    safetensors.torch.save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def write_tokenizer(directory: Path, names: list[str], normalizer: tokenizers.normalizers.Normalizer = NFC) -> None:
    """Write a byte-level tokenizer without merges: each byte of text is a token."""
    first_added = names.index(QWEN_SPECIAL[0])
    vocabulary = {name: index for index, name in enumerate(names[:first_added])}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges=[]))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.add_tokens([tokenizers.AddedToken(name, normalized=False) for name in names[first_added:]])
    tokenizer.save(str(directory / "tokenizer.json"))
    added = {name: index for index, name in enumerate(names[first_added:], start=first_added)}
    special = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    files = {
        "vocab.json": vocabulary,
        "added_tokens.json": added,
        "special_tokens_map.json": special,
        "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer", "model_max_length": 32_768, **special},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content, ensure_ascii=False, indent=2))
    (directory / "merges.txt").write_text("#version: 0.2\n")
