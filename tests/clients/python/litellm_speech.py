"""LiteLLM's `speech`, as its proxy calls it too."""

import sys

import litellm

response = litellm.speech(
    model="openai/tts-1", voice="alloy", input="Hello there.", api_base=f"{sys.argv[1]}/v1", api_key="none"
)
assert len(response.content) > 2_000
