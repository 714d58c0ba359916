"""What a training step of SAM does besides arithmetic: operators, casts, bytes written, beside Hugging Face's.

    python -m bench.training_operators --sam-size 224

Counts what torch dispatches in one forward and backward pass under bfloat16 autocast, six layers frozen, one picture,
on the CPU. Counts are those of any device; how long they take is not measured here.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from training.networks.sam import SamEncoder
from training.presets import preset

SHOWN = ("_to_copy", "clone", "cat", "add", "sum", "bmm", "mm", "addmm")


class Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types little of its hooks
    """Calls and bytes of new tensors, by operator."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.written_bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        self.calls[name] += 1
        if not function.is_view:
            outputs = result if isinstance(result, (tuple, list)) else (result,)
            self.written_bytes[name] += sum(x.numel() * x.element_size() for x in outputs if torch.is_tensor(x))
        return result


def count(encoder: SamEncoder, forward: Callable[[Tensor], Tensor], images: Tensor) -> Operators:
    """One step after one that is not counted."""
    for counted in (False, True):
        operators = Operators()
        encoder.zero_grad()
        with operators if counted else torch.enable_grad():
            with torch.autocast(images.device.type, torch.bfloat16):
                features = forward(images)
            features.float().square().mean().backward()  # type: ignore[no-untyped-call]
    return operators


def main(argv: list[str] | None = None) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.training_operators", description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="teacher")
    parser.add_argument("--sam-size", type=int, default=224, help="side of SAM's input, px")
    parser.add_argument("--freeze-layers", type=int, default=6)
    arguments = parser.parse_args(argv)
    shape = preset(arguments.preset, sam_size_px=arguments.sam_size).sam
    encoder = SamEncoder(shape, arguments.freeze_layers).train()
    images = torch.rand(1, 3, 128, 128) * 2 - 1
    print("| | operators | MB written | " + " | ".join(SHOWN) + " |\n" + "|---" * (len(SHOWN) + 3) + "|")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        kept = encoder.prefix(images)
    forwards: dict[str, Callable[[Tensor], Tensor]] = {
        "Hugging Face": lambda x: encoder.vision(pixel_values=encoder.pixels(x)).last_hidden_state,
        "ear-teacher": encoder,
        "ear-teacher, the frozen half from --cache-frozen-gib": lambda x: encoder(x, kept),
    }
    for name, forward in forwards.items():
        counts = count(encoder, forward, images)
        cells = [f"{counts.calls[key]} ({counts.written_bytes[key] / 1e6:.0f} MB)" for key in SHOWN]
        total = f"{sum(counts.calls.values())} | {sum(counts.written_bytes.values()) / 1e6:.0f}"
        print(f"| {name} | {total} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
