"""Records from files and from the command line, as the bytes they are."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec

from ledger.cli.exits import CommandError

_whole = msgspec.json.Decoder(msgspec.Raw)
_array = msgspec.json.Decoder(list[msgspec.Raw])


def records_in(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """The records of a file: one JSON object, an array of them, or NDJSON; which of these, its beginning tells.

    Records are cut apart and not read: whether each is a good one is for the ledger to say.

    Args:
        stream: the file.
        name: what to call it in an error.

    Raises:
        CommandError: it is an array that does not parse.
    """
    first = b""
    while not first.strip():
        first = stream.readline()
        if not first:
            return
    if first.lstrip().startswith(b"{") and _is_whole(first):
        yield first.strip()
        yield from (line.strip() for line in stream if line.strip())
        return
    text = (first + stream.read()).strip()
    if not text.startswith(b"["):
        yield text
        return
    try:
        yield from map(bytes, _array.decode(text))
    except msgspec.DecodeError as error:
        raise CommandError(f"{name}: not a JSON array: {error}") from None


def _is_whole(line: bytes) -> bool:
    try:
        _whole.decode(line)
    except msgspec.DecodeError:
        return False
    return True


def record_of(fields: Iterable[str]) -> bytes:
    """A record from `PATH=TEXT` and `PATH:=JSON`; without a type it is an action, without a time it is now.

    Raises:
        CommandError: a field is neither, or contradicts another.
    """
    record: dict[str, Any] = {}
    for field in fields:
        path, value = parse_assignment(field, "--field")
        _set(record, path.split("."), value, path)
    record.setdefault("type", "action")
    record.setdefault("time", datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    return json.dumps(record, ensure_ascii=False).encode()


def places_and_ids(which: Iterable[str], *, by_id: bool) -> dict[str, Any]:
    """Entries as a request names them, `seqs` and `ids`: a number is an entry's place, unless all are ids."""
    named = list(which)
    places = [] if by_id else [each for each in named if each.isascii() and each.isdecimal()]
    return {"seqs": [int(each) for each in places], "ids": [each for each in named if each not in places]}


def parse_assignment(text: str, option: str) -> tuple[str, Any]:
    """A name and its value: `NAME=TEXT`, or `NAME:=JSON`.

    Raises:
        CommandError: it is neither.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise CommandError(f"{option} {text}: write it NAME=TEXT, or NAME:=JSON")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], json.loads(value)
    except ValueError as error:
        raise CommandError(f"{option} {text}: after := comes JSON: {error}") from None


def _set(record: dict[str, Any], names: list[str], value: Any, path: str) -> None:
    """Set a member; below `ext` the rest of the path is one name, dots and all."""
    first, *rest = names
    if not rest:
        record[first] = value
        return
    inner = record.setdefault(first, {})
    if not isinstance(inner, dict):
        raise CommandError(f"--field {path}: {first} has a value of its own already")
    _set(inner, [".".join(rest)] if first == "ext" else rest, value, path)
