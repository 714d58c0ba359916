"""The quickstart's commands, in order, in one shell, on a copy of the tree.

Left to other tests: `sh` fences (make install, make demo). Changed: training stops after one step instead of 4 minutes.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "quickstart.md").read_text()
FENCE = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHORTER = {"--max-minutes 4": "--fast-dev-run --num-workers 0", "--force": "--force --parity-crops 8"}
PORT = "8350"


def script(port):
    """The page as one shell script: Python fences become files that are run."""
    steps = ["set -euo pipefail"]
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
    log = tmp_path / "log"
    with log.open("wb") as output:
        command = ["bash", "-c", script(free_port)]
        shell = subprocess.Popen(
            command, cwd=tree, env=env, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = shell.wait(timeout=1200)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)  # whatever a failed step left behind
    text = log.read_text()
    assert status == 0, text[-4000:]
    assert (tree / "runs/mine/reconstruction.png").read_bytes().startswith(b"\x89PNG")
    assert text.index('"subject":"ann"') < text.rindex('"similarity"')


def test_every_step_of_the_quickstart_is_one_that_the_test_knows():
    assert len(FENCE.findall(PAGE)) >= 5
    assert set(re.findall(r"^```(\w*)$", PAGE, re.MULTILINE)) <= {"bash", "python", "sh", "text", ""}
