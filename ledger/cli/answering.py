"""Asks a question while somebody waits: how long it has taken, Ctrl-C ends it on the ledger too; then the answer, on the terminal or in a file."""

import contextlib
import enum
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from ledger.cli import terminal
from ledger.cli.exits import CommandError
from ledger.cli.reading import parse_assignment
from ledger.client.http import TABLE, LedgerClient, ProblemError, UnreachableError
from ledger.client.questions import Page, Question
from ledger.core.errors import Code
from ledger.records.prepare import uuid7

LOOK_EVERY_S: Final = 0.2
SAID_AFTER_S: Final = 1.0
PATIENCE_S: Final = 600.0  # a log of ten million entries is taken in for queries within that
AGAIN_AFTER_S: Final = 1.0


class Format(enum.StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    ARROW = "arrow"
    PARQUET = "parquet"


JSON: Final = "application/json"
MEDIA_TYPES: Final = {
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
    Format.PARQUET: "application/vnd.apache.parquet",
}
_BINARY: Final = (Format.ARROW, Format.PARQUET)
_PLAIN: Final = ("text", "timestamp", "date")  # types whose value is text as it is given


def parameters(texts: list[str]) -> dict[str, Any]:
    """Parameters from `name=text`, `name:type=value` and `name:=json`.

    Raises:
        CommandError: it is none of these.
    """
    return dict(map(_parameter, texts))


def _parameter(text: str) -> tuple[str, Any]:
    left, _, value = text.partition("=")
    name, _, kind = left.partition(":")
    if not kind:
        return parse_assignment(text, "--param")
    if kind in _PLAIN:
        return name, {"type": kind, "value": value}
    try:
        return name, {"type": kind, "value": json.loads(value)}
    except ValueError:
        raise CommandError(f"--param {text}: a value of the type {kind} is written as JSON") from None


def answered(client: LedgerClient, question: Question, form: Format, output: Path | None = None) -> Page:
    """Ask, and show the answer or write it into a file whose ending says the format.

    Raises:
        CommandError: the ending says none, or it was interrupted.
        ProblemError: the ledger refused.
    """
    form = form if output is None else file_format(output)
    page = asked(client, question, MEDIA_TYPES.get(form, JSON))
    if output is not None:
        output.write_bytes(page.body)
        terminal.say(f"{output}: {len(page.body):,} bytes{_more(page)}")
    elif form in MEDIA_TYPES:
        _write(page.body, form)
        _tell(page)
    else:
        _print(client, page, form)
    return page


def file_format(path: Path) -> Format:
    """The format that a file's ending says.

    Raises:
        CommandError: it says none.
    """
    for form in Format:
        if path.suffix == f".{form}" and form is not Format.TABLE:
            return form
    endings = ", ".join(form for form in Format if form is not Format.TABLE)
    raise CommandError(f"{path}: its ending says no format; there are: {endings}")


def asked(client: LedgerClient, question: Question, accept: str) -> Page:
    """Ask and wait, also for a ledger that says it is busy. An interrupt cancels the query on the ledger.

    Raises:
        CommandError: it was interrupted.
        ProblemError: the ledger refused, or was busy for all of `PATIENCE_S`.
    """
    asking = _Asking(client, question, accept)
    with _interrupts() as interrupted, ThreadPoolExecutor(1) as thread:
        answer = thread.submit(asking.run)
        if not _wait(asking, answer, interrupted):
            asking.cancel()
            raise CommandError("the query was cancelled")
        return answer.result()


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Was Ctrl-C pressed? A second one interrupts. The first would do so within an exchange, or where Python drops it: in an import's callback."""
    pressed = False

    def press(*_: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


class _Asking:
    """One question, asked until the ledger has time for it."""

    def __init__(self, client: LedgerClient, question: Question, accept: str) -> None:
        self._client, self._question, self._accept = client, question, accept
        self._id, self._busy, self._cancelled = uuid7(), "", threading.Event()

    def run(self) -> Page:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._client.page(self._question, accept=self._accept, query_id=self._id)
            except ProblemError as problem:
                if problem.code != Code.QUERIES_BUSY or time.monotonic() > until:
                    raise
                self._busy = problem.detail
                if self._cancelled.wait(problem.retry_after_s or AGAIN_AFTER_S):
                    raise

    def cancel(self) -> None:
        self._cancelled.set()
        with contextlib.suppress(ProblemError):  # it ended meanwhile
            self._client.cancel(self._id)

    def state(self) -> str:
        with contextlib.suppress(ProblemError, UnreachableError):
            for each in self._client.running():
                if each.get("id") == self._id and not each.get("waiting"):
                    fraction = each.get("fraction")
                    done = f" ({fraction:.0%} done)" if isinstance(fraction, int | float) and fraction else ""
                    return f"running{done}"
        return self._busy or "waiting for its turn"


def _wait(asking: _Asking, answer: Future[Page], interrupted: Callable[[], bool]) -> bool:
    """False: it was interrupted before there was an answer."""
    began = time.monotonic()
    with _saying() as say:
        while not interrupted():
            with contextlib.suppress(TimeoutError):
                answer.exception(LOOK_EVERY_S)
                return True
            seconds = time.monotonic() - began
            if seconds >= SAID_AFTER_S:
                say(f"{asking.state()}: {seconds:.0f} s, Ctrl-C cancels")
    return False


@contextlib.contextmanager
def _saying() -> Iterator[Callable[[str], None]]:
    """A line on stderr that changes, on a terminal alone."""
    if not terminal.err.is_terminal:
        yield lambda _: None
        return
    with terminal.err.status("") as status:
        yield status.update


def _print(client: LedgerClient, page: Page, form: Format) -> None:
    answer = json.loads(page.body)
    if not all(isinstance(answer.get(name), kind) for name, kind in TABLE.items()):
        raise UnreachableError(f"what answers at {client.url} is no ledger: its answer is no rows")
    if form is Format.JSON:
        terminal.print_json(answer)
        return
    terminal.print_rows([column["name"] for column in answer["columns"]], answer["rows"])
    _tell(page, f", in {answer.get('seconds', 0):.2f} s")


def _tell(page: Page, more: str = "") -> None:
    rows = f"{page.row_count:,} {'row' if page.row_count == 1 else 'rows'}{_more(page)}"
    terminal.say(f"{rows} of the log at size {page.size:,}, root {page.root[:16]}…{more}", style="dim")
    if page.behind:
        terminal.say(f"The log has {page.behind:,} entries more, which came too fast to be in this answer.")


def _more(page: Page) -> str:
    return " (there are more: raise --limit)" if page.next is not None else ""


def _write(body: bytes, form: Format) -> None:
    if form is Format.NDJSON:
        terminal.write(body.decode(errors="replace"))
        return
    if sys.stdout.isatty():
        if form in _BINARY:
            raise CommandError(f"{form} is not for a terminal: send it to a file, -O answer.{form}")
        sys.stdout.write(terminal.escape(body.decode(errors="replace"), lines=True))
        return
    sys.stdout.buffer.write(body)
    sys.stdout.buffer.flush()
