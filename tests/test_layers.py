"""Which package may import which: the separation that docs/architecture.md describes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[1]
MODULES = [file for package in ("engine", "server") for file in sorted((ROOT / package).rglob("*.py"))]
WEB = {"fastapi", "starlette", "uvicorn", "typer", "rich"}
HEAVY = {"torch", "transformers", "llama_cpp", "vllm"}
PURE = ("engine", "engine.codec.windows", "engine.tokens.grammar", "engine.tokens.prompts", "engine.text", "server.cli")


def imports(file: Path) -> list[tuple[str, str]]:
    """All imports of a file, inside functions too: the module, and the name that is imported from it or ""."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "a relative import"
            assert not node.level, "a relative import"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_layers(file: Path) -> None:
    found = imports(file)
    modules = {module for module, _ in found} | {f"{module}.{name}" for module, name in found if name}
    package, *folders = file.relative_to(ROOT).with_suffix("").parts
    if package == "engine":
        assert not any(module.split(".")[0] in {"server", *WEB} for module in modules)
    else:
        public = {name for module, name in found if module == "engine"}
        assert public <= set(engine.__all__)
        inner = {module for module, _ in found if module.startswith("engine.")}
        assert inner <= {"engine.checkpoints.synthetic"}  # imports torch, so `engine` does not
    if folders[0] == "llm":
        assert not any(within(module, "engine.codec") for module in modules)
    if folders[0] == "codec":
        assert not any(within(module, "engine.llm") for module in modules)
    if folders[0] in ("tokens", "text", "checkpoints", "runtime"):
        assert not any(within(module, f"engine.{above}") for module in modules for above in ("llm", "codec", "speech"))
    backends = {"llama_cpp", "pytorch", "vllm", "remote"}
    if folders[0] == "llm" and folders[1] in backends:
        others = backends - {folders[1]}
        assert not any(within(module, f"engine.llm.{other}") for module in modules for other in others)


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_import_no_heavy_library(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(sys.modules.keys() & {HEAVY}))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
