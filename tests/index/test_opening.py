"""What opening a gallery imports."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["index.live_spaces", "index.gallery", "index.opening", "index.ann.milvus_space"])
def test_a_process_with_neighbours_in_milvus_needs_no_faiss(module: str):
    code = f"import sys; sys.modules['faiss'] = None; import {module}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
