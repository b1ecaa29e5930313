"""Keeps the signer's memory to itself: where the key is all there is to steal, the same user's other processes are others too."""

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def close_memory() -> None:
    """No core dump, and no debugger of the same user, nor `/proc/<pid>/mem` and `environ`; root still can. Beyond Linux only the first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
