"""A process of ours that stands back: what the system says of it then."""

import os
import platform
import subprocess
import sys

import pytest

ASK = """
import ctypes, os, struct, sys
os.sched_setscheduler(0, getattr(os, sys.argv[1]), os.sched_param(0))
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


def told(policy: str) -> tuple[int, int, bool]:
    """Policy, niceness and whether the slice is a long one, of a process that began with this policy."""
    command = [sys.executable, "-c", ASK, policy]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(said[0]), int(said[1]), said[2] == "True"


on_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"), reason="says it to Linux"
)


@on_linux
def test_it_is_nicer_and_asks_for_long_slices():
    nice = min(19, os.nice(0) + 7)
    assert told("SCHED_OTHER") == (os.SCHED_OTHER, nice, kernel() >= (6, 12))


@on_linux
def test_a_policy_that_the_operator_chose_stays():
    policy, nice, _ = told("SCHED_BATCH")
    assert (policy, nice) == (os.SCHED_BATCH, min(19, os.nice(0) + 7))
