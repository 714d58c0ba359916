"""The quickstart's commands, in order, in one shell, on a copy of the tree.

Left to other tests: `sh` fences (make install, make demo). Changed: training stops after one step instead of 4 minutes.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quickstart.md").read_text()
FENCE = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHORTER = {"--max-minutes 4": "--fast-dev-run", "--force": "--force --parity-crops 8"}
PORT = "8350"


def script(port):
    """The page as one shell script: Python fences become files that are run."""
    steps = ["set -euo pipefail", "set -m"]
    for number, (language, code) in enumerate(FENCE.findall(PAGE)):
        steps.append(
            code if language == "bash" else f"cat > step{number}.py <<'END'\n{code}END\npython step{number}.py"
        )
    text = "\n".join(steps)
    for usual, shorter in SHORTER.items():
        assert usual in text
        text = text.replace(usual, shorter)
    return text.replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}")


@pytest.mark.slow
def test_the_quickstart_runs_as_it_is_written(tmp_path, free_port):
    tree = tmp_path / "tree"
    tree.mkdir()
    shutil.copytree(ROOT / "demo" / "ears", tree / "demo" / "ears")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "EAR_TEACHER_PORT": str(free_port)}
    done = subprocess.run(
        ["bash", "-c", script(free_port)], cwd=tree, env=env, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert (tree / "runs/mine/reconstruction.png").read_bytes().startswith(b"\x89PNG")
    assert done.stdout.index('"subject":"ann"') < done.stdout.rindex('"similarity"')


def test_every_step_of_the_quickstart_is_one_that_the_test_knows():
    assert len(FENCE.findall(PAGE)) >= 5
    assert set(re.findall(r"^```(\w*)$", PAGE, re.MULTILINE)) <= {"bash", "python", "sh", "text", ""}
