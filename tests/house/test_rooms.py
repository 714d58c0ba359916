"""The rooms keep to their places: import rules as data, and what a process really loads."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIGHT_ROOMS = ("bundle", "measure", "index", "serve")
MODULE_NAME = re.compile(r"\w+(\.\w+)*\.(?!py$)\w+")
HEAVY = ("torch", "lightning", "transformers", "training", "export")


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_import_rules_hold():
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout


def test_the_service_starts_without_meeting_torch():
    result = run_python(
        f"import serve.app, sys; loaded = [m for m in {HEAVY} if m in sys.modules]; assert not loaded, loaded"
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_every_module_of_a_light_room_imports_where_torch_is_missing(room):
    """A finder that refuses the heavy packages stands in for an environment without them."""
    names = [module.name for module in pkgutil.walk_packages([str(ROOT / room)], f"{room}.")]
    result = run_python(
        "import sys, importlib\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {HEAVY}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"[importlib.import_module(name) for name in {names}]"
    )
    assert result.returncode == 0, result.stderr


def test_the_front_door_loads_no_room():
    result = run_python(
        "import sys, ear_teacher; ear_teacher.main(['--help'])\n"
        "rooms = {'bundle', 'measure', 'training', 'export', 'index', 'serve', 'numpy'} & set(sys.modules)\n"
        "assert not rooms, rooms"
    )
    assert result.returncode == 0, result.stderr


def test_naming_the_vae_loads_no_lightning():
    result = run_python("from training import EarVAE; import sys; assert 'lightning' not in sys.modules")
    assert result.returncode == 0, result.stderr


def test_every_verb_of_the_front_door_has_a_main():
    import ear_teacher

    for verb in ear_teacher.VERBS.values():
        assert callable(importlib.import_module(verb.module).main), verb


def test_the_demo_runs_without_what_training_needs():
    """`make demo` installs the extra `demo`: no torch, no lightning, no transformers."""
    refused = ("torch", "lightning", "transformers", "onnx", "onnxscript", "matplotlib", "sklearn", "export")
    result = run_python(
        "import sys, importlib\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {refused}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "names = ('demo.command_demo', 'demo.chain', 'demo.people', 'training.evaluation.baselines', 'serve.server')\n"
        "[importlib.import_module(name) for name in names]"
    )
    assert result.returncode == 0, result.stderr


def layers() -> dict[str, int]:
    """The layer of each room as pyproject.toml orders them; a lower number may import a higher one."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (ordered,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return {room: number for number, layer in enumerate(ordered) for room in layer.split(" | ")}


def named_modules(path: Path) -> list[str]:
    """Every module that a file imports, by statement or by `import_module` with a literal name."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"\w+(\.\w+)+", node.value)
        ):
            names.append(node.value)
    return names


def test_no_room_reaches_past_the_layers_by_a_name_in_a_string():
    """import-linter sees statements only; `import_module("export.x")` and module names in tables count here too."""
    order = layers()
    assert {"common", "client", "training", "serve", "bench"} <= set(order)
    wrong = []
    for room, number in order.items():
        for path in sorted((ROOT / room).rglob("*.py")):
            for name in named_modules(path):
                target = name.split(".")[0]
                exists = (ROOT / name.replace(".", "/")).exists() or (ROOT / f"{name.replace('.', '/')}.py").exists()
                front_door = name == "ear_teacher"
                if front_door or (exists and target != room and order.get(target, 99) <= number):
                    wrong.append(f"{path.relative_to(ROOT)} names {name}")
    assert wrong == []
