"""The ledger's own dialect: one record, an array of records, or NDJSON. Splits a body, changes no byte of a record."""

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, UnsetType
from msgspec.structs import astuple

from ledger.core.errors import Code, FormatError, LedgerError
from ledger.records.limits import BODY_RECORDS
from ledger.records.strict import strict

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
MEDIA_TYPES: Final = (JSON, NDJSON, "application/jsonl", "application/ndjson")

_JSON_SPACE = b" \t\r\n"
_LINES: Final = 2 * BODY_RECORDS  # empty ones included


def read_records(body: bytes, media_type: str) -> tuple[list[bytes], bool]:
    """The records of a body, each as the bytes it was sent as, and whether the body was a batch.

    Args:
        body: decompressed.
        media_type: lower case, without parameters.

    Raises:
        LedgerError: `unsupported-media-type`, `malformed-json`, or `too-many-records`. What is wrong with one
            record of a batch is for `prepare` to say.
    """
    if media_type == JSON:
        return _read_json(body)
    if media_type in MEDIA_TYPES:
        if body.count(b"\n") > _LINES:
            raise _too_many()
        return _bounded([line for line in body.split(b"\n") if line.strip(_JSON_SPACE)]), True
    raise LedgerError(
        Code.UNSUPPORTED_MEDIA_TYPE,
        f"records are sent as {JSON} (one object, or an array), {NDJSON} (one object a line) "
        f"or application/vnd.apache.arrow.stream, not as {media_type!a}",
    )


def _read_json(body: bytes) -> tuple[list[bytes], bool]:
    if body.lstrip(_JSON_SPACE)[:1] != b"[":
        return [body], False
    try:
        return _bounded([bytes(raw) for raw in astuple(_array()(body)) if raw is not UNSET]), True
    except msgspec.ValidationError:
        raise _too_many() from None
    except (msgspec.DecodeError, RecursionError) as error:
        strict(body)  # says where, when it is not JSON at all
        raise FormatError(Code.MALFORMED_JSON, f"not an array of records: {error}") from None


@cache
def _array() -> Callable[[bytes], Any]:
    """Splits an array of at most BODY_RECORDS elements. A list would be made to its end, 2 GB of it, before it could be counted."""
    fields = [(f"r{number}", Raw | UnsetType, UNSET) for number in range(BODY_RECORDS)]
    array = msgspec.defstruct("Array", fields, array_like=True, forbid_unknown_fields=True)
    return msgspec.json.Decoder(array).decode


def _bounded(records: list[bytes]) -> list[bytes]:
    if not records:
        raise LedgerError(Code.MALFORMED_JSON, "the body holds no record")
    if len(records) > BODY_RECORDS:
        raise _too_many()
    return records


def _too_many() -> LedgerError:
    return LedgerError(
        Code.TOO_MANY_RECORDS,
        f"more than {BODY_RECORDS} records in one request: send them in several",
        limit=BODY_RECORDS,
    )
