"""What runs before a commit is what `make check` runs."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_hooks_are_the_checks_of_make():
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    hooks = {re.match(r"\.venv/bin/((?:ruff )?[a-z-]+)", entry)[1] for entry in entries}
    assert hooks == set(re.findall(r"\$\(BIN\)/((?:ruff )?[a-z-]+)", check))


def test_pre_commit_accepts_its_configuration():
    command = [sys.executable, "-m", "pre_commit", "validate-config"]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).returncode == 0
