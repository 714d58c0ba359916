"""The front door: one command, `ear-teacher`, one verb per job.

Knows which module holds each verb and nothing else: a room is imported only when its verb runs, so `--help` is instant
and serving never meets torch.
"""

from __future__ import annotations

import importlib
import platform
import sys
from pathlib import Path
from typing import NamedTuple


class Verb(NamedTuple):
    """Where a verb lives (`module.main(argv) -> exit status`) and what it does, in one line."""

    module: str
    summary: str


VERBS: dict[str, Verb] = {
    "demo": Verb("demo.command_demo", "run the whole chain on the demo ears and serve it"),
    "synth": Verb("synth.command_synth", "render ears of people who do not exist: a training set from nothing"),
    "train": Verb("training.command_train", "pictures of ears -> checkpoint"),
    "weights": Verb("training.command_weights", "fetch or verify the pretrained SAM and VGG16 weights"),
    "check": Verb("training.command_check", "is this machine ready to train? versions, devices, weights, self-tests"),
    "evaluate": Verb("training.command_evaluate", "figures, plots and a report of a checkpoint or bundle"),
    "boxes": Verb("training.command_boxes", "boxes and sides found by a bundle's detector -> metadata.csv"),
    "eigenears": Verb("training.command_eigenears", "principal components of the latents, as pictures"),
    "detector": Verb("training.command_detector", "teacher -> detector of ears and their landmarks"),
    "embedding": Verb("export.command_embedding", "aligned embedding: learn, attach, fit to your people"),
    "detector export": Verb("export.command_landmarks", "detector -> landmarks.onnx in a bundle"),
    "export": Verb("export.command_export", "checkpoint -> bundle (ONNX behind a parity gate)"),
    "bundle": Verb("bundle.command_bundle", "verify a bundle: checksums, contracts, golden outputs"),
    "engine": Verb("bundle.command_engine", "build a bundle's TensorRT engines ahead of time"),
    "bench": Verb("export.command_bench", "measure how fast a bundle is on this machine"),
    "triton": Verb("export.command_triton", "write a bundle as a model repository for NVIDIA Triton"),
    "serve": Verb("serve.command_serve", "serve a bundle over HTTP"),
    "embed": Verb("serve.command_embed", "pictures in bulk -> embeddings in Parquet, here or on a Ray cluster"),
    "promote": Verb("serve.command_promote", "replace the model of a running service, with a way back"),
    "refresh": Verb("export.command_refresh", "retrain, evaluate, export and promote, in one command"),
    "calibrate": Verb("index.command_calibrate", "thresholds from a gallery's own labelled ears, for its verdicts"),
    "gallery": Verb("index.command_gallery", "look at, back up, carry and clean a gallery of enrolled ears"),
    "call": Verb("client.command_call", "call a running service: embed, search, verify, enrol, ..."),
    "keys": Verb("serve.command_keys", "make, list and remove API keys"),
}


# What a verb may find missing, and the extra that brings it. The serving image has neither these rooms nor torch.
BROUGHT_BY = {
    "torch": "train",
    "numba": "synth",
    "lightning": "train",
    "transformers": "train",
    "onnx": "train",
    "matplotlib": "train",
    "fastapi": "serve",
    "sqlalchemy": "serve",
    "onnxruntime": "cpu",
    "faiss": "cpu",
    "psycopg": "stores",
    "pymilvus": "stores",
    "ray": "scale",
    "pyarrow": "serve",
    "training": "train",
    "export": "train",
    "demo": "train",
}
TOLD_VERSIONS = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "faiss-cpu",
    "faiss-gpu",
    "fastapi",
    "torch",
    "transformers",
)


def usage() -> str:
    """The text of `ear-teacher --help`."""
    width = max(map(len, VERBS))
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in VERBS.items()]
    return (
        "usage: ear-teacher <verb> [options]\n\n"
        + "\n".join(lines)
        + "\n\n`ear-teacher <verb> --help` explains a verb; `ear-teacher --version` tells what runs."
    )


def version() -> str:
    """The text of `ear-teacher --version`: version, commit, and the versions that decide how it behaves."""
    import tomllib  # only this verb reads it, and `--help` should stay instant

    from common.provenance import commit, installed

    project = tomllib.loads(Path(__file__).resolve().with_name("pyproject.toml").read_text())["project"]
    lines = [f"ear-teacher {project['version']} (commit {commit()})", f"Python {platform.python_version()}"]
    return "\n".join([*lines, *(f"{name} {found}" for name, found in installed(TOLD_VERSIONS).items())])


def main(argv: list[str] | None = None) -> int:
    """Run one verb. A mistake of the user's is one line on stderr and exit status 2; anything else is a traceback."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version", "version"):
        print(version())
        return 0
    words = 2 if " ".join(arguments[:2]) in VERBS else 1  # a verb of two words lives in another room than its first
    name, rest = " ".join(arguments[:words]), arguments[words:]
    if name not in VERBS:
        print(f"ear-teacher: no verb {name!r}; there are: {', '.join(VERBS)}", file=sys.stderr)
        return 2
    try:
        return int(importlib.import_module(VERBS[name].module).main(rest))
    except ModuleNotFoundError as error:
        if error.name not in BROUGHT_BY:
            raise
        extra = BROUGHT_BY[error.name]
        cure = f"in the source tree, pip install '.[{extra}]'"
        print(f"ear-teacher {name}: this needs {error.name}, which is not installed here: {cure}", file=sys.stderr)
        return 2
    except Exception as error:
        if not getattr(error, "is_user_error", False):
            raise
        print(f"ear-teacher {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\near-teacher {name}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
