"""The service's end of a process for queries: start it, ask it, kill it."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.forensics.engine import Query
from ledger.forensics.frames import Frame, read_frame, write_frame
from ledger.forensics.gauge import Gauge
from ledger.log.log import Log
from ledger.storage.manifest import FileInfo
from ledger.storage.removed import Removed
from ledger.storage.schema import ROW_SCHEMA, Head

BODY_SLACK_BYTES: Final = 1024 * 1024  # column names and types, before the first row
WORKER: Final = "ledger.forensics.worker"


class Bounds(NamedTuple):
    """What one worker may use.

    Attributes:
        deadline_s: seconds for one query.
        memory_bytes: what DuckDB allows itself; it fails a query in good order.
        address_space_bytes: what the operating system allows; beyond it the worker dies.
    """

    deadline_s: float
    memory_bytes: int
    address_space_bytes: int


class Sealed(NamedTuple):
    """A file of tables that a builder made: of how many entries of the log, and what a worker needs to go on from there.

    Attributes:
        path: of the file.
        info: its length and SHA-256, when it was made.
        size: entries of the log.
        nodes: `Frontier.nodes()` of the log of that size.
        prev: the leaf hash of the last of them.
        note: the checkpoint of that size.
    """

    path: Path
    info: FileInfo
    size: int
    nodes: list[bytes]
    prev: bytes
    note: bytes


class Piped:
    """A process that takes frames and answers them. One thread asks; any may kill."""

    def __init__(self, module: str, opening: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Start it with nothing of ours but where the code is, and what these descriptors are."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
            process_group=0,  # no Ctrl-C of ours; but our session, or its niceness would count for nothing beside us (sched(7), autogroup)
            pass_fds=descriptors,
        )
        self._asking: IO[bytes] = _pipe(self._process.stdin)
        self._answering: IO[bytes] = _pipe(self._process.stdout)
        self.send(opening)

    @property
    def alive(self) -> bool:
        """Is it still there?"""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once, whatever it does: SIGKILL is the only thing that stops every query. It may be dead already."""
        self._process.kill()

    def close(self) -> None:
        """End it and let go of its pipes."""
        self.kill()
        self._process.wait()
        for pipe in (self._asking, self._answering):
            with contextlib.suppress(OSError):
                pipe.close()

    def send(self, header: Mapping[str, Any], body: bytes | memoryview = b"") -> None:
        """One frame to it. That it is gone is told by reading."""
        with contextlib.suppress(BrokenPipeError):
            write_frame(self._asking, dict(header), body)

    def read(self, max_body_bytes: int = 0) -> Frame | None:
        """Its next frame; None when it is gone, or sends what no process of ours would.

        Raises:
            LedgerError: what it refused to do.
        """
        try:
            answer = read_frame(self._answering, max_body_bytes + BODY_SLACK_BYTES)
        except ValueError:
            return None
        if answer is not None and "code" in answer.header:
            at = answer.header.get("position")
            where: dict[str, Any] = {"position": at} if type(at) is int and at >= 0 else {}
            raise LedgerError(Code(answer.header["code"]), str(answer.header["detail"]), **where)
        return answer

    def do(self, header: Mapping[str, Any], body: bytes | memoryview = b"") -> dict[str, Any]:
        """Send a frame and wait for its answer.

        Raises:
            LedgerError: what it refused; `storage-failed`: it is gone.
        """
        self.send(header, body)
        answer = self.read()
        if answer is None:
            raise LedgerError(Code.STORAGE_FAILED, f"the process ended while it was at {header['kind']}")
        return answer.header


class WorkerProcess(Piped):
    """A worker, with everything of the log up to `filled`."""

    def __init__(
        self, keys: KeyHistory, bounds: Bounds, sealed: Sealed | None = None, removed: Removed | None = None
    ) -> None:
        """Start it.

        Args:
            keys: the log's, one of which signed what it will be given: once there are more, it knows too few.
            bounds: what it may use.
            sealed: tables that it need not make itself.
            removed: what the log had removed before it was given anything: once that is more, it knows too much.
        """
        self._gauge = Gauge()
        opening: dict[str, Any] = {
            "keys": keys.to_json(),
            "gauge": self._gauge.descriptor,
            **bounds._asdict(),
        }
        if sealed is not None:
            opening["sealed"] = {
                "path": str(sealed.path),
                "info": list(sealed.info),
                "size": sealed.size,
                "nodes": [node.hex() for node in sealed.nodes],
                "prev": sealed.prev.hex(),
            }
        super().__init__(WORKER, opening, [self._gauge.descriptor])
        self.keys, self.removed = keys, removed
        self.sealed, self.filled = sealed, 0 if sealed is None else sealed.size
        self._note = b"" if sealed is None else sealed.note  # the checkpoint of what it has
        self._bounds, self._expired = bounds, False

    def close(self) -> None:
        """End it and let go of what was shared with it."""
        super().close()
        self._gauge.close()

    @property
    def fraction(self) -> float | None:
        """How far its query has come, 0 to 1, as DuckDB reckons; None where that is not known."""
        return self._gauge.read()

    def fill(self, log: Log, head: Head, reach: int) -> bool:
        """Bring it what it has not got yet, and wait until it has taken it in.

        Args:
            log: the log.
            head: its newest checkpoint.
            reach: up to which size: where that is before `head`, up to the last checkpoint there.

        Returns:
            False where that is about entries of its sealed tables: it needs others.

        Raises:
            LedgerError: `query-killed`: the worker died of it.
        """
        size, note = head.size, head.note
        if reach < size:
            size, note = log.signed_within(self.filled, reach) or (self.filled, self._note)
        if self.filled >= size:
            return True
        persons = log.person_rows(self.filled, size)
        if persons.num_rows:
            self.send({"kind": "persons"}, ipc(persons))
        for batch in log.rows(self.filled, size):
            if not self.alive:
                break
            self.send({"kind": "entries"}, ipc(pa.Table.from_batches([batch], ROW_SCHEMA)))
        self.send({"kind": "filled"})
        answer = self.read()
        if answer is None:
            raise self._gone("while it took in the log")
        self.filled, self._note = size, note
        return not answer.header["outdated"]

    def ask(self, query: Query) -> Frame:
        """Put a query about what it has; wait for its answer, at most the deadline.

        Raises:
            LedgerError: `query-timeout` or `query-killed`, and the worker is gone; or what the worker refused it for.
        """
        late = threading.Timer(self._bounds.deadline_s, self._expire)
        late.start()
        try:
            self.send({"kind": "query", **query._asdict()}, self._note)
            answer = self.read(query.max_bytes)
        finally:
            late.cancel()
        if answer is None:
            raise self._gone("while it ran this query")
        return answer

    def _expire(self) -> None:
        self._expired = True
        self.kill()

    def _gone(self, when: str) -> LedgerError:
        if self._expired:
            seconds = self._bounds.deadline_s
            return LedgerError(
                Code.QUERY_TIMEOUT,
                f"the query was stopped after {seconds:g} s: narrow it down, by time for example",
            )
        return LedgerError(
            Code.QUERY_KILLED,
            f"the query worker ended {when}, most likely of its memory limit: narrow the query down",
        )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise LedgerError(Code.QUERY_KILLED, "the process has no pipes")
    return pipe


def ipc(table: pa.Table) -> memoryview:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())
