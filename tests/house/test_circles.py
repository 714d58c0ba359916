"""No circle between files: what a module needs never needs it, not even lazily or for its types."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("bench", "bundle", "client", "common", "demo", "export", "index", "measure", "serve", "synth", "training")


def needs(path: Path, modules: dict[str, Path]) -> set[str]:
    """Modules of ours that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name}" for name in names)]
        found |= {name for name in names if name in modules}
    return found


def our_modules() -> dict[str, Path]:
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py") if path.name != "__init__.py"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths}


def test_no_circle_between_files():
    modules = our_modules()
    assert len(modules) > 100
    graph = {name: needs(path, modules) - {name} for name, path in modules.items()}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def folder_of(module: str) -> str:
    """The folder inside a room that a module lies in; a module at a room's top stands for itself."""
    return ".".join(module.split(".")[:2])


def test_no_circle_between_folders():
    modules = our_modules()
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        others = {folder_of(other) for other in needs(path, modules)} - {folder_of(name)}
        graph.setdefault(folder_of(name), set()).update(others)
    assert "serve.http" in graph
    list(graphlib.TopologicalSorter(graph).static_order())


def test_a_circle_would_be_seen(tmp_path):
    (tmp_path / "a.py").write_text("def later():\n    from b import x\n")
    (tmp_path / "b.py").write_text("import a\n")
    modules = {"a": tmp_path / "a.py", "b": tmp_path / "b.py"}
    graph = {name: needs(path, modules) for name, path in modules.items()}
    with pytest.raises(graphlib.CycleError, match="a"):
        graphlib.TopologicalSorter(graph).prepare()
