"""Who may import whom: the separation that docs/architecture.md promises."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [file for package in ("engine", "server") for file in sorted((ROOT / package).rglob("*.py"))]


def imports(file: Path) -> set[str]:
    """The modules that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_layers(file: Path) -> None:
    names = imports(file)
    package, *folders = file.relative_to(ROOT).parts
    if package == "engine":
        assert not any(name.split(".")[0] in ("server", "fastapi", "starlette", "typer") for name in names)
    else:
        inner = {name for name in names if name.startswith("engine.")}
        assert inner <= {"engine.checkpoints.synthetic"}  # imported when a checkpoint is made: it brings torch along
    if "llm" in folders:
        assert not any(name.startswith("engine.codec") for name in names)
    if "codec" in folders:
        assert not any(name.startswith("engine.llm") for name in names)
