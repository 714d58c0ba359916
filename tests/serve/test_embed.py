"""Bulk embedding: one row per input whatever the source, errors beside, and a run that can be taken up again."""

import csv
import hashlib
import io
import tarfile

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest

import ear_teacher
from bundle.image import decode, frame, mirror
from bundle.model import load
from bundle.session import RUNTIMES
from serve.bulk import part
from tests.serve.conftest import png

COUNT = 11
BROKEN = 7


@pytest.fixture(scope="module")
def pictures():
    """Name -> file; one of them is no picture."""
    files = {f"{n:03d}.png": png(n) for n in range(COUNT)}
    return {**files, f"{BROKEN:03d}.png": b"no picture"}


@pytest.fixture(params=["folder", "table", "tar", "parquet", "parts"])
def source(request, pictures, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    if request.param in ("folder", "table"):
        for name, data in pictures.items():
            (place / name).write_bytes(data)
        if request.param == "table":
            with (place / "metadata.csv").open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerows([("path", "side"), *((name, "") for name in pictures)])
        return place
    if request.param == "tar":
        with tarfile.open(place / "ears.tar", "w") as archive:
            for name, data in pictures.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return place / "ears.tar"
    table = pyarrow.table({"name": list(pictures), "image": list(pictures.values())})
    if request.param == "parquet":
        parquet.write_table(table, place / "ears.parquet", row_group_size=3)
        return place / "ears.parquet"
    parquet.write_table(table.slice(0, 5), place / "a.parquet")
    parquet.write_table(table.slice(5), place / "b.parquet")
    return place


def embed(source, out, bundle, *flags):
    words = [source, out, "--bundle", bundle, "--part-rows", 4, "--batch", 3, "--threads", 1, *flags]
    return ear_teacher.main(["embed", *map(str, words)])


def result(out):
    """The table and the errors."""
    parts = pyarrow.concat_tables(parquet.read_table(path) for path in sorted(out.glob("part-*.parquet")))
    return parts, parquet.read_table(out / "errors.parquet")


def test_every_input_of_every_kind_of_source_has_one_row(source, pictures, bundle_folder, tmp_path):
    assert embed(source, tmp_path / "out", bundle_folder) == 0
    table, errors = result(tmp_path / "out")
    assert table["row"].to_pylist() == list(range(COUNT))
    assert table["name"].to_pylist() == list(pictures)
    assert table["sha256"].to_pylist() == [hashlib.sha256(data).hexdigest() for data in pictures.values()]
    assert errors["row"].to_pylist() == [BROKEN]
    assert [n for n, row in enumerate(table["embedding"].to_pylist()) if row is None] == [BROKEN]
    with load(bundle_folder, threads=1) as model:
        expected = model.encode(frame(decode(pictures["002.png"]), None, model.manifest.framing)[None])
    assert np.allclose(table["embedding"][2].as_py(), expected.embedding[0], atol=1e-5)
    assert np.allclose(table["mu"][2].as_py(), expected.mu[0], atol=1e-3)


def test_box_and_side_of_a_table_are_used_and_a_wrong_side_is_an_error(pictures, bundle_folder, tmp_path):
    table = {"image": [pictures["001.png"]] * 2, "side": ["right", "upper"], "box": [[10.0, 10.0, 90.0, 110.0], None]}
    parquet.write_table(pyarrow.table(table), tmp_path / "ears.parquet")
    assert embed(tmp_path / "ears.parquet", tmp_path / "out", bundle_folder, "--no-mu") == 0
    found, errors = result(tmp_path / "out")
    assert "mu" not in found.column_names
    assert "side is 'upper'" in errors["error"][0].as_py()
    with load(bundle_folder, threads=1) as model:
        crop = mirror(frame(decode(pictures["001.png"]), (10.0, 10.0, 90.0, 110.0), model.manifest.framing))
        assert np.allclose(found["embedding"][0].as_py(), model.encode(crop[None]).embedding[0], atol=1e-5)


def test_run_that_broke_off_is_taken_up_where_it_was(pictures, bundle_folder, tmp_path, monkeypatch, capsys):
    parquet.write_table(pyarrow.table({"image": list(pictures.values())}), tmp_path / "ears.parquet")
    done, embed_part = [], part.PartEmbedder.embed

    def breaking(self, job, part):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(part)
        embed_part(self, job, part)

    monkeypatch.setattr(part.PartEmbedder, "embed", breaking)
    assert embed(tmp_path / "ears.parquet", tmp_path / "out", bundle_folder) == 130
    first = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    assert len(first) == 2
    monkeypatch.setattr(part.PartEmbedder, "embed", embed_part)
    assert embed(tmp_path / "ears.parquet", tmp_path / "out", bundle_folder) == 0
    assert "2 of them done before" in capsys.readouterr().err
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in first} == first
    assert result(tmp_path / "out")[0]["row"].to_pylist() == list(range(COUNT))


def test_folder_of_another_job_is_refused_in_one_line(pictures, bundle_folder, tmp_path, capsys):
    parquet.write_table(pyarrow.table({"image": list(pictures.values())}), tmp_path / "ears.parquet")
    assert embed(tmp_path / "ears.parquet", tmp_path / "out", bundle_folder) == 0
    assert embed(tmp_path / "ears.parquet", tmp_path / "out", bundle_folder, "--no-mu") == 2
    assert "was begun with with_mu True, now it is False" in capsys.readouterr().err
    assert embed(tmp_path / "ears.parquet", tmp_path, bundle_folder) == 2
    assert "holds other files" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"), [("ears.tar.gz", "uncompressed .tar"), ("nowhere", "neither a file"), ("bad.tar", "is broken")]
)
def test_source_that_cannot_be_listed_is_refused_in_one_line(name, words, bundle_folder, tmp_path, capsys):
    for given in ("ears.tar.gz", "bad.tar"):
        (tmp_path / given).write_bytes(b"not an archive")
    assert embed(tmp_path / name, tmp_path / "out", bundle_folder) == 2
    assert words in capsys.readouterr().err


def test_any_fsspec_path_will_do(pictures, bundle_folder, tmp_path):
    import fsspec

    files = fsspec.filesystem("memory")
    for name, data in pictures.items():
        files.pipe_file(f"/ears/{name}", data)
    assert embed("memory://ears", "memory://out", bundle_folder) == 0
    with files.open("/out/part-00000002.parquet") as file:
        assert parquet.read_table(file)["row"].to_pylist() == [8, 9, 10]
    files.rm("/", recursive=True)


def test_a_model_on_a_gpu_is_fed_by_all_cores(monkeypatch):
    monkeypatch.setattr(part, "usable_cpus", lambda: 16)
    assert part.decode_threads("onnxruntime-cpu") == 2
    assert {part.decode_threads(name) for name in RUNTIMES[:-1]} == {16}
