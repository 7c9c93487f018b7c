"""wyoming-openai, as Home Assistant uses it: its voices are found without being named, and one of them speaks."""

import asyncio
import contextlib
import sys

from wyoming.audio import AudioChunk, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeVoice

PORT = 10_347


async def main(url: str) -> None:
    command = [
        *(sys.executable, "-m", "wyoming_openai", "--languages", "en", "--uri", f"tcp://127.0.0.1:{PORT}"),
        *("--tts-openai-url", f"{url}/v1", "--tts-openai-key", "none", "--tts-models", "tts-1"),
    ]
    proxy = await asyncio.create_subprocess_exec(*command)
    try:
        await speak()
    finally:
        proxy.terminate()
        await proxy.wait()


async def speak() -> None:
    client = AsyncTcpClient("127.0.0.1", PORT)
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError):
                await client.connect()
                break
            await asyncio.sleep(0.2)
        await client.write_event(Describe().event())
        while not Info.is_type((event := await client.read_event()).type):
            pass
        voices = [voice.name for program in Info.from_event(event).tts for voice in program.voices]
        assert "alloy" in " ".join(voices), voices
        name = next(voice for voice in voices if "alloy" in voice)
        await client.write_event(Synthesize("Hello there.", voice=SynthesizeVoice(name=name)).event())
        size = 0
        while not AudioStop.is_type((event := await client.read_event()).type):
            if AudioChunk.is_type(event.type):
                size += len(AudioChunk.from_event(event).audio)
        assert size > 10_000, size


asyncio.run(main(sys.argv[1]))
