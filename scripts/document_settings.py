"""Write docs/configuration.md: every setting, as the models in server/settings.py and engine/config.py declare it.

python scripts/document_settings.py > docs/configuration.md
"""

from __future__ import annotations

import json
import sys
from typing import Any

from server.settings import Settings

INTRODUCTION = """\
# Configuration

<!-- Written by scripts/document_settings.py from the models in server/settings.py and engine/config.py. -->

Settings come from three places. The later ones win:

1. a YAML file: `fast-spark serve --config FILE`,
2. environment variables: the setting's name in capitals with the prefix `FAST_SPARK_`, and `__` for each dot:
   `engine.max_running` is `FAST_SPARK_ENGINE__MAX_RUNNING`,
3. flags of the command: `--model`, `--language-model`, and of `serve` also `--host`, `--port` and `--no-tune`.

A variable for a list or a map holds JSON: `FAST_SPARK_CORS_ORIGINS='["https://example.com"]'`. An unknown name or a
wrong value stops the start, with one line that names the setting.

In a file, a dot is a level:

```yaml
port: 9000
engine:
  model: SparkAudio/Spark-TTS-0.5B
  max_running: 16
```

[configs/](../configs) has examples. [reference.yaml](../configs/reference.yaml) has every setting with its default.
[cpu.yaml](../configs/cpu.yaml), [gpu.yaml](../configs/gpu.yaml) and [remote.yaml](../configs/remote.yaml) have the
settings that matter on such a host, with what each costs. Those for
[clusters](deployment/cluster.md) are Ray Serve's files, with settings in them.
"""

Schema = dict[str, Any]


def main() -> None:
    """Print the page."""
    schema = Settings.model_json_schema()
    sys.stdout.write(INTRODUCTION + "".join(tables(schema, schema["$defs"])))


def tables(schema: Schema, definitions: Schema, prefix: str = "", about: str = "") -> list[str]:
    """A table of the settings of one model, below what the model is about, then those of the models inside it."""
    rows, inner = [], []
    for name, field in schema["properties"].items():
        model = field if "$ref" in field else field.get("anyOf", [{}])[0]
        if "$ref" in model:
            nested = definitions[model["$ref"].rpartition("/")[2]]
            inner += tables(nested, definitions, f"{prefix}{name}.", field.get("description", ""))
        elif "description" not in field:
            raise ValueError(f"The setting {prefix}{name} needs a docstring that says what it does.")
        else:
            default = "required" if name in schema.get("required", ()) else f"`{json.dumps(field['default'])}`"
            rows.append((f"`{prefix}{name}`", values(field), default, " ".join(field["description"].split())))
    header = ("setting", "value", "default", "what it does")
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in (header, *rows)]
    title = f"`{prefix[:-1]}`" if prefix else "The server"
    introduction = f"{about}\n\n" if about else ""
    return [f"\n## {title}\n\n{introduction}{lines[0]}|---|---|---|---|\n{''.join(lines[1:])}", *inner]


def values(field: Schema) -> str:
    """What a field may hold, in words, from its JSON schema."""
    match field:
        case {"anyOf": [one, {"type": "null"}]}:
            return f"{values(one)}, or null"
        case {"enum": choices}:
            return ", ".join(f"`{choice}`" for choice in choices)
        case {"type": "boolean"}:
            return "`true`, `false`"
        case {"type": "integer" | "number" as kind}:
            return kind + bounds(field)
        case {"type": "array", "items": items}:
            return f"list of {values(items)}"
        case {"type": "object"}:
            return "map of names to text"
        case {"format": "path"}:
            return "path"
        case {"type": "string"}:
            return "text"
    raise ValueError(f"There are no words yet for the values of {field}: add them here.")


def bounds(field: Schema) -> str:
    """The bounds of a number, such as `, 1 to 1024`."""
    match field:
        case {"minimum": low, "maximum": high}:
            return f", {low} to {high}"
        case {"exclusiveMinimum": low, "maximum": high}:
            return f", above {low}, at most {high}"
        case {"minimum": low}:
            return f", {low} or more"
        case {"exclusiveMinimum": low}:
            return f", above {low}"
        case {"maximum": high}:
            return f", at most {high}"
    return ""


if __name__ == "__main__":
    main()
