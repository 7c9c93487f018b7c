"""The files of a checkpoint, with meaningless content."""

from pathlib import Path

from engine.checkpoints.layout import LAYOUT

WEIGHTS = "LLM/model.safetensors"


def make_layout(directory: Path) -> None:
    """Files under all names of the layout, long enough that their beginning and end are not the same bytes."""
    for name in LAYOUT:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(name.encode() * 10_000)
