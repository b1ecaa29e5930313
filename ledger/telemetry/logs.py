"""The ledger's own log lines, by the standard library's logging: one JSON object per event, one event per line.

Everything that could end a line, colour a terminal or turn text around is escaped, whoever sent it. Anything that looks like a token is
masked, an exception is named by its type and place (its message may quote what it choked on), and a request's query string is left out.
"""

import json
import logging
import re
import sys
import time
import traceback
from types import TracebackType
from typing import Any, Final, TextIO

MAX_TEXT: Final = 2_000
MASK: Final = "[masked]"
_TOKEN = re.compile(r"alt_[A-Za-z0-9_-]+|(?i:\bbearer\s+)\S+|PRIVATE\+KEY\+\S+")
_ACCESS = "uvicorn.access"
_ACCESS_ARGS = 5
_QUIET = ("uvicorn.error", "httpx", "httpcore", "asyncio", "opentelemetry", "mcp")


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every logger of this process, uvicorn's too (start it with `log_config=None`), through one formatter.

    For programs, at their start. A library that embeds the ledger has its own idea of logging and does not call this.

    Args:
        level: DEBUG, INFO, WARNING or ERROR.
        stream: where lines go; standard error unless given.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class LineFormatter(logging.Formatter):
    """An event as one line of JSON: `time`, `level`, `logger`, `event`, the members of `extra={"members": {…}}`, `error`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the line. Never fails: a bad format string is shown as it is."""
        line: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            **_event(record),
            **_members(record),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = type(record.exc_info[1]).__name__
            line["at"] = _places(record.exc_info[2])
        return json.dumps(line, ensure_ascii=True)


def _time(created: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created))
    return f"{whole}.{int(created % 1 * 1000):03d}Z"


def _event(record: logging.LogRecord) -> dict[str, Any]:
    """A request by its parts; any other event by its words."""
    args = record.args
    if record.name == _ACCESS and isinstance(args, tuple) and len(args) == _ACCESS_ARGS:
        client, method, path, _, status = args
        asked = {"client": client, "method": method, "path": str(path).partition("?")[0], "status": status}
        return {"event": "request"} | {name: _clean(value) for name, value in asked.items()}
    try:
        return {"event": _clean(record.getMessage())}
    except (TypeError, ValueError):
        return {"event": _clean(str(record.msg))}


def _members(record: logging.LogRecord) -> dict[str, Any]:
    members = getattr(record, "members", None)
    return {str(name): _clean(value) for name, value in members.items()} if isinstance(members, dict) else {}


def _clean(value: Any) -> Any:
    """Numbers as they are; anything else as text, masked and of bounded length."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = _TOKEN.sub(MASK, str(value))
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"


def _places(trace: TracebackType | None) -> list[str]:
    """Where it happened, innermost last; no values, no source lines."""
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(trace)]
