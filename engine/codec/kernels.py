"""Compiled activations for the wave generator, see `engine.codec.activation`.

For CPUs, torch's compiler writes and compiles them ahead of time (AOTInductor), one file for each function, precision
and vector width. That needs a C++ compiler and a minute, once; the files need neither.
`python -m engine.codec.kernels DIRECTORY` makes all files that this machine can make, for an image that has no
compiler.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, cast

import torch
from torch import Tensor, nn

from engine.codec.activation import FusedActivation
from engine.config import Precision
from engine.runtime.parent import end_with

logger = logging.getLogger(__name__)

Function = Literal["snake", "add_snake"]
FUNCTIONS: Final[tuple[Function, ...]] = ("snake", "add_snake")
WIDTHS: Final = {"AVX512": (512, "x86-64-v4"), "AVX2": (256, "x86-64-v3")}
"""By torch's name of a CPU's vectors: their bits, and the processors that a file for them is for."""
INSTALLED = Path(sys.prefix) / "share" / "fast-spark" / "kernels"
"""Where an image has its files."""
MAPS = Path("/proc/self/maps")
"""What this process has mapped into its memory, on Linux."""
UNPACKED = re.compile(r"/.*/aotinductor_\w+(?=/)")
"""A folder into which torch has unpacked a library."""
BUILD_SECONDS = 120
ABANDONED_SECONDS = 3600  # no compilation takes so long: a folder that is older was left by a process that was killed


class _Snake(nn.Module):
    """The activation, as the compiler sees it: rows (N, C) with alpha (C,)."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def forward(self, x: Tensor, alpha: Tensor) -> Tensor:
        x = x.float()
        return (x + (x * alpha).sin().square() * (1 / (alpha + 1e-9))).to(self._dtype)


class _AddSnake(_Snake):
    def forward(self, x: Tensor, term: Tensor, alpha: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(x.add_(term), alpha)


def load(precision: Precision, directories: Sequence[Path]) -> FusedActivation | None:
    """The compiled activations for this CPU from the first of the directories that has them; None if none has."""
    for directory in directories:
        files = [_file(directory, function, precision) for function in FUNCTIONS]
        if all(file.is_file() for file in files):
            try:
                return FusedActivation(getattr(torch, precision), *(_function(file) for file in files))
            except Exception as error:  # a damaged file raises many types
                logger.warning("The compiled activations in %s cannot be loaded: %s", directory, error)
    return None


def compiled_for_cuda(dtype: torch.dtype, device: torch.device) -> FusedActivation | None:
    """Activations for a CUDA device, compiled by Triton now, which takes some seconds; None without a C compiler."""
    functions = [torch.compile(make(dtype), dynamic=True) for make in (_Snake, _AddSnake)]
    rows, term, alpha = (torch.zeros(shape, device=device) for shape in ((700, 96), (700, 96), (96,)))
    try:
        with torch.inference_mode():
            functions[0](term.to(dtype), alpha)
            functions[1](rows, term.to(dtype), alpha)
    except Exception as error:  # the compiler raises many types
        logger.warning("The codec's activations cannot be compiled for this GPU, and take twice as long: %s", error)
        return None
    return FusedActivation(dtype, *functions)


def build(precision: Precision, directory: Path, seconds: float = BUILD_SECONDS) -> bool:
    """Make the files for this CPU in `directory`, in processes of their own; return whether they are there now.

    Without a C++ compiler, or if it fails or takes more than `seconds`, there are none, and the log says so.
    """
    end = time.monotonic() + seconds
    if _capability() not in WIDTHS:
        logger.info("Activations are not compiled for this processor: it has neither AVX2 nor AVX-512.")
        return False
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        logger.info("There is no C++ compiler here (Debian: apt install g++): activations are not compiled.")
        return False
    try:
        _build_missing(precision, directory, end)
    except OSError as error:
        logger.warning("Compiled activations cannot be written to %s: %s", directory, error.strerror or error)
    return all(_file(directory, name, precision).is_file() for name in FUNCTIONS)


def _build_missing(precision: Precision, directory: Path, end: float) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(directory)
    missing = [name for name in FUNCTIONS if not _file(directory, name, precision).is_file()]
    # The folder is this process's: a compiler that is killed cannot remove its own.
    with tempfile.TemporaryDirectory(dir=directory, ignore_cleanup_errors=True) as made:
        environment = os.environ | {"TMPDIR": made}  # torch's compiler leaves its cache there
        own = (made, precision, _capability(), str(os.getpid()))
        compilers = [
            subprocess.Popen(
                [sys.executable, "-m", __name__, *own, name],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            for name in missing
        ]
        for name, compiler in zip(missing, compilers, strict=True):
            if _finished(compiler, end):
                _file(Path(made), name, precision).rename(_file(directory, name, precision))


def _finished(compiler: subprocess.Popen[bytes], end: float) -> bool:
    """Wait for a compiler until `end`, and kill it then; return whether it succeeded."""
    try:
        _, errors = compiler.communicate(timeout=max(0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        compiler.kill()
        compiler.communicate()
        logger.warning("There was no time to compile the activations: `fast-spark tune` gives more.")
        return False
    if compiler.returncode:
        logger.warning("The activations were not compiled: %s", errors.decode(errors="replace").strip()[-500:])
    return not compiler.returncode


def _remove_abandoned(directory: Path) -> None:
    """Remove the folders of processes that were killed while they compiled."""
    for folder in directory.glob("tmp*"):
        with suppress(FileNotFoundError):  # another process has removed its own meanwhile
            if time.time() - folder.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def compile_function(function: Function, precision: Precision, capability: str, directory: Path) -> None:
    """Compile one function for CPUs with the vectors `capability`, a key of WIDTHS."""
    import torch._inductor

    dtype = getattr(torch, precision)
    rows, term, alpha = torch.zeros(700, 96), torch.zeros(700, 96, dtype=dtype), torch.ones(96)
    inputs = (term, alpha) if function == "snake" else (rows, term, alpha)
    frames, channels = torch.export.Dim("frames", min=2), torch.export.Dim("channels", min=2, max=8192)
    shapes = tuple({0: frames, 1: channels} if value.ndim == 2 else {0: channels} for value in inputs)
    module = _Snake(dtype) if function == "snake" else _AddSnake(dtype)
    bits, processors = WIDTHS[capability]
    options = {
        "cpp.simdlen": bits,
        "cpp.march": processors,
        "cpp.dynamic_threads": True,
        "aot_inductor.precompile_headers": False,  # 280 MB, and 7 of 22 s
        "cpp_cache_precompile_headers": False,
    }
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory) as temporary, torch.inference_mode():
        made = Path(temporary) / "function.pt2"
        program = torch.export.export(module, inputs, dynamic_shapes=shapes)
        torch._inductor.aoti_compile_and_package(program, package_path=str(made), inductor_configs=options)
        made.rename(_file(directory, function, precision, capability))


def _file(directory: Path, function: Function, precision: Precision, capability: str | None = None) -> Path:
    name = f"{function}-{precision}-{capability or _capability()}-torch{torch.__version__}.pt2"
    return directory / name.lower()


def _capability() -> str:
    return torch.backends.cpu.get_cpu_capability()


def _function(file: Path) -> Callable[..., Tensor]:
    # `aoti_load_package` would first compile programs to learn which vectors the CPU has: 19 s on two busy cores.
    loader = torch._C._aoti.AOTIModelPackageLoader(str(file), "model", False, 1, -1)
    _remove_unpacked()

    def function(*inputs: Tensor) -> Tensor:
        [result] = loader.boxed_run(list(inputs))
        return result

    return function


def _remove_unpacked() -> None:
    """Remove the folders into which torch has unpacked the libraries that this process has loaded.

    torch removes them with the functions only, so that each process that ends with them would leave two in /tmp. A
    library that is loaded needs no file.
    """
    lines = MAPS.read_text().splitlines() if MAPS.is_file() else []
    loaded = (line.split(maxsplit=5)[-1] for line in lines if not line.endswith("(deleted)"))
    for folder in {match[0] for match in map(UNPACKED.match, loaded) if match}:
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> None:
    """Compile one function for the process that asks for it, or all that this machine's CPU can run."""
    directory, *one = arguments
    if one:
        precision, capability, parent, function = one
        end_with(int(parent))
        compile_function(cast("Function", function), cast("Precision", precision), capability, Path(directory))
        return
    wanted: tuple[Precision, ...] = ("float32", "bfloat16")
    runnable = WIDTHS if _capability() == "AVX512" else {_capability()} & set(WIDTHS)
    for capability in runnable:
        for precision in wanted:
            for name in FUNCTIONS:
                compile_function(name, precision, capability, Path(directory))


if __name__ == "__main__":
    main(sys.argv[1:])
