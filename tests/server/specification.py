"""OpenAI's specification of its speech API, for comparison with responses."""

import json
from pathlib import Path
from typing import Any

import jsonschema

SPECIFICATION: dict[str, Any] = json.loads((Path(__file__).parent / "speech-openapi.json").read_text())
# The SDK's model of a voice is newer than this description, and requires a type.
SPECIFICATION["components"]["schemas"]["VoiceResource"]["properties"]["type"] = {"type": "string"}


def conforms(schema: str, value: object) -> None:
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{schema}", **SPECIFICATION})
