"""The published schema of rules that the engine or a route enforces.

The patterns are for clients and code generators. They do not validate: whoever enforces a rule has a clearer message.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from engine import BUILT_IN
from server.encoding import SAMPLE_RATES

_PLAIN: Final = r"[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029]"  # neither slashes nor control characters
_PLAIN_SIGN: Final = r"[^\s/\\\x00-\x1f\x7f-\x9f\u2028\u2029]"
_ID: Final = "[0-9a-f]{32}"


def _pattern(pattern: str) -> dict[str, Any]:
    return {"pattern": f"^{pattern}$"}


Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        description="Must not be blank, and must not contain slashes, backslashes or control characters.",
        json_schema_extra=_pattern(f"{_PLAIN}*{_PLAIN_SIGN}{_PLAIN}*"),
    ),
]
Transcript = Annotated[
    str,
    Field(
        max_length=4096,
        description="The exact words of the sample.",
        json_schema_extra=_pattern(r"[^\x00]*"),
    ),
]
TextPrefix = Annotated[
    str,
    Field(
        max_length=64,
        description="The speaker's name that a text begins with, for models that were trained so: `NAME: TEXT`.",
        json_schema_extra=_pattern(f"{_PLAIN}*"),
    ),
]
LanguageTag = Annotated[str, Field(max_length=64, json_schema_extra=_pattern("[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,6}"))]
VoiceName = Annotated[str, Field(min_length=1, max_length=256)]
ConsentId = Annotated[str, Field(max_length=256, json_schema_extra=_pattern(f"cons_{_ID}"))]
ListedVoice = Annotated[str, Field(max_length=256, json_schema_extra=_pattern(f"({'|'.join(BUILT_IN)}|voice_{_ID})"))]
Dialogue = Annotated[str, Field(min_length=1, max_length=4096, json_schema_extra=_pattern(r"\s*<role:[^<>]*>[\s\S]*"))]
SampleRate = Annotated[int, Field(json_schema_extra={"enum": sorted(set().union(*SAMPLE_RATES.values()))})]


def form(schema: dict[str, Any]) -> None:
    """Remove null from the schema: form fields are either sent or omitted."""
    for field in schema["properties"].values():
        if "anyOf" in field:
            given = [kind for kind in field.pop("anyOf") if kind != {"type": "null"}]
            field |= given[0] if len(given) == 1 else {"anyOf": given}
        if field.get("default", 0) is None:
            del field["default"]


def any_of(*names: str) -> dict[str, Any]:
    """Return a schema that requires at least one of the fields."""
    return {"anyOf": [{"required": [name]} for name in names]}


def one_of(*names: str) -> dict[str, Any]:
    """Return a schema that requires exactly one of the fields."""
    return {"oneOf": [{"required": [name]} for name in names]}
