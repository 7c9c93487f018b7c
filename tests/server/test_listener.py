"""Whisper behind a server of transcriptions verifies what the demo model says."""

import asyncio
import io
from pathlib import Path

import httpx
import pytest
import soundfile
import yaml
from fastapi import FastAPI, Form, UploadFile

from demo.hearing import PYTHON, hear
from tests.server.conftest import running_command, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON.exists(), reason="the judges are not installed: make listener"),
]


def whisper() -> FastAPI:
    """OpenAI's transcriptions by Whisper "base"."""
    app = FastAPI()

    @app.post("/v1/audio/transcriptions")
    async def transcribe(file: UploadFile, language: str = Form()) -> dict[str, str]:
        samples, rate = soundfile.read(io.BytesIO(await file.read()), dtype="float32")
        assert (language, rate) == ("en", 16_000)
        [heard] = await asyncio.to_thread(hear, [samples])
        return {"text": heard.text}

    return app


def test_what_is_understood_passes_and_what_is_not_is_said(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    with serving(whisper()) as listener:
        verifying = {"listener": {"url": listener.url, "max_error_rate": 0.5, "seconds": 600}}
        settings.write_text(yaml.safe_dump({"engine": {"data_directory": str(tmp_path), **verifying}}))
        with (
            running_command(tmp_path / "log", "--config", str(settings)) as server,
            httpx.Client(base_url=server.url, timeout=200) as http,
        ):
            body = {"model": "tts-1", "voice": "alloy", "seed": 1, "stream": False, "verify": True}
            clear = http.post("/v1/audio/speech", json={**body, "input": "I have never seen so many stars in the sky."})
            assert clear.status_code == 200
            assert "X-Speech-Warnings" not in clear.headers
            odd = {"input": "Zvlk brrnt gloopity frimble snorfax.", "retakes": 1}
            assert http.post("/v1/audio/speech", json=body | odd).headers["X-Speech-Warnings"] == "0 words"
