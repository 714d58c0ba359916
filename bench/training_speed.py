"""How fast training is, and what holds it: the input alone, the whole step, and Hugging Face's SAM alone, in one run.

    python -m bench.training_speed --data demo/ears --preset tiny --batch-size 32
    python -m bench.training_speed --data demo/ears --preset teacher --freeze-layers 0 --batch-size 16   # on a GPU

After each training step the plain encoder takes one of the same size on the same device, so that whatever else the
machine does falls on both. The first steps are not counted.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from transformers import SamVisionModel

from common.provenance import commit
from export.bench.hardware import this_machine
from training.config import LossWeights, TrainConfig
from training.data.datamodule import EarDataModule
from training.data.dataset import Batch
from training.data.prepare import prepare
from training.fit.module import EarModule
from training.fit.session import quiet, resolve_precision
from training.fit.trainer import build_model
from training.model_config import ModelConfig
from training.networks.sam import SamEncoder
from training.presets import PRESETS, preset

WARM_UP = 3
REFERENCE_PER_S = 9.2
"""Pictures a second of the reference recipe (2.3 steps of 4), on its own GPU."""


class PlainSam:
    """`SamVisionModel` as published: the same layers frozen, nothing rewritten, AdamW's defaults."""

    def __init__(self, config: ModelConfig, device: torch.device) -> None:
        self.encoder = SamEncoder(config.sam).to(device)
        self.model: SamVisionModel = self.encoder.vision.train()
        for layer in self.model.vision_encoder.layers[: config.freeze_layers]:
            layer.requires_grad_(False)
        learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(learning, lr=1e-5)

    def step(self, images: Tensor) -> None:
        """Forward, backward and an update."""
        features = self.model(self.encoder.pixels(images)).last_hidden_state
        features.float().square().mean().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Stopwatch(lightning.Callback):
    """Seconds of every training step, and of a step of `PlainSam` on as many pictures after it."""

    def __init__(self, config: ModelConfig, views: int) -> None:
        self._config, self._views = config, views
        self._plain: PlainSam | None = None
        self.steps_s: list[float] = []
        self.plain_s: list[float] = []

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._plain = PlainSam(self._config, pl_module.device)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        _wait(pl_module.device)
        self._start_s = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        _wait(pl_module.device)
        self.steps_s.append(time.perf_counter() - self._start_s)
        side = self._config.image_size_px
        images = torch.rand(len(batch.images) * self._views, 3, side, side, device=pl_module.device) * 2 - 1
        start = time.perf_counter()
        with trainer.precision_plugin.forward_context():
            assert self._plain is not None
            self._plain.step(images)
        _wait(pl_module.device)
        self.plain_s.append(time.perf_counter() - start)


@dataclass(frozen=True)
class Speeds:
    """Pictures a second; each the median over its steps."""

    input_per_s: float
    step_per_s: float
    plain_sam_per_s: float

    def table(self) -> str:
        """Markdown."""
        rows = (
            ("input alone: read, batch, augment", self.input_per_s),
            ("whole training step", self.step_per_s),
            ("Hugging Face's SAM alone, forward, backward, AdamW", self.plain_sam_per_s),
        )
        lines = ["| | pictures/s | of the whole step |", "|---|---|---|"]
        lines += [f"| {name} | {value:.1f} | {value / self.step_per_s:.2f} x |" for name, value in rows]
        return "\n".join([*lines, "", f"{self.step_per_s / REFERENCE_PER_S:.1f} times the reference's 9.2 pictures/s"])


def measure(config: TrainConfig, steps: int) -> Speeds:
    """Train for some steps, then feed without a model."""
    prepared = prepare(config)
    module = EarModule(config, build_model(config)[0], None, prepared.landmarks)
    data = EarDataModule(prepared, config.batch_size, config.per_identity, config.seed, config.num_workers)
    watch = Stopwatch(config.model, config.views)
    with quiet():
        lightning.Trainer(
            max_steps=steps + WARM_UP, precision=config.precision, callbacks=[watch], logger=False,  # type: ignore[arg-type]
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
            num_sanity_val_steps=0, use_distributed_sampler=False, default_root_dir=config.out,
        ).fit(module, data)  # fmt: skip
    feeding = _feed(data, module, steps + WARM_UP)
    return Speeds(*(_per_s(seconds, config.batch_size) for seconds in (feeding, watch.steps_s, watch.plain_s)))


def _feed(data: EarDataModule, module: EarModule, steps: int) -> list[float]:
    """Seconds of each batch with its views, on the device that trained."""
    seconds: list[float] = []
    while len(seconds) < steps:
        start = time.perf_counter()
        for batch in data.train_dataloader():
            module.views(Batch(*(part.to(module.device) for part in batch)))
            _wait(module.device)
            seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
            if len(seconds) == steps:
                break
    return seconds


def _per_s(seconds: list[float], pictures: int) -> float:
    return pictures / statistics.median(seconds[WARM_UP:])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.training_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("demo/ears"))
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--sam-size", type=int, help="side of SAM's input, px")
    parser.add_argument("--freeze-layers", type=int, default=0, help="layers kept frozen (default 0: random weights)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--views", type=int, default=1)
    parser.add_argument("--decode-every", type=int, default=1)
    parser.add_argument("--optimizer", default="adamw", choices=("adamw", "muon"))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--num-workers", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    model = preset(options.preset, sam_size_px=options.sam_size, freeze_layers=options.freeze_layers)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(
            options.data, Path(folder), model, batch_size=options.batch_size, views=options.views, sam_weights=None,
            decode_every=options.decode_every, optimizer=options.optimizer, num_workers=options.num_workers,
            losses=LossWeights(perceptual=0), precision=resolve_precision("auto"), fast_dev_run=True,
        )  # fmt: skip
        speeds = measure(config, options.steps)
    machine = this_machine().to_dict()
    print(f"{options.preset}, SAM at {model.sam.image_size_px} px, batches of {options.batch_size}, commit {commit()}")
    print(json.dumps(machine))
    print(speeds.table())
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "commit": commit(), **vars(speeds)}, indent=1) + "\n")


if __name__ == "__main__":
    main()
