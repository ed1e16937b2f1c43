"""Whether this system lets a process use io_uring: containers often do not."""

from __future__ import annotations

import ctypes
import os
import sys

SETUP = 425  # io_uring_setup()


def io_uring_allowed() -> bool:
    if sys.platform != "linux":
        return False
    ring: int = ctypes.CDLL(None).syscall(SETUP, 4, (ctypes.c_char * 120)())
    if ring >= 0:
        os.close(ring)
    return ring >= 0
