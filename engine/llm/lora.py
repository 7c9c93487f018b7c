"""Merges a LoRA into the weights of a language model. The files are those that peft writes.

Hu et al. 2021, https://arxiv.org/abs/2106.09685: a weight W becomes W + scale * B A. With DoRA (Liu et al. 2024,
https://arxiv.org/abs/2402.09353) its rows also get new lengths. Where the embedding is also the output head, a LoRA
changes only the one of the two that it was trained for, as it does in training.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ValidationError

from engine.checkpoints.language_model import ADAPTER_CONFIG, ADAPTER_WEIGHTS, read_json
from engine.errors import CheckpointError
from engine.llm.tensors import EMBEDDING, HEAD, Read, open_safetensors

KEEPS_BASE = (True, False, None, "gaussian", "eva", "orthogonal")
"""Values of `init_lora_weights` with which training does not change the base weights at its start."""
OTHER_METHODS = (
    *("use_qalora", "use_bdlora", "layer_replication", "alora_invocation_tokens", "arrow_config", "kasa_config"),
    *("monteclora_config", "velora_config", "target_parameters"),
)
"""Settings of peft that make of a LoRA something else."""
MERGE_ELSEWHERE = "Merge it with peft (merge_and_unload), and give the merged model."
_NAME = re.compile(
    r"base_model\.model\.(?P<module>[\w.]+?)\.(?:modules_to_save\.|base_layer\.)?(?:default\.)?"
    r"(?P<part>lora_[AB]\.weight|lora_embedding_[AB]|lora_magnitude_vector(?:\.weight)?|weight|bias)"
)
Parts = dict[str, torch.Tensor]


class LoraConfig(BaseModel):
    """The keys of adapter_config.json that say how to merge."""

    peft_type: Literal["LORA"]
    r: int
    lora_alpha: float
    use_rslora: bool = False
    ensure_weight_tying: bool = False
    fan_in_fan_out: bool = False
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}
    init_lora_weights: bool | str | None = True

    @classmethod
    def from_file(cls, path: Path) -> LoraConfig:
        """Read adapter_config.json; raises CheckpointError if it is of an adapter that cannot be merged here."""
        content = {name: value for name, value in read_json(path).items() if value is not None}
        if (kind := content.get("peft_type")) != "LORA":
            raise CheckpointError(f"{path} is of a {kind} adapter, not of a LoRA. {MERGE_ELSEWHERE}")
        try:
            config = cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise CheckpointError(f"{path} is not a LoRA's configuration: {where}: {first['msg']}") from error
        other = [name for name in (*OTHER_METHODS, "fan_in_fan_out") if content.get(name)]
        if config.init_lora_weights not in KEEPS_BASE:
            other.append(f"init_lora_weights {config.init_lora_weights}")
        if other:
            raise CheckpointError(f"{path} has {other[0]}, which cannot be merged here. {MERGE_ELSEWHERE}")
        return config

    def scale(self, module: str) -> float:
        """The factor of B A in a module."""
        rank, alpha = _of(self.rank_pattern, module, self.r), _of(self.alpha_pattern, module, self.lora_alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


def merged(tensors: Mapping[str, Read], adapter: Path, *, tied: bool) -> dict[str, Read]:
    """The base model's tensors; those that the LoRA changes are merged in float32 when they are read.

    `tied` says whether the embedding is also the head. Raises CheckpointError if the LoRA does not fit the base model,
    or needs more than a merge.
    """
    path = adapter / ADAPTER_WEIGHTS
    config = LoraConfig.from_file(adapter / ADAPTER_CONFIG)
    with open_safetensors(path) as file:
        modules = _modules({name: file.get_tensor(name) for name in file.keys()}, path)  # noqa: SIM118 - no mapping
    changed: dict[str, Read] = {}
    for module, parts in modules.items():
        name = f"{module}.weight"
        source = EMBEDDING if name == HEAD and name not in tensors and tied else name
        if source not in tensors:
            raise CheckpointError(f"{path} changes {module}, which the base model does not have.")
        if (bias := parts.pop("bias", None)) is not None:
            changed[f"{module}.bias"] = partial(_itself, bias)
        if parts:
            changed[name] = Merge(tensors[source], parts, config.scale(module), f"{path}: {module}").weight
    if tied and EMBEDDING in changed and not config.ensure_weight_tying:
        changed.setdefault(HEAD, tensors.get(HEAD, tensors[EMBEDDING]))
    return {**tensors, **changed}


class Merge:
    """One module's weight and what the LoRA has for it."""

    def __init__(self, base: Read, parts: Parts, scale: float, where: str) -> None:
        self._base, self._parts, self._scale, self._where = base, parts, scale, where

    def weight(self) -> torch.Tensor:
        """The merged weight, float32, of the base's shape (a module that was trained as a whole can have another)."""
        if (whole := self._parts.get("weight")) is not None:
            return whole
        weight = self._base().float()
        if "lora_embedding_A" in self._parts:
            change = self._product("lora_embedding_B", "lora_embedding_A").T
        else:
            change = self._product("lora_B.weight", "lora_A.weight")
        if change.shape != weight.shape:
            raise CheckpointError(
                f"{self._where} is for a weight of shape {tuple(change.shape)}, and the base model's has "
                f"{tuple(weight.shape)}."
            )
        weight = weight + self._scale * change
        if (magnitude := self._parts.get("lora_magnitude_vector")) is not None:
            if magnitude.numel() != len(weight):
                raise CheckpointError(f"{self._where} has {magnitude.numel()} magnitudes, not {len(weight)}.")
            weight = weight * (magnitude.float().flatten() / weight.norm(dim=1))[:, None]
        return weight

    def _product(self, left: str, right: str) -> torch.Tensor:
        try:
            b, a = self._parts[left].float(), self._parts[right].float()
            return b @ a
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{self._where} has no {left} and {right} of the same rank.") from error


def _modules(tensors: Parts, path: Path) -> dict[str, Parts]:
    """The tensors by the name of their module; raises CheckpointError for one that is not a LoRA's."""
    modules: dict[str, Parts] = {}
    for name, value in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise CheckpointError(f"{path} has a tensor {name}, which cannot be merged here. {MERGE_ELSEWHERE}")
        if not value.float().isfinite().all():
            raise CheckpointError(f"{path}: {name} has values that are not numbers; download the LoRA again.")
        part = match["part"].removesuffix(".weight") if "magnitude" in match["part"] else match["part"]
        modules.setdefault(match["module"], {})[part] = value
    if not modules:
        raise CheckpointError(f"{path} is empty.")
    return modules


def _itself(value: torch.Tensor) -> torch.Tensor:
    return value


def _of(pattern: Mapping[str, Any], module: str, otherwise: float) -> float:
    """The value of the first pattern that matches a module's name or its end, as peft does; or `otherwise`."""
    for key, value in pattern.items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return float(value)
    return otherwise
