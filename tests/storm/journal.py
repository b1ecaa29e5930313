"""What happened, as nobody's ledger tells it: a line at a time, durable, with the time."""

import os
import time
from pathlib import Path


class Journal:
    """Lines that survive a kill:

    began <call> <time>      the tool runs
    finished <call> <time>   the tool has done its work
    told <call> <time>       the agent's run returned, and its recorder has handed over everything (to the ledger or to its spool)
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_DSYNC, 0o600)

    def write(self, what: str, call: str) -> None:
        os.write(self._file, f"{what} {call} {time.time():.3f}\n".encode())


def calls(folder: Path, what: str) -> dict[str, float]:
    """When each call was said to have begun, finished, or been told."""
    lines = [line.split() for path in folder.glob("*.journal") for line in path.read_text().splitlines()]
    return {call: float(when) for said, call, when in lines if said == what}
