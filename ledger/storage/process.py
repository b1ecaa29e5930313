"""The server's end of the process that makes segments: start it, feed it, kill it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.storage.schema import ROW_SCHEMA

WORKER: Final = "ledger.storage.worker"
SAID_BYTES: Final = 500


class Worker:
    """One job in a process of its own. One thread runs it; any may kill it or make it nicer."""

    def __init__(self, nice: int) -> None:
        self._nice = nice
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._starting = threading.Lock()

    def kill(self) -> None:
        """End it at once, or before it begins. Who runs it hears of it."""
        with self._starting:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def renice(self, nice: int) -> bool:
        """Let it have more or less of the processors; False where the system does not allow it, or it does not run.

        Without privileges a process can only be made nicer.
        """
        with self._starting:
            if self._process is None or self._process.poll() is not None:
                return False
            try:
                os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
            except (PermissionError, ProcessLookupError):
                return False
            self._nice = nice
            return True

    def work(self, job: Mapping[str, Any], rows: Iterator[pa.RecordBatch] | None) -> dict[str, Any]:
        """Have the job done.

        Args:
            job: what to do.
            rows: what it is done with, sent as the worker takes it.

        Raises:
            LedgerError: `storage-failed`, with the reason; or why `rows` could not be read.
        """
        with tempfile.TemporaryFile() as said:
            process = self._start(said)
            try:
                gone = _send(process.stdin, {**job, "nice": self._nice}, rows)
                answer = process.stdout.readline() if process.stdout else b""
            finally:
                process.kill()  # it has answered, or nobody waits for its answer
                _close(process)
            return self._told(answer, said, gone)

    def _start(self, said: IO[bytes]) -> subprocess.Popen[bytes]:
        with self._starting:
            if self._killed:
                raise _failed("it was stopped")
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", WORKER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    cwd="/",
                    env={
                        "PYTHONPATH": ":".join(path for path in sys.path if path)
                    },  # the same code, and nothing else of ours
                    process_group=0,  # no Ctrl-C of ours; but our session, or its niceness would count for nothing (sched(7), autogroup)
                )
            except OSError as error:
                raise _failed(f"its process cannot be started: {error}") from error
            return self._process

    def _told(self, answer: bytes, said: IO[bytes], gone: OSError | None) -> dict[str, Any]:
        if self._killed:
            raise _failed("it was stopped")
        if not answer.endswith(b"\n"):
            said.seek(0, os.SEEK_END)
            said.seek(max(0, said.tell() - SAID_BYTES))
            last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
            raise _failed(f"its process died ({last or gone or 'killed, or out of memory'})")
        told: dict[str, Any] = json.loads(answer)
        if "failed" in told:
            raise _failed(str(told["failed"]))
        return told


def _send(
    pipe: IO[bytes] | None, job: Mapping[str, Any], rows: Iterator[pa.RecordBatch] | None
) -> OSError | None:
    """Send the job and its rows; the error where the worker went away meanwhile: its answer says why."""
    if pipe is None:
        return None
    try:
        pipe.write(json.dumps(job).encode() + b"\n")
        if rows is not None:
            with pa.ipc.new_stream(pipe, ROW_SCHEMA) as stream:
                for batch in rows:
                    stream.write_batch(batch)
        pipe.flush()
    except OSError as error:
        return error
    return None


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
    process.wait()


def _failed(why: str) -> LedgerError:
    return LedgerError(Code.STORAGE_FAILED, f"the segment was not built: {why}")
