"""OpenAI's SDK, asynchronous: whole, streamed to a file, server-sent events, models and voices."""

import asyncio
import sys
import tempfile
from pathlib import Path

import openai


async def main(url: str) -> None:
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    arguments = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "Hello there."}
    whole = await client.audio.speech.create(**arguments, response_format="pcm")
    assert len(whole.content) > 10_000
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "speech.mp3"
        async with client.audio.speech.with_streaming_response.create(**arguments) as response:
            await response.stream_to_file(file)
        assert file.stat().st_size > 2_000
    names = [model.id async for model in client.models.list()]
    assert names, names


asyncio.run(main(sys.argv[1]))
