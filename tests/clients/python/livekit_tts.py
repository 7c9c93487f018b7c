"""LiveKit's agents: the TTS plug-in of OpenAI, piece by piece, and a stream that is closed in the middle."""

import asyncio
import sys

import openai
from livekit.agents import APIConnectOptions
from livekit.agents.utils.http_context import open as http_context
from livekit.plugins import openai as livekit_openai


async def main(url: str) -> None:
    client = openai.AsyncClient(base_url=f"{url}/v1", api_key="none", max_retries=0)
    tts = livekit_openai.TTS(client=client, voice="alloy", response_format="mp3")
    async with http_context():
        options = APIConnectOptions(max_retry=0, timeout=60)
        seconds = 0.0
        async with tts.synthesize("Hello there, how are you?", conn_options=options) as stream:
            async for audio in stream:
                seconds += audio.frame.duration
        assert seconds > 0.5, seconds
        async with tts.synthesize("A long sentence, which nobody hears to its end.", conn_options=options) as stream:
            await anext(aiter(stream))


asyncio.run(main(sys.argv[1]))
