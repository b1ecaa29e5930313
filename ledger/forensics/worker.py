"""The query worker: a process without secrets, which may be killed at any moment. `python -m ledger.forensics.worker`.

Frames in, on standard input: `open` (first, once), `entries` and `persons` (Arrow IPC; no answer), `filled` and `query` (one answer
each, on standard output). It knows the log only by its verifier key, and answers only over bytes that a checkpoint signed by it covers.
"""

import os
import sys
import time
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ledger.core.errors import LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.forensics.engine import Engine, Query
from ledger.forensics.evidence import Evidence, altered, checked_persons
from ledger.forensics.frames import Frame, read_frame, write_frame
from ledger.forensics.gauge import Needle
from ledger.forensics.parameters import from_wire
from ledger.forensics.render import MEDIA_TYPES
from ledger.forensics.sandbox import become_nobody, confine, expire, forbid_opening
from ledger.forensics.stored import OutdatedError
from ledger.storage.manifest import FileInfo
from ledger.storage.synced import digest_of

GRACE_S = 2.0


class Worker:
    """Evidence, and the engine that answers over it."""

    def __init__(self, opening: dict[str, Any]) -> None:
        confine(opening["address_space_bytes"])
        self.outdated = False
        self._deadline_s: float = opening["deadline_s"]
        self._evidence = Evidence(KeyHistory.from_json(opening["keys"]))
        sealed, path, size = opening.get("sealed"), None, 0
        if sealed is not None:
            path, size = Path(sealed["path"]), sealed["size"]
            self._evidence.follow(
                size, [bytes.fromhex(node) for node in sealed["nodes"]], bytes.fromhex(sealed["prev"])
            )
            if digest_of(path) != FileInfo(*sealed["info"]):
                self._evidence.altered = altered(
                    "the sealed tables of the queries are not those that were made"
                )
        self._engine = Engine(opening["memory_bytes"], sealed=path, size=size)
        for media in MEDIA_TYPES:  # whatever is imported at first use is imported now
            self._engine.answer(Query("SELECT now(), [{'a': 1.5}], 'x', 1", {}, media, 1, 10_000), dict)
        Needle.at(opening["gauge"]).follow(self._engine.progress)
        forbid_opening()
        become_nobody()

    def take(self, frame: Frame) -> None:
        """Take in entries or persons. What does not hold is remembered, and told to whoever asks next."""
        if self._evidence.altered is not None:
            return
        table = pa.ipc.open_stream(frame.body).read_all()
        try:
            if frame.header["kind"] == "persons":
                self._take_persons(checked_persons(table))
                return
            for batch in table.combine_chunks().to_batches():
                self._engine.take(self._evidence.take(batch), self._evidence.size)
        except LedgerError as error:
            self._evidence.altered = error

    def _take_persons(self, persons: pa.Table) -> None:
        try:
            self._engine.take_persons(persons)
        except OutdatedError:
            self.outdated = True

    def answer(self, frame: Frame) -> tuple[dict[str, Any], bytes]:
        """The answer's header and body."""
        asked = frame.header
        try:
            root = self._evidence.check(frame.body)
            started = time.perf_counter()
            expire(self._deadline_s + GRACE_S)
            query = Query(**{name: asked[name] for name in Query._fields})
            query = query._replace(
                parameters={name: from_wire(value) for name, value in query.parameters.items()}
            )
            facts = {"size": query.as_of or self._evidence.size, "root": query.root or root.hex()}
            if query.behind:
                facts["behind"] = query.behind
            rendered = self._engine.answer(query, lambda: {**facts, "seconds": _since(started)})
        except LedgerError as error:
            return {"code": error.code, "detail": error.detail, **error.members}, b""
        finally:
            expire(0)
        facts |= {
            "row_count": rendered.row_count,
            "truncated": rendered.truncated,
            "seconds": _since(started),
        }
        return facts, rendered.body


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 6)


def serve(asking: IO[bytes], answering: IO[bytes]) -> None:
    """Until the service goes away."""
    opening = read_frame(asking)
    if opening is None:
        return
    worker = Worker(opening.header)
    while (frame := read_frame(asking)) is not None:
        if frame.header["kind"] == "query":
            write_frame(answering, *worker.answer(frame))
        elif frame.header["kind"] == "filled":
            write_frame(answering, {"outdated": worker.outdated})
        else:
            worker.take(frame)


def main() -> None:
    """Serve on the pipes. Standard output is kept for answers alone: nothing that prints can forge one."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
