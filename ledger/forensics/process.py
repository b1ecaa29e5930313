"""The service's end of one worker process: start it, fill it, ask it, kill it."""

import contextlib
import subprocess
import sys
import threading
from typing import IO, Any, NamedTuple

import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.forensics.engine import Query
from ledger.forensics.frames import Frame, read_frame, write_frame
from ledger.log.log import Log
from ledger.log.schema import ROW_SCHEMA, Head

BODY_SLACK_BYTES = 1024 * 1024  # column names and types, before the first row


class Bounds(NamedTuple):
    """What one worker may use.

    Attributes:
        deadline_s: seconds for one query, and for taking in the log before it.
        memory_bytes: what DuckDB allows itself; it fails a query in good order.
        address_space_bytes: what the operating system allows; beyond it the worker dies.
    """

    deadline_s: float
    memory_bytes: int
    address_space_bytes: int


class WorkerProcess:
    """One worker, with everything of the log up to `filled`. One thread asks; any may kill."""

    def __init__(self, vkey: str, bounds: Bounds) -> None:
        self.filled = 0
        self._bounds = bounds
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ledger.forensics.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={
                "PYTHONPATH": ":".join(path for path in sys.path if path)
            },  # where the same code is; nothing else of ours
            start_new_session=True,
        )
        opening = {
            "vkey": vkey,
            "deadline_s": bounds.deadline_s,
            "memory_bytes": bounds.memory_bytes,
            "address_space_bytes": bounds.address_space_bytes,
        }
        self._asking: IO[bytes] = _pipe(self._process.stdin)
        self._answering: IO[bytes] = _pipe(self._process.stdout)
        self._expired = False
        self._send(opening)

    @property
    def alive(self) -> bool:
        """Is it still there?"""
        return self._process.poll() is None

    def fill(self, log: Log, head: Head) -> None:
        """Bring it everything that it has not got yet, up to `head`, and wait until it has taken it in.

        Raises:
            LedgerError: `query-killed`: the worker died of it.
        """
        if self.filled >= head.size:
            return
        persons = log.person_rows(self.filled, head.size)
        if persons.num_rows:
            self._send({"kind": "persons"}, _ipc(persons))
        for batch in log.rows(self.filled, head.size):
            self._send({"kind": "entries"}, _ipc(pa.Table.from_batches([batch], ROW_SCHEMA)))
        self._send({"kind": "filled"})
        if self._read(0) is None:
            raise self._gone("while it took in the log")
        self.filled = head.size

    def ask(self, query: Query, head: Head) -> Frame:
        """Put a query; wait for its answer, at most the deadline.

        Raises:
            LedgerError: `query-timeout` or `query-killed`, and the worker is gone; or what the worker refused it for.
        """
        late = threading.Timer(self._bounds.deadline_s, self._expire)
        late.start()
        try:
            self._send({"kind": "query", **query._asdict()}, head.note)
            answer = self._read(query.max_bytes)
        finally:
            late.cancel()
        if answer is None:
            raise self._gone("while it ran this query")
        if "code" in answer.header:
            raise LedgerError(Code(answer.header["code"]), str(answer.header["detail"]))
        return answer

    def _expire(self) -> None:
        self._expired = True
        self.kill()

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

    def _send(self, header: dict[str, Any], body: bytes | memoryview = b"") -> None:
        with contextlib.suppress(BrokenPipeError):  # it is gone: reading says so
            write_frame(self._asking, header, body)

    def _read(self, max_body_bytes: int) -> Frame | None:
        """Its next frame; None when it is gone, or sends what no worker of ours would."""
        try:
            return read_frame(self._answering, max_body_bytes + BODY_SLACK_BYTES)
        except ValueError:
            return None


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise LedgerError(Code.QUERY_KILLED, "the query worker has no pipes")
    return pipe


def _ipc(table: pa.Table) -> memoryview:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())
