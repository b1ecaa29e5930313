"""Real servers without the second that Python needs to import one: a process that has everything imported forks for each.

A fault needs three or four starts, and there are thousands of faults; a run of the tests starts hundreds of servers and a thousand commands. What
is forked here ran nothing before: it has one thread, no open log and no event loop, calls the command's `main` as `agent-ledger` does, and ends as
the interpreter does.
"""

import atexit
import contextlib
import ctypes
import faulthandler
import functools
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parent.parent.parent
IMPORTED = (
    "ledger.cli.main",
    "ledger.cli.serve",
    "ledger.cli.terminal",
    "ledger.cli.target",
    "ledger.cli.folder",
    "ledger.client.http",
    "httpx",
    "ledger.api.front",
    "ledger.api.service",
    "ledger.api.serving",
    "ledger.audit.fsck",
    "ledger.forensics.catalog",
    "ledger.forensics.service",
    "ledger.storage.worker",
    "ledger.telemetry",
    "tests.faults.oracle",
    "tests.faults.writer",
)
COMMAND = "ledger.cli.main:main"
READ_LATER = ("AGENT_LEDGER_", "AWS_", "HOME", "SSL_CERT_", "XDG_")
ENDS_WITHIN_S = 180.0
ASK = "FAULTS_NURSERY"
CLOSED_BELOW = 100  # what the nursery has open is nothing to its children
Popen = subprocess.Popen


class Child:
    """A process of the nursery.

    Attributes:
        pid: its id.
        out: the file of all that it said.
    """

    def __init__(self, nursery: "Nursery", pid: int, out: Path) -> None:
        self.pid, self.out = pid, out
        self._nursery = nursery
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status (negative: the signal), None while it runs."""
        if self._status is None:
            self._status = self._nursery.ask({"poll": self.pid})
        return self._status

    def wait(self, seconds: float = ENDS_WITHIN_S) -> int:
        """Its exit status.

        Raises:
            TimeoutError: it still runs.
        """
        until = time.monotonic() + seconds
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                self.signal(signal.SIGUSR1)  # it says where its threads are
                time.sleep(1)
                raise TimeoutError(f"process {self.pid} still runs after {seconds} s: {self.said()}")
            time.sleep(0.01)
        return status

    def signal(self, number: int) -> None:
        """Send a signal; nothing where it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def said(self) -> str:
        """Everything on its stdout and stderr."""
        return self.out.read_text(errors="replace")


class Nursery:
    """Starts `module:function` in forked processes; everything in it ends with it."""

    def __init__(self, library: Path | None) -> None:
        self._place = tempfile.TemporaryDirectory(prefix="nursery-")
        self.address = f"{self._place.name}/ask"
        preload = {"LD_PRELOAD": str(library)} if library else {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), ASK: self.address, **preload},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(
        self, call: str, arguments: Sequence[str], out: Path, *, board: Path | None = None, **environment: str
    ) -> Child:
        """Fork a child that calls `module:function` with these arguments after its name."""
        out.touch()
        order = {"call": call, "arguments": list(arguments), "out": str(out), "environment": environment}
        if board is not None:
            order["board"] = str(board)
        return Child(self, self.ask(order), out)

    def ask(self, order: Mapping[str, Any]) -> Any:
        """One order, one answer."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the nursery has no pipes")
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the nursery ended with status {self._process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        """End it and what it started."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has ended already
                self._process.stdin.close()
        self._process.wait(30)
        self._place.cleanup()


class Forked:
    """What `subprocess.Popen` is for a function among the imported ones, with an environment of its own."""

    def __init__(
        self,
        nursery: Nursery,
        call: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
    ) -> None:
        self._address = nursery.address
        self.returncode: int | None = None
        order = {"call": call, "arguments": list(arguments), "environment": dict(environment)}
        order["whole"] = str(Path.cwd())
        self.pid: int = _ask_at(self._address, order, stdin, stdout, stderr)

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _ask_at(self._address, {"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def plain(environment: Mapping[str, str]) -> bool:
    """Is there nothing in it that Python, a library or the loader reads before a command begins?"""
    return all(
        name.startswith(READ_LATER) or (name, text) == ("PYTHONPATH", str(ROOT))
        for name, text in environment.items()
    )


@functools.cache
def shared() -> Nursery:
    """The one of this process of the tests; it ends with it."""
    nursery = Nursery(None)
    nursery.ask({})  # it listens
    atexit.register(nursery.close)
    return nursery


def agent_ledger(
    arguments: Sequence[str | Path], environment: Mapping[str, str], *, stdin: int, stdout: int, stderr: int
) -> Forked:
    """The command, forked; with this environment alone."""
    return Forked(
        shared(),
        COMMAND,
        [*map(str, arguments)],
        environment=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
    )


class Fostered:
    """What `subprocess.Popen` is for a module that is among the imported ones: the nursery forks it, with the pipes of who asked."""

    def __init__(self, command: Sequence[str], *, stderr: IO[bytes], **_: object) -> None:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        order = {"call": f"{command[-1]}:main", "arguments": [], "environment": {}}
        if board := os.environ.get("FAULTS_BOARD"):
            order["board"] = board
        self.pid = _ask(order, theirs_in, theirs_out, stderr.fileno())
        os.close(theirs_in)
        os.close(theirs_out)
        self.stdin, self.stdout = os.fdopen(ours_in, "wb"), os.fdopen(ours_out, "rb")

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def poll(self) -> int | None:
        return _ask({"poll": self.pid})

    def wait(self) -> int:
        while (status := self.poll()) is None:
            time.sleep(0.01)
        return status


def _ask(order: Mapping[str, Any], *descriptors: int) -> Any:
    """One order of a child to the nursery it came from."""
    return _ask_at(os.environ[ASK], order, *descriptors)


def _ask_at(address: str, order: Mapping[str, Any], *descriptors: int) -> Any:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(address)
        socket.send_fds(asking, [json.dumps(order).encode() + b"\n"], list(descriptors))
        return json.loads(asking.makefile().readline())


def _serve() -> None:
    for name in IMPORTED:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    orders, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    children: dict[int, int | None] = {}
    with socket.socket(socket.AF_UNIX) as asked:
        asked.bind(os.environ[ASK])
        asked.listen(64)
        while True:
            ready, _, _ = select.select([orders, asked], [], [])
            if asked in ready:
                _asked(children, asked)
            if orders in ready:
                line = orders.readline()
                if not line:
                    break
                answers.write(json.dumps(_obey(children, json.loads(line), ())) + "\n")
                answers.flush()
        for pid in children:
            if _poll(children, pid) is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _asked(children: dict[int, int | None], asked: socket.socket) -> None:
    asking, _ = asked.accept()
    with asking:
        line, descriptors, _, _ = socket.recv_fds(asking, 65_536, 3)
        if not line:
            return  # killed before it could ask
        try:
            asking.sendall(json.dumps(_obey(children, json.loads(line), descriptors)).encode() + b"\n")
        except OSError:
            pass  # who asked was killed
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _obey(children: dict[int, int | None], order: dict[str, Any], descriptors: Sequence[int]) -> int | None:
    if not order:
        return None
    if "poll" in order:
        return _poll(children, order["poll"])
    pid = os.fork()
    if pid == 0:
        _run(order, descriptors)
    children[pid] = None
    return pid


def _poll(children: dict[int, int | None], pid: int) -> int | None:
    if children[pid] is None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            children[pid] = os.waitstatus_to_exitcode(status)
    return children[pid]


def _run(order: dict[str, Any], descriptors: Sequence[int]) -> None:
    status = 70
    try:
        if not descriptors:
            out = os.open(order["out"], os.O_WRONLY | os.O_APPEND)
            descriptors = (os.open(os.devnull, os.O_RDONLY), out, out)
        for new, old in enumerate(descriptors):
            os.dup2(old, new)
        sys.stdin, sys.stdout = os.fdopen(0, "r"), os.fdopen(1, "w")
        faulthandler.register(signal.SIGUSR1, file=sys.stderr)
        os.closerange(3, CLOSED_BELOW)
        if "whole" in order:
            os.environ.clear()
            os.chdir(order["whole"])
        else:
            subprocess.Popen = _started  # type: ignore[misc, assignment]
        os.environ.update(order["environment"])
        if "board" in order:
            os.environ["FAULTS_BOARD"] = order["board"]  # for what it starts itself
            ctypes.CDLL(None).faults_attach(order["board"].encode())
        module, _, function = order["call"].partition(":")
        sys.argv = [module, *order["arguments"]]
        try:
            getattr(importlib.import_module(module), function)()
        finally:
            if "whole" in order:
                threading._shutdown()  # type: ignore[attr-defined] # as the interpreter ends: other threads,
                atexit._run_exitfuncs()  # then what was to be done at the end
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
        if isinstance(ending.code, str):
            sys.stderr.write(f"{ending.code}\n")
    except BaseException:  # noqa: BLE001 - a traceback, as the interpreter would print it
        sys.excepthook(*sys.exc_info())
        status = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _started(command: Sequence[str], **given: Any) -> Any:
    return Fostered(command, **given) if command[-1] in IMPORTED else Popen(command, **given)


if __name__ == "__main__":
    _serve()
