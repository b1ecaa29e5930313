"""One round of the scrub, in a process of its own: `python -m ledger.audit.scrub_worker <folder> <verifier key> <bytes a second> [moved]`.

It tells how far it is and what it found, a JSON object a line, and ends with the process that started it.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ledger.audit.fsck import Asked, audit
from ledger.core.errors import LedgerError
from ledger.core.note import parse_vkey
from ledger.core.report import Level, Report
from ledger.storage.background import stand_back
from ledger.storage.layout import segment_folders
from ledger.storage.manifest import generation_of

NICE: Final = 19
TELL_S: Final = 1.0
LONGEST_SLEEP_S: Final = 1.0
MAX_AGAIN: Final = 5


def paced(rate: int) -> Callable[[int], None]:
    """What is told of bytes that were read, and sleeps as long as they are more than `rate` a second."""
    due = time.monotonic()

    def pace(count: int) -> None:
        nonlocal due
        now = time.monotonic()
        due = max(due, now - LONGEST_SLEEP_S) + count / rate
        while due > now:
            time.sleep(min(due - now, LONGEST_SLEEP_S))
            now = time.monotonic()

    return pace


def told(report: Report) -> dict[str, Any]:
    """What a round says of its report."""
    first = report.findings[0] if report.findings else None
    return {
        "size": report.size,
        "findings": len(report.findings) + report.unlisted,
        "first": f"{first.where} is {first.kind}: {first.detail}" if first else "",
    }


def scrub(data: Path, vkey: str, rate: int, *, moved: bool = False) -> dict[str, Any]:
    """One round. What was compacted or moved meanwhile was read in part before and in part after: then once more."""
    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_S:
            last = time.monotonic()
            _say({"done": done, "total": total})

    for _ in range(MAX_AGAIN):
        before = _files(data)
        away = moved and _some_away(data)
        asked = Asked(
            vkey=parse_vkey(vkey),
            level=Level.FILES if away else Level.EVERYTHING,
            sealed_only=True,
            here=away,
            progress=progress,
            pace=paced(rate),
        )
        report = audit(data, asked).report
        if not report.findings or before == _files(data):
            break
    return told(report)


def _files(data: Path) -> list[tuple[str, str]]:
    """What a compaction or a move changes."""
    return sorted(
        (folder.name, path.name)
        for folder in segment_folders(data)
        for path in folder.iterdir()
        if generation_of(path.name) or path.suffix == ".parquet"
    )


def _some_away(data: Path) -> bool:
    """Whether a segment has none of its large files here. One that lacks some of them is damaged, and not moved."""
    return any(not any(folder.glob("*.parquet")) for folder in segment_folders(data))


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main(data: str, vkey: str, rate: str, moved: str = "") -> None:
    """A round, told on stdout."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(OSError):
        stand_back(NICE)
    try:
        _say(scrub(Path(data), vkey, int(rate), moved=bool(moved)))
    except (LedgerError, OSError) as error:
        _say({"problem": str(error)})


if __name__ == "__main__":
    main(*sys.argv[1:])
