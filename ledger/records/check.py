"""What holds of every record, plain or sealed, beyond the types of its members."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ledger.core import canonical
from ledger.core.canonical import JsonValue
from ledger.core.entry import MAX_ENTRY_BYTES, OWN_PREFIX
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.records.limits import EXT_DEPTH, MAX_EXT_BYTES, MAX_EXT_MEMBERS, MAX_NAME_CHARACTERS
from ledger.records.model import FACETS, TYPES, Record
from ledger.records.strict import refusal

RESERVED_ID = "ledger:"  # ids that begin so are made by the ledger for what arrives in another format

_TYPE = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_EXT_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_.:/-]+)+", re.ASCII)
_decode_record = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def decode_record(data: bytes | Raw) -> Record:
    """A record with its members' types checked, contents as they were sent.

    Raises:
        FormatError: the first member that does not fit.
    """
    try:
        return _decode_record(data)
    except msgspec.ValidationError as error:
        raise refusal(error) from None
    except msgspec.DecodeError as error:
        raise FormatError(Code.MALFORMED_JSON, f"not JSON: {error}") from None


def check_record(record: Record, *, require_facets: bool, reserved_ids: bool = False) -> None:
    """Check type, time, id and facets, and put `ext` into canonical form.

    Raises:
        LedgerError: with the path.
    """
    if record.id is not UNSET and not reserved_ids and record.id.startswith(RESERVED_ID):
        raise FormatError(
            Code.RESERVED_NAME, f"id: ids that begin with {RESERVED_ID} are made by the ledger", path="id"
        )
    if record.type not in TYPES:
        _check_type(record.type)
    _check_time(record.time)
    if record.ext is not UNSET:
        record.ext = Raw(checked_ext(record.ext))
    if require_facets and record.type == "action":
        _check_facets(record)


def _check_type(record_type: str) -> None:
    if record_type.startswith(OWN_PREFIX):
        raise FormatError(Code.RESERVED_NAME, f"type: {record_type} is the ledger's own", path="type")
    if not _TYPE.fullmatch(record_type):
        raise FormatError(
            Code.INVALID_MEMBER,
            f"type: {record_type!a} is neither one of {', '.join(sorted(TYPES))} nor a dotted name",
            path="type",
        )


def _check_time(text: str) -> None:
    try:
        if _TIME.fullmatch(text):
            datetime.fromisoformat(text)
            return
    except ValueError:
        pass
    raise FormatError(
        Code.INVALID_MEMBER,
        f"time: {text[:MAX_NAME_CHARACTERS]!a} is not a UTC time like 2026-11-21T09:30:00.123Z (RFC 3339)",
        path="time",
    )


def canonical_member(path: str, data: bytes) -> bytes:
    """The canonical JSON of one list or object of a record (`tool.facts`, `absent`, `ext`), checked as in a record.

    Args:
        path: which member.
        data: its JSON, which `strict` has read.

    Raises:
        LedgerError: it does not fit, with the path within its facet.
    """
    facet, _, name = path.rpartition(".")
    if path == "ext":
        return checked_ext(Raw(data))
    around = b'{"%b":%b}' if facet else b'{"type":"note","time":"","%b":%b}'
    try:
        read = _decoder(facet)(around % (name.encode(), data))
    except msgspec.ValidationError as error:
        raise refusal(error) from None
    return _encode(getattr(read, name))


@cache
def _decoder(facet: str) -> Callable[[bytes], Any]:
    """Reads a facet alone, or a record where it is ""."""
    if not facet:
        return _decode_record
    kind = get_type_hints(Record)[facet]
    return msgspec.json.Decoder(next(part for part in get_args(kind) if part is not UnsetType)).decode


def checked_ext(ext: Raw) -> bytes:
    """`ext` in canonical form.

    Raises:
        LedgerError: with the path.
    """
    data = bytes(ext)
    if len(data) > MAX_EXT_BYTES:
        raise LedgerError(
            Code.ENTRY_TOO_LARGE,
            f"ext is {len(data)} bytes: it stays in the entry, which has {MAX_ENTRY_BYTES}: move what is long into contents",
            path="ext",
            size=len(data),
            limit=MAX_EXT_BYTES,
        )
    try:
        value = canonical.loads(data)
    except FormatError as error:
        path = f"ext.{error.path}" if error.path else "ext"
        raise FormatError(error.code, f"in ext: {error.detail}", path=path) from None
    if type(value) is not dict or not value or len(value) > MAX_EXT_MEMBERS:
        raise FormatError(
            Code.INVALID_MEMBER, f"ext: an object with 1 to {MAX_EXT_MEMBERS} members", path="ext"
        )
    for name in value:
        if name.startswith(OWN_PREFIX):
            raise FormatError(
                Code.RESERVED_NAME, f"ext.{name}: names in log. are the ledger's own", path=f"ext.{name}"
            )
        if not _EXT_NAME.fullmatch(name):
            raise FormatError(
                Code.INVALID_MEMBER,
                f"ext.{name}: a name says whose it is, like com.example.{name}",
                path=f"ext.{name}",
            )
    _check_depth(value)
    return canonical.dumps(value)


def _check_depth(value: JsonValue) -> None:
    level: list[JsonValue] = [value]
    for _ in range(EXT_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    if any(isinstance(item, dict | list) for item in level):
        raise FormatError(
            Code.TOO_DEEP, f"ext: nested deeper than {EXT_DEPTH} objects and arrays", path="ext"
        )


def _check_facets(record: Record) -> None:
    for facet in FACETS:
        if getattr(record, facet) is UNSET and (record.absent is UNSET or facet not in record.absent):  # type: ignore[operator]
            raise FormatError(
                Code.FACET_MISSING,
                f"{facet} is missing: this ledger takes an action only with all five facets, or with the reason in absent.{facet}",
                path=facet,
            )
