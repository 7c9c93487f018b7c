"""A listener for `verify`: OpenAI's transcriptions by Whisper "tiny.en" (`make listener`)."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, UploadFile

from benchmarks.serving import free_port
from demo.hearing import LISTENER, PYTHON


class _Whisper:
    """The recogniser, in a process that keeps its weights; it hears one recording at a time."""

    def __init__(self) -> None:
        if not PYTHON.exists():
            raise RuntimeError("The judges of speech are not installed: make listener")
        self._one_at_a_time = threading.Lock()
        self._process = subprocess.Popen(
            [PYTHON, LISTENER, "--size", "tiny.en"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hear(self, wave: bytes) -> str:
        """The text of a WAV file."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time, tempfile.NamedTemporaryFile(suffix=".wav") as file:
            Path(file.name).write_bytes(wave)
            self._process.stdin.write(json.dumps([file.name]) + "\n")
            self._process.stdin.flush()
            text: str = json.loads(self._process.stdout.readline())["text"]
            return text

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def whisper_server() -> Generator[str, None, None]:
    """Serve the transcriptions in a thread until the block ends, at this address."""
    whisper, app = _Whisper(), FastAPI()

    @app.post("/v1/audio/transcriptions")
    def transcribe(file: UploadFile) -> dict[str, str]:
        return {"text": whisper.hear(file.file.read())}

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        whisper.close()
