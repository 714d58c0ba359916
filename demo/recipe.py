"""How the demo trains: the tiny preset from scratch, on labelled ears, within minutes of two CPU cores.

What departs from the flags' defaults, and why: no pretrained weights are shipped (no perceptual term, nothing frozen);
landmarks are known, and where they are is what tells ears apart; the decoder is dear, so few pictures are decoded.
"""

from __future__ import annotations

from pathlib import Path

from training.config import LossWeights, TrainConfig
from training.presets import preset

EPOCHS = 60
"""More than fit the time: `--max-minutes` ends the run with its learning-rate schedule finished."""


def demo_config(ears: Path, out: Path, minutes: float) -> TrainConfig:
    """The run of `ear-teacher demo --train`."""
    return TrainConfig(
        data=ears / "train_teacher.npy",
        val=ears / "val_teacher.npy",
        out=out,
        model=preset("tiny"),
        sam_weights=None,
        losses=LossWeights(perceptual=0.0, landmark=1.0, keypoint=1.0),
        epochs=EPOCHS,
        max_minutes=minutes,
        batch_size=32,
        views=1,
        decode_every=4,
        lr=2e-3,
        optimizer="muon",
        identity="subject",
        identity_head="fitted",
        num_workers=0,
    )
