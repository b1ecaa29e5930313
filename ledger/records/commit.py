"""Contents and persons → commitments: what the ledger does for a record that is submitted plain."""

import os
import re
from hashlib import sha256
from struct import iter_unpack
from typing import Final

import msgspec
from msgspec import UNSET

from ledger.core.entry import SALT_BYTES, check_entry_size
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.records.limits import MAX_CONTENT_BYTES, MAX_PERSON_CHARACTERS
from ledger.records.members import CONTENTS, PERSONS
from ledger.records.model import Record
from ledger.records.prepared import Disclosed, Person, PersonSalts

_COMMITMENT = re.compile(rb'\s*\{\s*"commitment"\s*:\s*"([0-9a-f]{64})"\s*\}\s*')
_LOOKS_COMMITTED = re.compile(rb'\{\s*"commitment"')
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def _pairs(paths: tuple[str, ...]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Paths by facet: (("tool", (("arguments", "tool.arguments"), …)), …)."""
    facets = dict.fromkeys(path.partition(".")[0] for path in paths)
    return tuple(
        (facet, tuple((path.partition(".")[2], path) for path in paths if path.startswith(f"{facet}.")))
        for facet in facets
    )


SALT_FORMAT: Final = f"{SALT_BYTES}s"
CONTENTS_BY_FACET: Final = _pairs(CONTENTS)
PERSONS_BY_FACET: Final = _pairs(PERSONS)


def encode_record(record: Record) -> bytes:
    """A record's canonical bytes.

    Raises:
        LedgerError: `entry-too-large`: no entry could hold them.
    """
    encoded = _encode(record)
    check_entry_size(len(encoded))
    return encoded


def commitment_hex(salt: bytes, content: bytes) -> str:
    """The commitment in 64 hex digits: `ledger.core.entry.commitment` of a salt whose length is known."""
    return sha256(b"\x02" + salt + content).hexdigest()


def check_content_size(member: str, size: int) -> None:
    """Refuse a content that is too long to keep.

    Raises:
        LedgerError: `content-too-large`.
    """
    if size > MAX_CONTENT_BYTES:
        raise LedgerError(
            Code.CONTENT_TOO_LARGE,
            f'{member} is {size} bytes; at most {MAX_CONTENT_BYTES} are kept: send {{"commitment": …}} in its place',
            path=member,
            size=size,
            limit=MAX_CONTENT_BYTES,
        )


def commit_contents(record: Record) -> tuple[tuple[Disclosed, ...], list[str]]:
    """Put commitments in the place of a record's contents.

    Returns:
        What was disclosed, and the members that the submitter keeps to itself.

    Raises:
        LedgerError: `content-too-large`, `invalid-member`.
    """
    contents: list[Disclosed] = []
    withheld: list[str] = []
    salts = iter_unpack(SALT_FORMAT, os.urandom(SALT_BYTES * len(CONTENTS)))  # one call to the kernel for all
    for facet_name, members in CONTENTS_BY_FACET:
        facet = getattr(record, facet_name)
        if facet is UNSET:
            continue
        for name, path in members:
            raw = getattr(facet, name)
            if raw is UNSET:
                continue
            value = bytes(raw)
            committed = _committed(value, path)
            if committed is None:
                if len(value) > MAX_CONTENT_BYTES:
                    check_content_size(path, len(value))
                (salt,) = next(salts)
                contents.append(Disclosed(path, salt, value))
                committed = sha256(b"\x02" + salt + value).hexdigest()
            else:
                withheld.append(path)
            setattr(facet, name, committed)
    return tuple(contents), withheld


def looks_committed(value: bytes) -> bool:
    """Whether this, in a content's place, is meant as the commitment of a content that the submitter keeps."""
    return value[:1] == b"{" and _LOOKS_COMMITTED.match(value) is not None


def _committed(value: bytes, path: str) -> str | None:
    """The commitment, where the submitter keeps the content to itself."""
    if not looks_committed(value):
        return None
    match = _COMMITMENT.fullmatch(value)
    if match is None:
        raise FormatError(
            Code.INVALID_MEMBER,
            f'{path}: a withheld content is {{"commitment": "<64 lower-case hex digits>"}}',
            path=path,
        )
    return match[1].decode()


def commit_persons(record: Record, persons: PersonSalts, withheld: list[str]) -> tuple[Person, ...]:
    """Put commitments in the place of a record's persons; `withheld` is added to.

    Raises:
        FormatError: `invalid-member`.
    """
    named: list[Person] = []
    for facet_name, members in PERSONS_BY_FACET:
        facet = getattr(record, facet_name)
        if facet is UNSET:
            continue
        for name, path in members:
            raw = getattr(facet, name)
            if raw is UNSET:
                continue
            value = bytes(raw)
            committed = _committed(value, path)
            if committed is None:
                person = persons.person(person_value(value, path))
                named.append(person)
                committed = person.commitment
            else:
                withheld.append(path)
            setattr(facet, name, committed)
    return tuple(named)


def person_value(value: bytes, path: str) -> bytes:
    """Canonical JSON of a person's identifier, so that equal persons are equal bytes."""
    try:
        text = _decode_text(value)
    except msgspec.ValidationError:
        raise FormatError(Code.INVALID_MEMBER, f"{path}: a person is named by a text", path=path) from None
    if not 0 < len(text) <= MAX_PERSON_CHARACTERS:
        raise FormatError(Code.INVALID_MEMBER, f"{path}: 1 to {MAX_PERSON_CHARACTERS} characters", path=path)
    return _encode(text)
