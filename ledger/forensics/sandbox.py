"""What the query worker may not do, by the operating system: DuckDB's own fences are the first line, these the second."""

import math
import os
import resource
import signal

from ledger.storage.background import stand_back

NICENESS = 10
NOBODY = 65_534


def confine(address_space_bytes: int) -> None:
    """Bound memory, and forbid writing files of any length and core dumps. Called before the first byte from outside is read.

    Args:
        address_space_bytes: RLIMIT_AS. An allocation beyond it fails, or ends the process; never the machine.
    """
    stand_back(NICENESS)
    _limit(resource.RLIMIT_AS, address_space_bytes)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)


def forbid_opening() -> None:
    """From here on this process opens no file and no socket; the descriptors it has keep working."""
    _limit(resource.RLIMIT_NOFILE, 0)


def become_nobody() -> None:
    """Where the service may give up its user (it runs as root), the worker is nobody: what belongs to the ledger is not its own."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def expire(seconds: float) -> None:
    """Die after so many seconds, whatever runs then: for a worker whose service is no longer there to kill it. 0 calls it off."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(seconds))


def _limit(what: int, value: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(what, (value, value))
