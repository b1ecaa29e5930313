"""How a process of ours stands back, so that what writes does not wait for a core behind it."""

import ctypes
import os
import platform
import struct
from typing import Final

SLICE_NS: Final = 100_000_000  # the longest that Linux gives
# linux/sched/types.h: size, policy, flags, nice, priority, runtime, deadline, period
_SCHED_ATTR: Final = struct.Struct("=IIQiIQQQ")
# The system call's number: the C library has no function for it before glibc 2.41.
_SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}


def stand_back(niceness: int) -> None:
    """Be nice, and ask for long slices of time: from Linux 6.12 on, who asks for a shorter one and wakes up takes the core at once (ADR 0035).

    Niceness says how much of a core is left to this process, not how long somebody who wakes up waits for it: that was until its slice was over, some milliseconds each time. Earlier
    kernels, and other systems, know no such wish: there it is niceness alone, and so it is where the operator chose another policy than the ordinary one.

    Args:
        niceness: added to what it is, 0 to 19.
    """
    nice = os.nice(niceness)
    number = _SCHED_SETATTR.get(platform.machine())
    if os.uname().sysname == "Linux" and number is not None and os.sched_getscheduler(0) == os.SCHED_OTHER:
        attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, os.SCHED_OTHER, 0, nice, 0, SLICE_NS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)
