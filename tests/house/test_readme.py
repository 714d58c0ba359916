"""README tells the truth: its tree is the tree, and its commands run as they stand in a fresh clone."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DEMO_UP = re.compile(r"page\s+(http://127\.0\.0\.1:\d+)/")


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "\n".join(fenced("bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def test_the_annotated_tree_is_the_tree():
    """`python docs/make_tree.py` writes it from the first line of each module's docstring."""
    result = subprocess.run([sys.executable, "docs/make_tree.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_the_first_screen_shows_the_two_commands_and_the_page():
    first_screen = "\n".join(README.splitlines()[:40])
    assert "make demo" in first_screen
    assert "make test" in first_screen
    assert re.search(r"!\[.+\]\((docs/images/.+\.png)\)", first_screen)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("clone") / "ear-teacher"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


def environment(clone: Path) -> dict[str, str]:
    """As a new user's shell, with the clone's environment first on the path (README says to activate it)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("EAR_TEACHER_", "VIRTUAL_ENV"))}
    # Modules are compiled when they are imported, not all of them at the installation: minutes, and the same result.
    return kept | {
        "PATH": f"{clone / '.venv' / 'bin'}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "PIP_NO_COMPILE": "1",
    }


@contextmanager
def running(command: str, clone: Path, log: Path) -> Iterator[str]:
    """A README command that serves until it is stopped; yields what it printed up to the page's address."""
    with log.open("w") as out:
        process = subprocess.Popen(
            command, shell=True, cwd=clone, env=environment(clone), stdout=out, stderr=out, start_new_session=True
        )
    try:
        while not DEMO_UP.search(log.read_text()):
            assert process.poll() is None, log.read_text()
            time.sleep(0.5)
        time.sleep(0.5)
        yield log.read_text()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.mark.slow
def test_readme_commands_run_in_a_fresh_clone(clone, tmp_path):
    """`make demo`, everything README asks of the running service, then the user's own model.

    `make test` is left out: it is what runs this file's fast neighbours already.
    """
    todo = [command for command in commands() if command not in ("make demo", "make test")]
    own_model = [command for command in todo if command.startswith("ear-teacher")]
    *prepare, serve_own = own_model
    with running("make demo", clone, tmp_path / "demo.log") as printed:
        (curl,) = re.findall(r"^\s*try\s+(curl .+)$", printed, re.MULTILINE)
        answered = shell(curl, clone)
        assert '"embedding"' in answered, answered
        for command in todo:
            if command not in own_model:
                shell(command, clone)
        for program in fenced("python"):
            shell(f"python - <<'END'\n{program}\nEND", clone)
    for command in prepare:
        shell(command, clone)
    with running(serve_own, clone, tmp_path / "serve.log"):
        pass


def shell(command: str, clone: Path) -> str:
    done = subprocess.run(
        command, shell=True, cwd=clone, env=environment(clone), capture_output=True, text=True, executable="/bin/bash"
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
