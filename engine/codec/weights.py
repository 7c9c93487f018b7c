"""Reads weights from a file, folds weight norm, and loads them into a module with every name and shape checked."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.errors import CheckpointError


def fill(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    file: Path,
    file_name: Callable[[str], str],
    unused: Callable[[str], bool],
) -> None:
    """Load `tensors` into `model`.

    `file_name` returns the name in the file of one of the model's tensors. `unused` says whether a tensor of the
    file may be ignored. Raises CheckpointError if a tensor is missing, unknown, of another shape or not of
    numbers.
    """
    wanted = {file_name(name): (name, value) for name, value in model.state_dict().items()}
    state: dict[str, Tensor] = {}
    faults: list[str] = []
    for source, (name, value) in wanted.items():
        found = tensors.get(source)
        if found is None:
            faults.append(f"tensor {source} is missing, expected shape {tuple(value.shape)}")
        elif found.shape != value.shape:
            faults.append(f"tensor {source} has shape {tuple(found.shape)}, expected {tuple(value.shape)}")
        elif not found.sum(dtype=torch.float64).isfinite():
            faults.append(f"tensor {source} has values that are not numbers")
        else:
            state[name] = found.to(value.dtype)
    faults += [
        f"tensor {name} of shape {tuple(found.shape)} is unknown, expected no tensor of this name"
        for name, found in tensors.items()
        if name not in wanted and not unused(name)
    ]
    if faults:
        more = f" (and {len(faults) - 1} more wrong tensors)" if len(faults) > 1 else ""
        raise CheckpointError(f"{file}: {faults[0]}{more}; download the checkpoint again")
    model.load_state_dict(state, assign=True)
    model.eval().requires_grad_(False)


def fold_weight_norm(tensors: Mapping[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Replace each pair of `weight_g` and `weight_v` by its `weight`: the rows of v, scaled to the lengths in g."""
    folded = {name: value for name, value in tensors.items() if not name.endswith((".weight_g", ".weight_v"))}
    for name, direction in tensors.items():
        if name.endswith(".weight_v"):
            if direction.ndim != 3:
                shape = tuple(direction.shape)
                raise CheckpointError(f"{file}: tensor {name} has shape {shape}, expected three dimensions")
            length_name, length_shape = f"{name[:-1]}g", (len(direction), 1, 1)
            length = tensors.get(length_name)
            if length is None or length.shape != length_shape:
                found = "is missing" if length is None else f"has shape {tuple(length.shape)}"
                raise CheckpointError(f"{file}: tensor {length_name} {found}, expected shape {length_shape}")
            norm = torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)
            folded[name.removesuffix("_v")] = direction * (length / norm)
    return folded


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """Map all tensors of a file into memory, without reading them yet; raises CheckpointError."""
    require(file)
    try:
        with safe_open(file, framework="pt") as content:
            return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError) as error:
        raise unreadable(file, "safetensors", error) from error


def read_pickle(file: Path) -> dict[str, Tensor]:
    """Load all tensors of a torch file, mapped into memory if its format allows that; raises CheckpointError."""
    require(file)
    try:
        tensors: dict[str, Tensor] = torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
        )
    except pickle.UnpicklingError as error:  # its message proposes to run whatever is in the file
        raise CheckpointError(
            f"{file}: cannot be read as torch weights: it is damaged, or has something else in it than tensors, which "
            "is not run; download the checkpoint again"
        ) from error
    except Exception as error:  # torch.load raises many types for a damaged file
        raise unreadable(file, "torch weights", error) from error
    if not all(isinstance(value, Tensor) for value in tensors.values()):
        raise CheckpointError(f"{file}: cannot be read as torch weights: it has more than named tensors")
    return tensors


def require(file: Path) -> None:
    """Raise CheckpointError if the file does not exist."""
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file, so this is not a complete Spark-TTS checkpoint")


def unreadable(file: Path, kind: str, error: Exception) -> CheckpointError:
    """The error, in one line, for a file that exists but cannot be read."""
    return CheckpointError(f"{file}: cannot be read as {kind}: {' '.join(str(error).split()):.200}")
