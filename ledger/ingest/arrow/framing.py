"""The outside of an Arrow IPC stream, message by message: how much it is, before anything of it is made.

Arrow's reader believes the sizes in the metadata: it allocates what a compressed buffer says it becomes, and takes ten million rows of
columns without bytes for granted. So the sizes are added up here first, from the metadata alone, and a stream that is more than a body may be
is refused. The format: https://arrow.apache.org/docs/format/Columnar.html#serialization-and-interprocess-communication-ipc
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ledger.core.errors import Code, LedgerError
from ledger.ingest.arrow.flat import Table, malformed
from ledger.records.limits import BODY_BYTES, BODY_RECORDS

MAX_MESSAGES: Final = 1_000
MAX_METADATA_BYTES: Final = 1024 * 1024  # of one message
MAX_BUFFERS: Final = (
    4_096  # of one message: a record has fewer than a hundred members, a nested one takes a few
)
MAX_DICTIONARIES: Final = 256

_CONTINUATION: Final = b"\xff\xff\xff\xff"
_PREFIX_BYTES: Final = (
    8  # continuation and length of the metadata; also what stands before a compressed buffer
)
_ALIGNMENT: Final = 8
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_V4, _V5 = 3, 4
_NOT_COMPRESSED: Final = -1


class _Message(NamedTuple):
    kind: int
    header: Table
    body: memoryview


def check_framing(body: bytes) -> None:
    """Refuse a stream that would become more than a body may be.

    Args:
        body: the stream, its own compression (LZ4, ZSTD of single buffers) still in place.

    Raises:
        LedgerError: `malformed-arrow`, `too-many-records`, `body-too-large`.
    """
    sizes = _Sizes()
    for index, message in enumerate(_messages(body)):
        if (message.kind == _SCHEMA) != (index == 0):
            raise malformed("a schema comes first, and once")
        if index == MAX_MESSAGES:
            raise malformed(f"it has more than {MAX_MESSAGES} messages; send fewer, larger batches")
        if message.kind == _SCHEMA:
            if message.header.number(0, "<h") != 0:
                raise malformed("it is big-endian; every implementation can write little-endian")
        elif message.kind == _DICTIONARY:
            sizes.dictionary(message)
        else:
            sizes.batch(message.header, message.body)
    if not sizes.rows:
        raise malformed("it holds no record")


class _Sizes:
    """What the stream becomes, added up."""

    def __init__(self) -> None:
        self.rows = 0
        self._bytes = 0
        self._dictionaries: dict[int, int] = {}

    def dictionary(self, message: _Message) -> None:
        """A dictionary stays, and is looked through again with each batch after it."""
        data = message.header.table(1)
        if data is None:
            raise malformed("a dictionary without values")
        if message.header.number(2, "<B"):
            raise malformed("a dictionary in pieces (a delta) is not taken: send it whole")
        self._dictionaries[message.header.number(0, "<q")] = self._spend(data, message.body)
        if len(self._dictionaries) > MAX_DICTIONARIES:
            raise malformed(f"it has more than {MAX_DICTIONARIES} dictionaries")

    def batch(self, header: Table, body: memoryview) -> None:
        """Its rows, its buffers, and its dictionaries once more."""
        rows = header.number(0, "<q")
        if rows < 0:
            raise malformed("a batch has a negative number of rows")
        self.rows += rows
        if self.rows > BODY_RECORDS:
            raise LedgerError(
                Code.TOO_MANY_RECORDS,
                f"more than {BODY_RECORDS} records in one request: send them in several",
                limit=BODY_RECORDS,
            )
        self._spend(header, body)
        self._add(sum(self._dictionaries.values()))

    def _spend(self, header: Table, body: memoryview) -> int:
        for length, _ in header.pairs(1, MAX_BUFFERS):
            if not 0 <= length <= BODY_BYTES:
                raise malformed("a column has more values than a body may have bytes")
        compressed = header.table(3) is not None
        size = 0
        for offset, length in header.pairs(2, MAX_BUFFERS):
            if offset < 0 or length < 0 or offset + length > len(body):
                raise malformed("a buffer lies outside its message")
            size += _uncompressed(body, offset, length) if compressed and length else length
            if size > BODY_BYTES:
                break
        self._add(size)
        return size

    def _add(self, size: int) -> None:
        self._bytes += size
        if self._bytes > BODY_BYTES:
            raise too_large()


def too_large() -> LedgerError:
    """The refusal of a stream that is small as it was sent, and too much once it is written out."""
    return LedgerError(
        Code.BODY_TOO_LARGE,
        f"the stream is over {BODY_BYTES} bytes once its buffers are decompressed and its dictionaries written out; send it in several "
        "requests",
        limit=BODY_BYTES,
    )


def _uncompressed(body: memoryview, offset: int, length: int) -> int:
    """What a buffer becomes: its own first eight bytes say so, and Arrow's reader holds it to that."""
    if length < _PREFIX_BYTES:
        raise malformed("a compressed buffer is shorter than its own length")
    (size,) = struct.unpack_from("<q", body, offset)
    if size == _NOT_COMPRESSED:
        return length - _PREFIX_BYTES
    if size < 0:
        raise malformed("a compressed buffer has a negative length")
    return int(size)


def _messages(body: bytes) -> Iterator[_Message]:
    data, at = memoryview(body), 0
    while at < len(data):
        if len(data) - at < _PREFIX_BYTES or bytes(data[at : at + 4]) != _CONTINUATION:
            raise malformed(f"no message begins at byte {at} (streams from before Arrow 0.15 are not taken)")
        (size,) = struct.unpack_from("<i", data, at + 4)
        at += _PREFIX_BYTES
        if size == 0:
            if at != len(data):
                raise malformed(f"{len(data) - at} bytes follow its end")
            return
        if not 0 < size <= min(MAX_METADATA_BYTES, len(data) - at) or size % _ALIGNMENT:
            raise malformed(f"the metadata before byte {at} has the length {size}")
        message, at = _message(data, at, at + size)
        yield message


def _message(data: memoryview, start: int, end: int) -> tuple[_Message, int]:
    """The message whose metadata are these bytes, and where the next one begins."""
    table = Table.root(data[start:end])
    version, kind, header = table.number(0, "<h"), table.number(1, "<B"), table.table(2)
    size = table.number(3, "<q")
    if version not in (_V4, _V5):
        raise malformed(f"its metadata version is {version + 1}; 4 and 5 are read")
    if kind not in (_SCHEMA, _DICTIONARY, _BATCH) or header is None:
        raise malformed("a message is neither a schema, a dictionary nor a batch")
    if version == _V4 and kind != _SCHEMA and table.length(4):
        raise malformed("metadata version 4 with compression of its own; version 5 has it in its format")
    if not 0 <= size <= len(data) - end:
        raise malformed(f"the message at byte {start} is cut off, or longer than what follows")
    return _Message(kind, header, data[end : end + size]), end + size
