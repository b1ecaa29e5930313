"""The process that makes segments: `python -m ledger.storage.worker`. It may be killed at any moment.

Standard input: one line of JSON, the job, and then, for a new segment, its rows as an Arrow IPC stream (`ROW_SCHEMA`). Standard output: one
line of JSON, what was made or why nothing was.
"""

import gc
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa

from ledger.core.errors import LedgerError
from ledger.storage.background import stand_back
from ledger.storage.checking import differs
from ledger.storage.making import Job, Steps, check_rows, write_rows
from ledger.storage.remaking import remake
from ledger.storage.schema import ROW_SCHEMA

MAX_NICE: Final = 19


def build(asked: Mapping[str, Any], asking: IO[bytes], steps: Steps) -> dict[str, Any]:
    """Make a new segment of the rows that follow."""
    job = Job(
        Path(asked["folder"]),
        asked["start"],
        asked["end"],
        asked["origin"],
        asked["checkpoint"].encode(),
        [bytes.fromhex(digest) for digest in asked["before"]],
        None if asked["frontier"] is None else [bytes.fromhex(node) for node in asked["frontier"]],
    )
    rows = write_rows(job, batches(asking), steps)
    _die_with(asking)
    return check_rows(job, rows, steps) | {"seconds": steps.taken}


def batches(asking: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """The rows as they come.

    Raises:
        LedgerError: `storage-failed`: they are not rows of a log, or their sender went away.
    """
    try:
        with pa.ipc.open_stream(asking) as stream:
            if not stream.schema.equals(ROW_SCHEMA):
                differs("the rows", "their columns are not those of a log")
            yield from stream
    except pa.ArrowException as error:
        differs("the rows", f"they broke off: {error}")


def serve(asking: IO[bytes]) -> dict[str, Any]:
    """Do the job; what was made, or `{"failed": why}`."""
    steps = Steps()
    try:
        asked = json.loads(asking.readline())
        stand_back(min(MAX_NICE, asked["nice"]))
        steps.done("start")
        if "rebuild" not in asked:
            return build(asked, asking, steps)
        _die_with(asking)
        return remake(asked)
    except LedgerError as error:
        return {"failed": error.detail}
    except (OSError, pa.ArrowException, MemoryError) as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def _die_with(asking: IO[bytes]) -> None:
    """The sender keeps its end open until it has the answer: when that is closed nobody waits for one."""

    def wait() -> None:
        asking.read()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Do one job. Standard output is kept for the answer alone."""
    answering = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    gc.disable()  # a third of the price of what is parsed here; nothing here goes round in circles
    answer = serve(sys.stdin.buffer)
    answering.write(json.dumps(answer).encode() + b"\n")
    answering.flush()
    os._exit(0)  # what is left to tidy up is memory


if __name__ == "__main__":
    main()
