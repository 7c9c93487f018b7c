"""A client that reads the status and hangs up, 50 times: Home Assistant checks a key so, with a full stop as text."""

import asyncio
import sys

import aiohttp


async def main(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        for text in [".", "A sentence that nobody waits for."] * 25:
            body = {"model": "tts-1", "voice": "alloy", "input": text}
            async with session.post(f"{url}/v1/audio/speech", json=body) as response:
                assert response.status == 200, await response.text()
        async with session.get(f"{url}/health/live") as response:
            assert response.status == 200


asyncio.run(main(sys.argv[1]))
