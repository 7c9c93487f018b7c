"""Language models as people have them, made of a small checkpoint by the libraries that people use."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import peft
import torch
from transformers import Qwen2ForCausalLM

TOKENIZER = "tokenizer.json"


def model_of(checkpoint: Path, dtype: torch.dtype = torch.float32) -> Qwen2ForCausalLM:
    return Qwen2ForCausalLM.from_pretrained(checkpoint / "LLM", dtype=dtype).eval()


def disturbed(model: Qwen2ForCausalLM, seed: int = 1) -> Qwen2ForCausalLM:
    """The model with other weights: a fine-tune."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.empty(parameter.shape).normal_(0, 0.02, generator=generator)
            parameter += noise.to(parameter.dtype)
    return model


def fine_tune(checkpoint: Path, directory: Path, dtype: torch.dtype = torch.float32, **saving: Any) -> Path:
    """A whole model at the root of a directory, with its tokenizer."""
    disturbed(model_of(checkpoint, dtype)).save_pretrained(directory, **saving)
    (directory / TOKENIZER).write_bytes((checkpoint / "LLM" / TOKENIZER).read_bytes())
    return directory


def untied(checkpoint: Path, directory: Path) -> Path:
    """A model whose head is not its embedding."""
    model = model_of(checkpoint)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    disturbed(model).save_pretrained(directory)
    (directory / TOKENIZER).write_bytes((checkpoint / "LLM" / TOKENIZER).read_bytes())
    return directory


def lora(checkpoint: Path, directory: Path, **config: Any) -> Path:
    """A LoRA as peft saves it, with weights as if it was trained."""
    defaults = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "o_proj", "gate_proj", "down_proj"]}
    model = peft.get_peft_model(model_of(checkpoint), peft.LoraConfig(task_type="CAUSAL_LM", **(defaults | config)))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += torch.empty(parameter.shape).normal_(0, 0.1, generator=generator)
    model.save_pretrained(directory)
    return directory


def peft_model(checkpoint: Path, adapter: Path) -> peft.PeftModel:
    return peft.PeftModel.from_pretrained(model_of(checkpoint), adapter).eval()


def as_gguf(model: Path, file: Path, kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32) -> Path:
    """A GGUF file in the layout of llama.cpp's convert_hf_to_gguf.py: names, keys and the whole vocabulary."""
    qwen = Qwen2ForCausalLM.from_pretrained(model, dtype=torch.float32)
    config = qwen.config
    writer = gguf.GGUFWriter(file, "qwen2")
    writer.add_type("model")
    writer.add_name("Spark TTS")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    content = json.loads((model / TOKENIZER).read_text())
    names = {token: name for name, token in content["model"]["vocab"].items()}
    added = {token["id"]: token["content"] for token in content["added_tokens"]}
    rows, kinds = range(config.vocab_size), gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([names.get(n) or added.get(n) or f"[PAD{n}]" for n in rows])
    writer.add_token_types(
        [kinds.NORMAL if n in names else kinds.CONTROL if n in added else kinds.UNUSED for n in rows]
    )
    writer.add_token_merges([])
    writer.add_eos_token_id(next(n for n, name in added.items() if name == "<|im_end|>"))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    mapping = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config.num_hidden_layers)
    for name, value in qwen.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        data, new = value.numpy(), mapping.get_name(name, (".weight", ".bias"))
        assert new is not None
        to = kind if value.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(new, gguf.quants.quantize(data, to), raw_dtype=to)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


Make = Callable[[Path, Path], Path]
WHOLE: dict[str, Make] = {
    "root": fine_tune,
    "folder": lambda checkpoint, directory: fine_tune(checkpoint, directory / "LLM").parent,
    "shards": lambda checkpoint, directory: fine_tune(checkpoint, directory, max_shard_size="300KB"),
    "bfloat16": lambda checkpoint, directory: fine_tune(checkpoint, directory, torch.bfloat16),
    "float16": lambda checkpoint, directory: fine_tune(checkpoint, directory, torch.float16),
    "untied": untied,
}
"""Layouts of whole models."""

LORAS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.down_proj": 8}, "alpha_pattern": {"v_proj": 3}},
    "biases": {"bias": "all"},
    "everything": {"target_modules": "all-linear", "modules_to_save": ["lm_head", "embed_tokens"]},
}
"""Settings of peft that a LoRA can have."""
