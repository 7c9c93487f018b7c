"""Tests once, in a child process, whether llama.cpp's repacked weights work on this machine.

On virtualised Xeons with AMX, a build of llama.cpp that uses AMX crashes with a general protection fault at the first
decode of a quantized model (ggml-org/llama.cpp#20824). Without repacked weights (`use_extra_bufts`) it works, but is
slower. The child decodes with the model's own file: llama.cpp chooses its routines by the type and the shape of
each matrix, so a tiny model could work where this one crashes. The child ends before the server loads the file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import EngineError

logger = logging.getLogger(__name__)

CHILD = (sys.executable, "-m", "engine.llm.llama_cpp.probe")
TIMEOUT = 120.0  # seconds; a child that takes longer counts as crashed


def repacking_is_safe(path: Path, library: Path, verdicts: Path, child: Sequence[str] = CHILD) -> bool:
    """Whether repacked weights work with this build, this processor and this kind of file.

    Args:
        path: a model's file; the child decodes with it.
        library: the directory of llama.cpp's shared libraries.
        verdicts: a directory where results are kept.
        child: the command that decodes; it is called with the file, and `1` to repack weights or `0` not to.

    Raises EngineError if the child crashes with repacked weights and without.

    """
    verdict = verdicts / f"llama-cpp-{_key(path, library)}.json"
    try:
        return bool(json.loads(verdict.read_text())["repack"])
    except (OSError, ValueError, KeyError):
        pass
    repack = _survives(path, True, child)
    if not repack:
        logger.warning("llama.cpp crashes with repacked weights on this machine. It runs without them, but slower.")
        if not _survives(path, False, child):
            raise EngineError(
                f"llama.cpp crashes on this machine at its first decode of {path}. "
                "Rebuild it with `make llama`, or choose `backend: torch`."
            )
    try:
        verdicts.mkdir(parents=True, exist_ok=True)
        verdict.write_text(json.dumps({"repack": repack}))
    except OSError as error:
        logger.warning("The result of the test of llama.cpp cannot be kept in %s: %s", verdict, error.strerror or error)
    return repack


def _survives(path: Path, repack: bool, child: Sequence[str]) -> bool:
    try:
        done = subprocess.run([*child, str(path), str(int(repack))], capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return False
    logger.debug("The probe ended with %d: %s", done.returncode, done.stderr.decode(errors="replace")[-500:])
    return done.returncode == 0


def _key(path: Path, library: Path) -> str:
    """A key for this build, this processor and this kind of file."""
    digest = hashlib.sha256()
    for file in sorted(library.glob("*ggml*")):
        stat = file.stat()
        digest.update(f"{file.name}:{stat.st_size}:{stat.st_mtime_ns};".encode())
    digest.update(f"{path.name}:{platform.machine()}:{_processor()}".encode())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """The processor's model and features, as Linux reports them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags"))))


def main(path: str, repack: str) -> None:
    """In the child: load the model, prefill a prompt, and decode a step of several sequences."""
    import gguf
    import torch

    from engine.llm.base import Chunk
    from engine.llm.llama_cpp.runner import LlamaCppModelRunner

    field = gguf.GGUFReader(path).get_field("qwen2.embedding_length")
    assert field is not None
    runner = LlamaCppModelRunner(
        Path(path),
        "q8_0",
        torch.zeros(1, int(field.contents())),
        1,
        slots=2,
        context=256,
        threads=torch.get_num_threads(),
        repack=repack == "1",
    )
    runner.prefill([Chunk(0, [0] * 8, 0)])
    runner.decode([0, 1], [0, 0], [8, 0])


if __name__ == "__main__":
    main(*sys.argv[1:])
