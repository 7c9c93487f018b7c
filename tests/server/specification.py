"""OpenAI's own description of its speech API, to hold answers against."""

import json
from pathlib import Path
from typing import Any

import jsonschema

SPECIFICATION: dict[str, Any] = json.loads((Path(__file__).parent / "speech-openapi.json").read_text())


def conforms(schema: str, value: object) -> None:
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{schema}", **SPECIFICATION})
