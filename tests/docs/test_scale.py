"""docs/scale.md: its commands work, and its table of files is what they write."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scale.md").read_text()
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_bulk_embedding_writes_the_files_of_the_table_and_has_nothing_left_to_do(tmp_path):
    (tmp_path / "demo").symlink_to(ROOT / "demo")
    environment = os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    script = "set -e\n" + "\n".join(FENCE.findall(PAGE))
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = {path.name for path in (tmp_path / "runs" / "embedded").iterdir()}
    assert {"part-00000000.parquet", "errors.parquet", "inputs.parquet", "job.json"} <= written
    assert [name for name in written if not name.startswith("part-") and f"`{name}`" not in PAGE] == []
    first, again = (line for line in done.stderr.splitlines() if " inputs in " in line)
    assert ", 0 of them done before" in first
    parts = re.search(r"in (\d+) parts, (\d+) of them done", again)
    assert parts.group(1) == parts.group(2)
