"""How a checkpoint was made, for whoever holds it later: data, code, versions, seed, flags.

Names no path of the machine: those tell nothing elsewhere.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from common.provenance import commit, installed
from training.config import PATHS, TrainConfig
from training.data.facts import data_facts
from training.data.prepare import Prepared

_PACKAGES = ("ear-teacher", "torch", "transformers", "lightning", "numpy", "pillow")


def provenance(config: TrainConfig, prepared: Prepared) -> dict[str, Any]:
    """Plain JSON types."""
    flags = {name: value for name, value in config.to_dict().items() if name not in (*PATHS, "model")}
    if config.sam_weights and Path(config.sam_weights).is_dir():
        flags["sam_weights"] = Path(config.sam_weights).name
    return {
        "data_sha256": prepared.sha256,
        "data": config.data.name,
        "split": prepared.split,
        "train_pictures": len(prepared.train.records),
        "val_pictures": len(prepared.val.records),
        "train_subjects": subjects(prepared.train.records),
        "val_subjects": subjects(prepared.val.records),
        "data_facts": {"train": data_facts(prepared.train.records), "val": data_facts(prepared.val.records)},
        "git_commit": commit(),
        "versions": versions(),
        "seed": config.seed,
        "flags": flags,
    }


def subjects(records: list[Any]) -> int:
    """How many subjects are known among the records."""
    return len({record.subject for record in records if record.subject is not None})


def versions() -> dict[str, str]:
    """Of Python and of the packages that decide the numbers."""
    packages = dict.fromkeys(_PACKAGES, "not installed") | installed(_PACKAGES)
    return {"python": platform.python_version(), **packages}
