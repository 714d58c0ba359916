"""What one large photo leaves behind in memory."""

import ctypes
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the allocator is not glibc's")

AFTER_A_LARGE_PHOTO = """
import os, sys
from serve.lifecycle.malloc import return_large_buffers
if sys.argv[1] == "returned":
    assert return_large_buffers()

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

photo = b"x" * (30 << 20)
del photo
before = resident()
pictures = [b"x" * (1 << 20) for _ in range(50)]
last = pictures[-1]
del pictures
print(resident() - before)
"""


def growth_mb(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", AFTER_A_LARGE_PHOTO, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_after_a_large_photo_the_buffers_of_others_still_go_back_to_the_system():
    assert growth_mb("returned") <= 3
    assert growth_mb("kept") >= 40  # what it would be: this test can fail
