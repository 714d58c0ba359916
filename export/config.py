"""Configuration of `ear-teacher export`, as a frozen dataclass that checks itself. Imports nothing heavy."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from export.errors import OptionError

PRECISIONS = ("fp32", "fp16")
MIN_OPSET, MAX_OPSET = 18, 23


@dataclass(frozen=True)
class ExportConfig:
    """Choices of one export; every default is what the demo and the service want."""

    precisions: tuple[str, ...] = PRECISIONS
    """Variants to write. `fp32` is the canonical one and always among them."""
    opset: int = 20
    """ONNX operator set. 20 is the first with Gelu in one piece (0.86 to 0.93 of opset 18's time on CPU); from 23 on,
    attention outside the CPU's files becomes the standard `Attention`."""
    portable: bool = False
    """Only standard operators in fp32 files too, for runtimes other than ONNX Runtime. Slower on CPU."""
    parity_crops: int | None = None
    """Crops compared on; None: as many as fit `parity_budget_s` of torch, at least `MIN_PARITY_CROPS`."""
    parity_budget_s: float = 20.0
    """Seconds of torch forward passes that the comparison may cost where `parity_crops` is None."""
    keep_float32: tuple[str, ...] = ()
    """Modules of the networks that stay float32 in fp16 graphs, besides norms, softmax and heads."""
    half_weights: bool = False
    """Keep the weights of fp32 files as float16 on disk, half the size; the arithmetic stays float32."""
    max_batch: int = 32
    """Largest batch compared; the graphs themselves take any."""
    held_out: str = ""
    """What says that the people of the crops were not trained on (`training.data.trained_on.exposure`). Without such a
    sentence no calibration is made of the crops."""
    calibrated_on: str = "comparison crops"
    """What such a calibration says of the crops, in a few words."""
    force: bool = False
    """Replace an existing bundle."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.precisions if name not in PRECISIONS]
        if unknown or not self.precisions:
            raise OptionError(f"--precision {','.join(self.precisions)!r}: give one or more of {','.join(PRECISIONS)}")
        if "fp32" not in self.precisions:
            raise OptionError("--precision must name fp32: it is what the others are compared with and what CPUs run")
        if not MIN_OPSET <= self.opset <= MAX_OPSET:
            raise OptionError(f"--opset {self.opset}: allowed are {MIN_OPSET} to {MAX_OPSET}")
        if self.parity_crops is not None and self.parity_crops < MIN_PARITY_CROPS:
            raise OptionError(
                f"--parity-crops {self.parity_crops}: at least {MIN_PARITY_CROPS} different pictures are needed"
            )
        if self.max_batch < 1:
            raise OptionError(f"--max-batch {self.max_batch}: must be at least 1")


MIN_PARITY_CROPS = 3


def batches(text: str) -> tuple[int, ...]:
    """`1,8,32` -> (1, 8, 32); raises what argparse shows in one line."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give sizes from 1 on, comma-separated, such as 1,8,32")
    return sizes
