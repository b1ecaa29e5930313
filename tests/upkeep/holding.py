"""A log with sealed segments, and a look at every byte of its folder."""

import contextlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ledger.core.note import parse_vkey
from ledger.core.receipt import verify_receipt_leaf
from ledger.log.log import Log
from tests.log.conftest import post

ANYBODY = {"by": "token:admin", "ground": "asked for"}


def text(number: int) -> str:
    return f"TEXT-{number:05d}-MARKER"


def argument(number: int) -> str:
    return f"ARGUMENT-{number:05d}-MARKER"


def fact(number: int) -> str:
    return f"tool-{number:05d}-fact"


def user(number: int) -> str:
    return f"user-{number % 3}@example.com"


def action(number: int, **members: object) -> dict:
    """Record `number`, which names one of three persons; everything in it is told from what others hold."""
    return {
        "id": f"rec-{number:05d}",
        "type": "action",
        "time": "2026-11-21T09:30:00.000001Z",
        "request": {"user": user(number), "text": text(number)},
        "tool": {"name": fact(number), "arguments": {"to": argument(number)}},
        **members,
    }


def filled(data: Path, *sizes: int, hot: int = 5, **options: object) -> Log:
    """A log with segments of so many actions, and some more that are not sealed. Entry n is action n: the log's own is entry 0."""
    log = Log.open(data, **options)
    last = 0
    for size in sizes:
        post(log, *(action(last + n) for n in range(1, size + 1)))
        last += size
        log.seal()
    post(log, *(action(last + n) for n in range(1, hot + 1)))
    return log


def found(folder: Path, *texts: str) -> list[str]:
    """In which files one of the texts stands: in their bytes, and in what Parquet unpacks of them. Files may come and go meanwhile."""
    hits = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with contextlib.suppress(FileNotFoundError):
            stored = path.read_bytes()
            hits += [
                f"{path.name}: {each}" for each in texts if each.encode() in stored + _unpacked(path, stored)
            ]
    return hits


def _unpacked(path: Path, stored: bytes) -> bytes:
    if path.suffix != ".parquet":
        return b""
    try:
        return str(pq.read_table(pa.BufferReader(stored)).to_pydict()).encode()
    except pa.ArrowInvalid:
        return b""  # it is being written


def holds(log: Log, seq: int, receipt: bytes) -> bool:
    """Whether a receipt proves the leaf hash that the log gives for an entry, retired or not."""
    leaf = log.tile(0, seq // 256, seq % 256 + 1)[-32:]
    verify_receipt_leaf(receipt, leaf, [parse_vkey(log.vkey)])
    return True
