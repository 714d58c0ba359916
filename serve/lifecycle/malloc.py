"""Lets the service give large buffers back as soon as they are freed.

glibc raises the size from which it asks the system for a buffer of its own to that of the largest one freed so far (up
to 32 MiB, mallopt(3)): after one large photo every picture's buffers come from heaps that a single small allocation at
their end keeps from shrinking, and the service grows in rare steps with what it has seen.
"""

from __future__ import annotations

import ctypes

M_MMAP_THRESHOLD = -3
LARGE_BYTES = 256 << 10


def return_large_buffers() -> bool:
    """Keep that size at 256 KiB, for this process; whether the allocator took it (only glibc's knows of it)."""
    try:
        return bool(ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))
    except (AttributeError, OSError, TypeError):  # another allocator, or Windows
        return False
