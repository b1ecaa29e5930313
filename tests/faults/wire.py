"""How a client reaches a log's process: over HTTP, as everybody does, or over a socket, which costs a third of the time."""

import base64
import contextlib
import json
import re
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.faults.nursery import COMMAND, Child
from tests.faults.server import LISTENS, ORIGIN

FIRST_ERROR = 400
ANSWERS_WITHIN_S = 120.0
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made once: nothing here is encrypted


class LostError(Exception):
    """The connection broke."""


class OddError(AssertionError):
    """An answer that is none of those that may come."""


class Wire(Protocol):
    """A connection to one life of a process."""

    name: str
    call: str

    def arguments(self, data: Path, options: Sequence[str]) -> list[str]:
        """What the process is started with."""

    def connected(self, data: Path, child: Child) -> bool:
        """Whether it can be asked by now."""

    def ask(self, what: str, value: Any) -> Any:
        """Ask `post`, `receipt`, `checkpoint`, `bundle` or `seal`; a refusal is `{"problem": …}`.

        Raises:
            LostError: nobody is there any more.
        """

    def last(self) -> None:
        """Nothing more is asked: an end that the process hears beside the signal."""

    def close(self) -> None:
        """Hang up."""


class Http:
    """`agent-ledger serve` and its HTTP interface."""

    name, call = "server", COMMAND

    def __init__(self, _folder: Path) -> None:
        self._http: httpx.Client | None = None

    def arguments(self, data: Path, options: Sequence[str]) -> list[str]:
        return [
            "serve",
            "--data",
            str(data),
            "--origin",
            ORIGIN,
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            *options,
        ]

    def connected(self, data: Path, child: Child) -> bool:
        listens = LISTENS.search(child.said())
        if listens is None:
            return False
        bearer = {"Authorization": f"Bearer {(data / 'cli.token').read_text().strip()}"}
        self._http = httpx.Client(
            base_url=listens[1], headers=bearer, timeout=ANSWERS_WITHIN_S, trust_env=False, verify=PLAIN
        )
        return True

    def ask(self, what: str, value: Any) -> Any:
        if self._http is None:
            raise LostError
        try:
            match what:
                case "post":
                    answer = self._http.post("/v1/records", json=value[0] if len(value) == 1 else value)
                case "receipt":
                    answer = self._http.get(f"/v1/entries/{value}/receipt")
                case "checkpoint":
                    answer = self._http.get("/checkpoint")
                case "bundle":
                    answer = self._http.get(f"/{value}")
                case "seal":
                    answer = self._http.post("/v1/seal")
        except httpx.HTTPError as error:
            raise LostError(repr(error)) from error
        problem = _problem(answer)
        if problem is not None:
            return {"problem": problem}
        if what == "post":
            return {"results": answer.json().get("results", [answer.json()])}
        return answer.content if what == "bundle" else answer.text

    def last(self) -> None:
        pass  # its loop hears every signal

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
        self._http = None


class Pipe:
    """The log in a process of its own (writer.py)."""

    name, call = "log", "tests.faults.writer:main"

    def __init__(self, folder: Path) -> None:
        self._folder, self._lives = folder, 0
        self._socket: socket.socket | None = None

    def arguments(self, data: Path, options: Sequence[str]) -> list[str]:
        self._lives += 1
        return [str(data), self._at(), *options]

    def _at(self) -> str:
        return str(self._folder / f"s{self._lives}")

    def connected(self, _data: Path, _child: Child) -> bool:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(ANSWERS_WITHIN_S)
        try:
            connection.connect(self._at())
        except OSError:
            connection.close()
            return False
        self._socket, self._lines = connection, connection.makefile("rw")
        return True

    def ask(self, what: str, value: Any) -> Any:
        if self._socket is None:
            raise LostError
        given = [int(part) for part in re.findall(r"\d+", value)] if what == "bundle" else value
        try:
            self._lines.write(json.dumps({what: given}) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        except OSError as error:
            raise LostError(repr(error)) from error
        if not line.endswith("\n"):
            raise LostError
        answer = json.loads(line)
        return base64.b64decode(answer) if what == "bundle" and isinstance(answer, str) else answer

    def last(self) -> None:
        if self._socket is not None:  # a signal that comes just before a read begins does not end it
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._lines.close()
            self._socket.close()
        self._socket = None


def _problem(answer: httpx.Response) -> dict[str, Any] | None:
    """What was refused, None where nothing was: of a batch the first that was."""
    try:
        body = answer.json() if "json" in answer.headers["content-type"] else {}
        results = body.get("results", [body])
        problems = [result for result in results if "detail" in result]
    except (ValueError, KeyError, AttributeError, TypeError):
        raise OddError(f"not a problem: {answer.status_code} {answer.text}") from None
    if not problems and answer.status_code >= FIRST_ERROR:
        raise OddError(f"not a problem: {answer.status_code} {answer.text}")
    return problems[0] if problems else None
