"""Runs the audio decoder in its own process and converts its output to samples or an InvalidRequest."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np

from engine.errors import InvalidRequest
from engine.voices import audio_decoder
from engine.voices.audio_decoder import Decoded

SECONDS = 30  # wall-clock limit of the process, including its start and waiting for a core
ONE_THREAD = {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
INHERITED = ("HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH")  # other variables may hold secrets


def decode(
    data: bytes, max_seconds: float, param: str, program: str | os.PathLike[str] = audio_decoder.__file__
) -> Decoded:
    """Decode at most `max_seconds` of an audio file; blocks. Raises InvalidRequest on `param`."""
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    try:
        result = subprocess.run(
            [sys.executable, "-P", program, str(max_seconds)],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | ONE_THREAD,
            timeout=SECONDS,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        message = "The audio takes too much time or memory to decode. Export it again, as WAV or FLAC."
        raise InvalidRequest(message, param) from error
    head, _, samples = result.stdout.partition(b"\n")
    told = json.loads(head)
    if reason := told.get("refused"):
        raise InvalidRequest(f"The audio {reason}.", param)
    return Decoded(samples=np.frombuffer(samples, np.float32), **told)
