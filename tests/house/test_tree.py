"""The tree keeps the house style: sizes of files, a story in the changelog, every module named in docs/modules.md."""

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST_FILE_LINES = 300


def tracked(pattern: str) -> list[Path]:
    names = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.splitlines() if (ROOT / name).exists()]


def test_no_file_outgrows_its_noun():
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in tracked("*.py") + tracked("*.js")
    }
    assert {name: size for name, size in sizes.items() if size > LONGEST_FILE_LINES} == {}


def test_every_module_says_what_it_is():
    silent = [
        str(path.relative_to(ROOT))
        for path in tracked("*.py")
        if path.name != "__init__.py" and not path.read_text().lstrip().startswith(('"""', "'''", "#", 'r"""'))
    ]
    assert silent == []


def test_the_changelog_knows_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert version in headings or len(headings) == 1, f"CHANGELOG.md lacks a heading for {version}: {headings}"


def test_every_dependency_says_why():
    lines = (ROOT / "pyproject.toml").read_text().split("[project.scripts]")[0].splitlines()
    bare = [line for line in lines if re.match(r'\s+"[a-z]', line) and "#" not in line]
    assert bare == []


def test_cpu_and_gpu_never_meet_in_one_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name, needs in extras.items():
        kinds = {need.split(">")[0] for need in needs}
        assert not {"onnxruntime", "onnxruntime-gpu"} <= kinds, name
        assert not {"faiss-cpu", "faiss-gpu"} <= kinds, name
