"""Types of flags that several verbs share."""

from __future__ import annotations

import argparse


def batches(text: str) -> tuple[int, ...]:
    """`1,8,32` -> (1, 8, 32); raises what argparse shows in one line."""
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give sizes from 1 on, comma-separated, such as 1,8,32")
    return sizes
