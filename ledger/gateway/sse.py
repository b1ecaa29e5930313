"""Server-sent events as they pass (WHATWG HTML, "Server-sent events"): what is in them, while their bytes go on unchanged."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
LINE_END: Final = re.compile(rb"\r\n|\n|\r")
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its type, and its data with the lines joined."""

    type: str
    data: bytes


class Events:
    """Finds the events in a stream that comes in pieces. An event larger than MAX_EVENT_BYTES is left out, and counted."""

    def __init__(self) -> None:
        self.left_out = 0
        self._rest = bytearray()
        self._type = b""
        self._data: list[bytes] = []
        self._size = 0
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that end in this piece."""
        self._rest += chunk
        if self._first:
            if len(self._rest) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(self._rest):
                return  # it may become one, and only here
            self._first = False
            if self._rest.startswith(BYTE_ORDER_MARK):
                del self._rest[: len(BYTE_ORDER_MARK)]
        if b"\n" in chunk or b"\r" in chunk:
            # A carriage return at the very end may be half of a line's end: it waits for what follows.
            waits = self._rest.endswith(b"\r")
            *lines, rest = LINE_END.split(bytes(self._rest[:-1] if waits else self._rest))
            self._rest = bytearray(rest + b"\r" if waits else rest)
            for line in lines:
                yield from self._line(line)
        elif len(self._rest) > MAX_EVENT_BYTES:
            self._rest.clear()
            self._size = MAX_EVENT_BYTES + 1

    def end(self) -> Iterator[Event]:
        """What was left when the stream ended: some clients take it for an event, though it is none."""
        rest = bytes(self._rest)
        self._rest.clear()
        for line in LINE_END.split(rest):
            yield from self._line(line)
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[Event]:
        if not line:
            yield from self._dispatched()
            return
        self._size += len(line)
        if self._size > MAX_EVENT_BYTES:
            self._data.clear()
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value

    def _dispatched(self) -> Iterator[Event]:
        if self._size > MAX_EVENT_BYTES:
            self.left_out += 1
        elif self._data:
            yield Event(self._type.decode(errors="replace") or "message", b"\n".join(self._data))
        self._type, self._data, self._size = b"", [], 0
