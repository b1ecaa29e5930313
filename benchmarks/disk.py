"""What the disk alone does at the pace of a load: as many bytes as a commit leaves, appended and written through, and a slot of the head anchor after it."""

import os
import tempfile
import time
from pathlib import Path

ANCHOR_BYTES = 4096


def paced(folder: Path, commit_bytes: int, per_second: float, seconds: float) -> list[tuple[float, float]]:
    """Write at a pace, with nothing else in this process.

    Args:
        folder: on the disk that is meant.
        commit_bytes: of each append.
        per_second: how often.
        seconds: for so long.

    Returns:
        When each pair of writes began (seconds from the first) and how long it took (seconds).
    """
    data, took = os.urandom(commit_bytes), []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        log = os.open(Path(place) / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        anchor = os.open(Path(place) / "anchor", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            first = time.perf_counter()
            for number in range(int(per_second * seconds)):
                time.sleep(max(0.0, first + number / per_second - time.perf_counter()))
                began = time.perf_counter()
                os.write(log, data)
                os.fdatasync(log)
                os.pwrite(anchor, data[:ANCHOR_BYTES], number % 2 * ANCHOR_BYTES)
                os.fdatasync(anchor)
                took.append((began - first, time.perf_counter() - began))
        finally:
            os.close(log)
            os.close(anchor)
    return took
