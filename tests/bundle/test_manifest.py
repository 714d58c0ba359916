"""The manifest: read as written, refused when changed, never half written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from bundle.errors import ChecksumError, ManifestError
from bundle.framing import Framing
from bundle.manifest import MANIFEST_NAME, Manifest, read_manifest, verify_files, write_manifest


def rewrite(folder: Path, **changes) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_written_is_read(copied: Path) -> None:
    manifest = read_manifest(copied)
    assert manifest.bundle_id.startswith("bd_")
    assert manifest.framing == Framing()
    (copied / MANIFEST_NAME).unlink()
    assert write_manifest(copied, manifest) == manifest
    assert read_manifest(copied) == manifest
    verify_files(copied, manifest)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"is not a bundle: it has no manifest\.json"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_broken_manifest_is_refused(copied: Path, text: str) -> None:
    (copied / MANIFEST_NAME).write_bytes(text.encode("latin1"))
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_manifest(copied)


def test_another_schema_version_is_named(copied: Path) -> None:
    rewrite(copied, schema_version=9)
    with pytest.raises(ManifestError, match="schema_version 9; this version of ear-teacher reads 1"):
        read_manifest(copied)


def test_a_changed_word_breaks_the_bundle_id(copied: Path) -> None:
    rewrite(copied, preset="other")
    with pytest.raises(ManifestError, match="was changed: its bundle_id is"):
        read_manifest(copied)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space_id": "sp_short"}, "space_id"),
        ({"surprise": 1}, "surprise"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"framing": {"size_px": 128, "blur": 1}}, "blur"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "size_bytes": 1}}}, "files"),
        ({"variants": []}, "a bundle needs an encoder and a decoder"),
        ({"files": {}}, "is not among files"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(copied: Path, changes: dict, words: str) -> None:
    rewrite(copied, **changes)
    with pytest.raises(ManifestError, match=words):
        read_manifest(copied)


def test_a_figure_that_is_not_a_number_is_not_written(copied: Path) -> None:
    values = read_manifest(copied).values()
    with pytest.raises(ValidationError):
        Manifest.model_validate(values | {"golden": {"fp32": {"cosine_min": float("nan"), "psnr_min_db": 1}}})


def test_one_changed_byte_is_found_and_its_file_named(copied: Path) -> None:
    data = bytearray((copied / "encoder.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (copied / "encoder.onnx").write_bytes(data)
    with pytest.raises(ChecksumError, match=r"encoder\.onnx was changed"):
        verify_files(copied, read_manifest(copied))


def test_a_missing_or_shorter_file_is_named_and_no_manifest_is_written_over_it(copied: Path) -> None:
    manifest = read_manifest(copied)
    (copied / MANIFEST_NAME).unlink()
    (copied / "decoder.onnx").write_bytes(b"short")
    with pytest.raises(ChecksumError, match=r"decoder\.onnx has 5 bytes; the manifest says"):
        write_manifest(copied, manifest)
    (copied / "decoder.onnx").unlink()
    with pytest.raises(ChecksumError, match=r"decoder\.onnx is missing"):
        write_manifest(copied, manifest)
    assert not (copied / MANIFEST_NAME).exists()
