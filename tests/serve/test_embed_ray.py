"""Bulk embedding on a real Ray cluster of several nodes, with a worker and a whole node killed in the middle."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pyarrow
import pyarrow.parquet as parquet
import pytest

from tests.serve.conftest import png

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

COUNT, PART_ROWS = 120, 2
BROKEN = 7
PATIENCE_S = 240


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray_cluster = pytest.importorskip("ray.cluster_utils")
    small = {"object_store_memory": 80 << 20, "include_dashboard": False}
    head = {**small, "num_cpus": 0}
    one = ray_cluster.Cluster(initialize_head=True, connect=False, head_node_args=head)
    try:
        yield one, [one.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(2)]
    finally:
        one.shutdown()


def embedders():
    """Processes of Ray that hold a model."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if re.match(r"ray::.*EmbedPart", " ".join(process.info["cmdline"] or [])):
            found.append(process)
    return found


def until_parts(out, count, run):
    end = time.monotonic() + PATIENCE_S
    while len(list(out.glob("part-*"))) < count:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end, "no part was written in time"
        time.sleep(0.05)


def test_killed_worker_and_killed_node_leave_one_row_for_every_input(cluster, bundle_folder, tmp_path):
    ears = [png(n) if n != BROKEN else b"no picture" for n in range(20)]
    table = pyarrow.table({"image": [ears[n % 20] for n in range(COUNT)], "name": [f"ear {n}" for n in range(COUNT)]})
    parquet.write_table(table, tmp_path / "ears.parquet", row_group_size=25)
    out = tmp_path / "out"
    nodes, (_, second) = cluster
    command = [sys.executable, "-m", "ear_teacher", "embed", tmp_path / "ears.parquet", out, "--bundle", bundle_folder]
    command += ["--part-rows", PART_ROWS, "--threads", 1, "--ray", nodes.address]
    run = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until_parts(out, 3, run)
        victims = embedders()
        assert victims, "a worker of the cluster embeds"
        os.kill(victims[0].pid, signal.SIGKILL)
        until_parts(out, 12, run)
        nodes.remove_node(second, allow_graceful=False)
        _, told = run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
        run.communicate()
    assert run.returncode == 0, told
    done = pyarrow.concat_tables(parquet.read_table(path) for path in sorted(out.glob("part-*.parquet")))
    assert done["row"].to_pylist() == list(range(COUNT))
    assert done["name"].to_pylist() == table["name"].to_pylist()
    errors = parquet.read_table(out / "errors.parquet")["row"].to_pylist()
    assert errors == list(range(BROKEN, COUNT, 20))


def test_cluster_that_does_not_answer_is_one_line(bundle_folder, tmp_path):
    parquet.write_table(pyarrow.table({"image": [png(1)]}), tmp_path / "ears.parquet")
    command = [sys.executable, "-m", "ear_teacher", "embed", tmp_path / "ears.parquet", tmp_path / "out"]
    command += ["--bundle", bundle_folder, "--ray", "auto"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["RAY_TMPDIR"] = str(tmp_path)
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, timeout=PATIENCE_S)
    assert run.returncode == 2, run.stderr
    assert "no Ray cluster answers at auto" in run.stderr.splitlines()[-1]
