"""Verify a bundle as a reader would: every checksum, every graph's contract, every precision's golden outputs.

Runs on ONNX Runtime's CPU unless told otherwise, one line a check. Repairs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bundle.errors import BundleError
from bundle.golden import check_decoder, check_encoder
from bundle.manifest import MANIFEST_NAME, Manifest, Variant, read_manifest, verify_files
from bundle.model import check_contract
from bundle.runtimes import open_session

Report = Callable[[bool, str], None]
"""Takes whether a check passed, and what it was or found."""


def verify_bundle(
    folder: str | Path, report: Report, runtime: str = "onnxruntime-cpu", golden: bool = True, threads: int = 0
) -> bool:
    """Whether all is well. A manifest or checksum that fails ends the checks; a variant that fails does not.

    golden: run the golden crops through every precision (a full-size teacher takes minutes on a CPU).
    """
    folder = Path(folder)
    try:
        manifest = read_manifest(folder)
        report(True, f"manifest: {manifest.bundle_id}, {manifest.space_id}, preset {manifest.preset}")
        verify_files(folder, manifest)
    except BundleError as error:
        report(False, str(error))
        return False
    megabytes = sum(entry.size_bytes for entry in manifest.files.values()) / 1e6
    report(True, f"files: {len(manifest.files)} with size and SHA-256 as stated, {megabytes:.1f} MB")
    if unlisted := _unlisted(folder, manifest):
        report(True, f"note: {', '.join(unlisted)} is not in the manifest and is never read")
    verdicts = []  # a failed variant does not end the checks
    for variant in manifest.variants:
        name = f"{variant.graph} {variant.precision} ({variant.file})"
        try:
            summary = _verify_variant(folder, manifest, variant, runtime, golden, threads)
        except BundleError as error:
            report(False, f"{name}: {error}")
            verdicts.append(False)
        else:
            report(True, f"{name}: {summary}")
            verdicts.append(True)
    return all(verdicts)


def _verify_variant(
    folder: Path, manifest: Manifest, variant: Variant, runtime: str, golden: bool, threads: int
) -> str:
    session = open_session(folder / variant.file, runtime, threads, variant.precision)
    try:
        check_contract(session.signature(), manifest.tensors[variant.graph], variant.file)
        if golden and variant.graph == "encoder":
            embedding, mu, _ = check_encoder(session, folder, manifest.golden)
            return f"contract holds, golden cosine {embedding:.6f} (mu {mu:.6f})"
        if golden and variant.graph == "decoder":
            return f"contract holds, golden pictures at {check_decoder(session, folder, manifest.golden):.1f} dB"
        return "contract holds"
    finally:
        session.close()


def _unlisted(folder: Path, manifest: Manifest) -> list[str]:
    listed = {MANIFEST_NAME, *manifest.files}
    return sorted(entry.name for entry in folder.iterdir() if entry.name not in listed)
