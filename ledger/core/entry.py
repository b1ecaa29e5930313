"""Entries: the leaves of the log (docs/format.md, "Entry" and "Content and commitments").

{"prev":"<64 hex>","record":{…},"recorded_at":"2026-11-21T09:30:00.123456Z","seq":17,"submitter":"key:gw-eu-1","v":1}
"""

import json
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from ledger.core import canonical
from ledger.core.canonical import JsonValue
from ledger.core.ed25519 import SIGNATURE_BYTES
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.merkle import HASH_BYTES
from ledger.core.note import RECORD_PREFIX
from ledger.core.text import parse_base64

FORMAT_VERSION = 1
GENESIS_PREV = bytes(HASH_BYTES)
MAX_ENTRY_BYTES = 65_535
SALT_BYTES = 16
OWN_SUBMITTER = "log"
OWN_PREFIX = "log."  # of the types, and of the names in `ext`, that are the log's own

_GENESIS_HEX = GENESIS_PREV.hex()
_MEMBERS = frozenset({"prev", "record", "recorded_at", "seq", "submitter", "v"})
_SIGNED_MEMBERS = _MEMBERS | {"signature"}
_PREV = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RECORD_START = len(f'{{"prev":"{_GENESIS_HEX}","record":')


class Entry(NamedTuple):
    """An entry whose bytes are what the format says.

    Attributes:
        seq: its index in the log.
        prev: the leaf hash of the entry before, 32 bytes; zeros for entry 0.
        recorded_at: the log's clock, `2026-11-21T09:30:00.123456Z`. As text, such times are ordered as in time.
        submitter: who authenticated to write it.
        signature: the submitter's key id and its base64 signature over `record_signing_input`, or None.
        record: the record's canonical bytes.
        members: the record's members, parsed.
    """

    seq: int
    prev: bytes
    recorded_at: str
    submitter: str
    signature: tuple[str, str] | None
    record: bytes
    members: dict[str, JsonValue]


def format_entry(
    *,
    prev: bytes,
    record: bytes,
    recorded_at: str,
    seq: int,
    submitter: str,
    signature: tuple[str, str] | None = None,
) -> bytes:
    """The canonical bytes of an entry, put together around a record that is canonical already.

    Raises:
        LedgerError: `entry-too-large`, with the size, when it does not fit an entry bundle.
    """
    signed = (
        f'"signature":{{"key":{_quoted(signature[0])},"sig":{_quoted(signature[1])}}},'
        if signature is not None
        else ""
    )
    entry = b'{"prev":"%b","record":%b,"recorded_at":"%b","seq":%d,%b"submitter":%b,"v":1}' % (
        prev.hex().encode(),
        record,
        recorded_at.encode(),
        seq,
        signed.encode(),
        _quoted(submitter).encode(),
    )
    check_entry_size(len(entry))
    return entry


def check_entry_size(size: int) -> None:
    """Refuse an entry that no bundle could hold.

    Raises:
        LedgerError: `entry-too-large`.
    """
    if size > MAX_ENTRY_BYTES:
        raise LedgerError(
            Code.ENTRY_TOO_LARGE,
            f"the entry would be {size} bytes, and the format ends at {MAX_ENTRY_BYTES}: "
            "move what is long from facts into contents",
            size=size,
            limit=MAX_ENTRY_BYTES,
        )


def parse_entry(data: bytes) -> Entry:
    """Read an entry and check everything the format says of one entry alone.

    That `prev`, `seq` and `recorded_at` continue the entry before, and that the signature holds, needs more than the
    entry: see `ledger.core.verify`.

    Raises:
        FormatError: the bytes are not an entry of this format.
    """
    if len(data) > MAX_ENTRY_BYTES:
        raise _malformed(f"it is {len(data)} bytes, and the format ends at {MAX_ENTRY_BYTES}")
    value = canonical.parse_canonical(data)
    if type(value) is not dict or (value.keys() != _MEMBERS and value.keys() != _SIGNED_MEMBERS):
        raise _malformed(
            "its members are not prev, record, recorded_at, seq, submitter, v, and at most signature"
        )
    prev, members, seq, submitter = value["prev"], value["record"], value["seq"], value["submitter"]
    if type(value["v"]) is not int or value["v"] != FORMAT_VERSION:
        raise _malformed(f"this release reads version {FORMAT_VERSION}", "v")
    if type(seq) is not int or seq < 0:
        raise _malformed("it is an integer from 0", "seq")
    if type(prev) is not str or not _PREV.fullmatch(prev) or (seq == 0) != (prev == _GENESIS_HEX):
        raise _malformed("it is 64 lower-case hex digits, zeros for entry 0 and for no other", "prev")
    if type(submitter) is not str or not submitter:
        raise _malformed("it is text, not empty", "submitter")
    if type(members) is not dict:
        raise _malformed("it is an object", "record")
    return Entry(
        seq,
        bytes.fromhex(prev),
        _checked_time(value["recorded_at"]),
        submitter,
        _checked_signature(value["signature"]) if "signature" in value else None,
        # Quotes inside strings are escaped, so this is a key of an object, and the last such key is the entry's own.
        data[_RECORD_START : data.rindex(b',"recorded_at":"')],
        members,
    )


def _checked_time(value: JsonValue) -> str:
    if type(value) is not str:
        raise _malformed("it is text", "recorded_at")
    parse_time(value)
    return value


def _checked_signature(value: JsonValue) -> tuple[str, str]:
    if type(value) is not dict or value.keys() != {"key", "sig"}:
        raise _malformed("its members are key and sig", "signature")
    key, signature = value["key"], value["sig"]
    if type(key) is not str or not key:
        raise _malformed("it is text, not empty", "signature.key")
    try:
        if type(signature) is str and len(parse_base64(signature)) == SIGNATURE_BYTES:
            return key, signature
    except ValueError:
        pass
    raise _malformed(f"it is {SIGNATURE_BYTES} bytes in base64", "signature.sig")


def record_signing_input(origin: str, record: bytes) -> bytes:
    """What an agent signs: the record's canonical bytes after a prefix that binds them to one log."""
    return f"{RECORD_PREFIX}{origin}\n".encode() + record


def commitment(salt: bytes, content: bytes) -> bytes:
    """SHA-256(0x02 ‖ salt ‖ content): 32 bytes that stand for a content in its entry.

    Raises:
        LedgerError: `invalid-member`, when the salt is not 16 bytes.
    """
    if len(salt) != SALT_BYTES:
        raise LedgerError(Code.INVALID_MEMBER, f"a salt is {SALT_BYTES} bytes, not {len(salt)}")
    return sha256(b"\x02" + salt + content).digest()


def format_time(unix_us: int) -> str:
    """`2026-11-21T09:30:00.123456Z` for microseconds since 1970, UTC."""
    return (_EPOCH + timedelta(microseconds=unix_us)).isoformat(timespec="microseconds")[:-6] + "Z"


@lru_cache(maxsize=64)  # all entries of a group commit have the same
def parse_time(text: str) -> int:
    """Microseconds since 1970 of a `recorded_at`.

    Raises:
        FormatError: it is not a time, or not in exactly this shape.
    """
    try:
        if _TIME.fullmatch(text):
            return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except ValueError:
        pass
    raise _malformed("it is a UTC time like 2026-11-21T09:30:00.123456Z", "recorded_at")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _malformed(detail: str, path: str | None = None) -> FormatError:
    where = f"the entry's {path}" if path else "not an entry"
    return FormatError(Code.MALFORMED_ENTRY, f"{where}: {detail}", path=path)
