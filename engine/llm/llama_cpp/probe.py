"""Whether llama.cpp survives its fastest way on this machine; found out in a child process, once.

On virtualised Xeons with AMX, a build of llama.cpp that uses it dies of a general protection fault at the first
decode of a quantized model (ggml-org/llama.cpp#20824). Without its repacked weights (`use_extra_bufts`) it lives,
and is slower. The child decodes with the model's own file: llama.cpp chooses its routines by the type and the shape of
each matrix, so a tiny model might live where this one dies; it is gone before the server loads the file itself.
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
TIMEOUT = 120.0  # seconds; a child that takes longer counts as dead


def repacking_is_safe(path: Path, library: Path, verdicts: Path, child: Sequence[str] = CHILD) -> bool:
    """Whether weights may be repacked: the verdict for this build, this processor and this kind of file.

    Args:
        path: a model's file; the child decodes with it.
        library: the directory of llama.cpp's shared libraries.
        verdicts: a directory where verdicts are kept.
        child: the command that decodes, called with the file and `1` or `0` for repacking or not.

    Raises EngineError if the child dies both ways.

    """
    verdict = verdicts / f"llama-cpp-{_key(path, library)}.json"
    try:
        return bool(json.loads(verdict.read_text())["repack"])
    except (OSError, ValueError, KeyError):
        pass
    repack = _survives(path, True, child)
    if not repack:
        logger.warning("This build of llama.cpp dies of repacked weights on this machine; it goes on without, slower.")
        if not _survives(path, False, child):
            raise EngineError(
                f"llama.cpp dies on this machine, at its first decode of {path}. "
                "Build it anew with `make llama`, or choose `backend: torch`."
            )
    verdicts.mkdir(parents=True, exist_ok=True)
    verdict.write_text(json.dumps({"repack": repack}))
    return repack


def _survives(path: Path, repack: bool, child: Sequence[str]) -> bool:
    try:
        done = subprocess.run([*child, str(path), str(int(repack))], capture_output=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return False
    logger.debug("The probe ended with %d: %s", done.returncode, done.stderr.decode(errors="replace")[-500:])
    return done.returncode == 0


def _key(path: Path, library: Path) -> str:
    """A name for this build, this processor and this kind of file."""
    digest = hashlib.sha256()
    for file in sorted(library.glob("*ggml*")):
        stat = file.stat()
        digest.update(f"{file.name}:{stat.st_size}:{stat.st_mtime_ns};".encode())
    digest.update(f"{path.name}:{platform.machine()}:{_processor()}".encode())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """Model and abilities of the processor, as Linux tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(("model name", "flags"))))


def main(path: str, repack: str) -> None:
    """In the child: load the model and decode, a prompt and then a step of several sequences."""
    import gguf
    import torch

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
    runner.prefill(0, [0] * 8, 0)
    runner.decode([0, 1], [0, 0], [8, 0])


if __name__ == "__main__":
    main(*sys.argv[1:])
