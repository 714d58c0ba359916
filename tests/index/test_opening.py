"""What opening a gallery imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("module", ["index.live_spaces", "index.gallery", "index.opening", "index.ann.milvus_space"])
def test_a_process_with_neighbours_in_milvus_needs_no_faiss(module: str):
    code = f"import sys; sys.modules['faiss'] = None; import {module}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_a_faiss_that_cannot_start_is_one_sentence_with_what_to_install(tmp_path: Path):
    """The text is faiss-gpu's own where its CUDA wheels are missing."""
    (tmp_path / "faiss.py").write_text(
        "raise RuntimeError(\"faiss-gpu installed but nvidia-cuda-runtime-cu12 is missing — pip install 'x>=12.6'\")"
    )
    code = "import sys, pathlib, index.opening as o; o.open_gallery(pathlib.Path(sys.argv[1]), 8, 's')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), "."])}
    command = [sys.executable, "-c", code, str(tmp_path / "g")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "NeighboursUnavailable: faiss cannot be imported: the package nvidia-cuda-runtime-cu12" in done.stderr
    assert "pip install 'ear-teacher[cpu]'" in done.stderr
