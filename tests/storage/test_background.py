"""A process of ours that stands back: what the system says of it then."""

import os
import platform
import subprocess
import sys

import pytest

ASK = """
import ctypes, os, struct
from ledger.storage.background import SLICE_NS, stand_back
stand_back(7)
told = ctypes.create_string_buffer(48)
if ctypes.CDLL(None).syscall({"x86_64": 315, "aarch64": 275}[os.uname().machine], 0, told, 48, 0):
    raise SystemExit("no answer")
_, policy, _, nice, _, slice_ns, _, _ = struct.unpack("=IIQiIQQQ", told.raw)
print(policy, nice, slice_ns == SLICE_NS)
"""


def kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in os.uname().release.split(".")[:2])


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="says it to Linux"
)
def test_it_is_nicer_and_asks_for_long_slices():
    nice = os.nice(0)
    told = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout
    policy, now, long = told.split()
    assert (policy, int(now)) == ("0", min(19, nice + 7))
    assert (long == "True") is (kernel() >= (6, 12))
