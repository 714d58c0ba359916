"""Logs that a resumed run goes on with: one `metrics.csv` and one TensorBoard version, without the steps it repeats."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger


def make_loggers(folder: Path, resumed_step: int | None) -> list[Logger]:
    """CSV and TensorBoard under `folder`.

    Args:
        folder: `out/logs`.
        resumed_step: the step that a resumed run goes on from: its last version is continued; None: a new version.
    """
    version = None if resumed_step is None else _last_version(folder / "csv")
    return [
        ContinuedCsv(folder, version, resumed_step),
        TensorBoardLogger(
            folder, name="tensorboard", version=version, default_hp_metric=False, purge_step=resumed_step
        ),
    ]


def _last_version(folder: Path) -> int:
    """The highest number of `folder/version_<number>`, 0 where there is none."""
    versions = [int(path.name[8:]) for path in folder.glob("version_*") if path.name[8:].isdigit()]
    return max(versions, default=0)


class ContinuedCsv(CSVLogger):
    """Lightning's, which starts its file anew, but with the rows of an earlier session kept.

    Args:
        folder: `out/logs`.
        version: None: a new one.
        resumed_step: rows after it are dropped: they are about to be repeated.
    """

    def __init__(self, folder: Path, version: int | None, resumed_step: int | None) -> None:
        super().__init__(folder, name="csv", version=version)
        self._resumed_step = resumed_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer; made at the first call."""
        if self._experiment is not None or self._resumed_step is None:
            return super().experiment
        path = Path(self.log_dir) / "metrics.csv"
        rows: list[dict[str, str]] = []
        if path.is_file():
            with path.open(newline="") as stream:
                rows = list(csv.DictReader(stream))
            path.unlink()
        writer: Any = super().experiment
        kept = [row for row in rows if int(row["step"]) < self._resumed_step]
        if kept:
            writer.metrics_keys = list(kept[0])
            writer.metrics = [{name: value for name, value in row.items() if value != ""} for row in kept]
        return writer
