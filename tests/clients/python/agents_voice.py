"""openai-agents: the voice pipeline's text-to-speech model."""

import asyncio
import sys

import openai
from agents.voice import OpenAITTSModel, TTSModelSettings


async def main(url: str) -> None:
    model = OpenAITTSModel("gpt-4o-mini-tts", openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0))
    settings = TTSModelSettings(voice="ash")
    size = 0
    async for chunk in model.run("Hello there.", settings):
        size += len(chunk)
    assert size > 10_000, size


asyncio.run(main(sys.argv[1]))
