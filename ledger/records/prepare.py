"""One submitted record → what the log will hold of it: canonical bytes with commitments, and what they commit to.

Two ways to submit (docs/record.md): plain, contents inline, and the ledger makes the commitments; or sealed, the
commitments made and signed by the agent, which discloses what it wants to.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from msgspec import UNSET, Raw

from ledger.core import canonical, ed25519
from ledger.core.canonical import JsonValue
from ledger.core.entry import SALT_BYTES, format_time, record_signing_input
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.text import parse_base64
from ledger.records.limits import (
    EXT_DEPTH,
    MAX_CONTENT_BYTES,
    MAX_EXT_MEMBERS,
    MAX_NAME_CHARACTERS,
    MAX_RECORD_BYTES,
)
from ledger.records.members import CONTENTS, PERSONS, nearest
from ledger.records.model import FACETS, TYPES, Disclosure, Record, Sealed
from ledger.records.secrets import refuse_secrets
from ledger.records.strict import refusal, strict

OWN_PREFIX: Final = "log."
OWN_SUBMITTER: Final = "log"

_TYPE = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_EXT_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_.:/-]+)+", re.ASCII)
_COMMITMENT = re.compile(rb'\s*\{\s*"commitment"\s*:\s*"([0-9a-f]{64})"\s*\}\s*')
_HEX = re.compile(rb'"([0-9a-f]{64})"')
_LOOKS_COMMITTED = re.compile(rb'\s*\{\s*"commitment"')

_decode_record = msgspec.json.Decoder(Record).decode
_decode_sealed = msgspec.json.Decoder(Sealed).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder(order="sorted").encode


def _pairs(paths: tuple[str, ...]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Paths by facet: (("tool", (("arguments", "tool.arguments"), …)), …)."""
    facets = dict.fromkeys(path.partition(".")[0] for path in paths)
    return tuple(
        (facet, tuple((path.partition(".")[2], path) for path in paths if path.startswith(f"{facet}.")))
        for facet in facets
    )


_CONTENTS_BY_FACET: Final = _pairs(CONTENTS)
_PERSONS_BY_FACET: Final = _pairs(PERSONS)
_COMMITTED: Final = frozenset(CONTENTS + PERSONS)


class Disclosed(NamedTuple):
    """A content the ledger holds: `value` is its JSON, byte for byte as received."""

    member: str
    salt: bytes
    value: bytes


class Person(NamedTuple):
    """A natural person's identifier.

    Attributes:
        commitment: 64 hex digits, as in the entries.
        salt: 16 bytes, one per person and log.
        value: canonical JSON of the identifier, a string.
        source: who made the salt: "log", or the submitter of a sealed record.
    """

    commitment: str
    salt: bytes
    value: bytes
    source: str


class PersonSalts(Protocol):
    """Knows the salt of each person."""

    def person(self, value: bytes) -> Person:
        """The person of this identifier (canonical JSON of a string): the same value, the same salt."""


class Prepared(NamedTuple):
    """A record ready for the sequencer.

    Attributes:
        record: its canonical bytes, contents and persons as commitments.
        contents: what was disclosed to the ledger.
        persons: likewise.
        withheld: members the ledger has only the commitment of.
        signature: key id and base64, of a sealed record.
        generated_id: the ledger made the id: a retry would be a new record.
        size_bytes: of what was submitted.
    """

    id: str
    type: str
    record: bytes
    submitter: str
    contents: tuple[Disclosed, ...]
    persons: tuple[Person, ...]
    withheld: tuple[str, ...]
    signature: tuple[str, str] | None
    generated_id: bool
    size_bytes: int


def prepare(
    data: bytes,
    *,
    submitter: str,
    persons: PersonSalts,
    origin: str,
    agent_key: Callable[[str], bytes | None],
    require_facets: bool = False,
) -> Prepared:
    """Read one submitted record, plain or sealed.

    Args:
        data: one JSON object.
        submitter: who authenticated to send it, as the entry will say.
        persons: the log's person salts.
        origin: the log's, which a seal is bound to.
        agent_key: raw Ed25519 public key of an agent's key id, None where there is none in force.
        require_facets: refuse an action in which a facet is missing and not explained in `absent`.

    Raises:
        LedgerError: what is wrong with it, with the path. Nothing was kept.
    """
    if len(data) > MAX_RECORD_BYTES:
        raise LedgerError(
            Code.RECORD_TOO_LARGE,
            f"the record is {len(data)} bytes; at most {MAX_RECORD_BYTES} are taken",
            size=len(data),
            limit=MAX_RECORD_BYTES,
        )
    value = strict(data)
    if type(value) is not dict:
        raise FormatError(Code.INVALID_MEMBER, "a record is a JSON object")
    if "record" in value:
        return _sealed(data, submitter, origin, agent_key, require_facets=require_facets)
    record = _decoded(data)
    _check(record, require_facets=require_facets)
    generated = record.id is UNSET
    if generated:
        record.id = uuid7()
    contents, withheld = _commit_contents(record)
    named = _commit_persons(record, persons, withheld)
    encoded = _encode(record)
    refuse_secrets(encoded)
    return Prepared(
        record.id,  # type: ignore[arg-type]
        record.type,
        encoded,
        submitter,
        contents,
        named,
        tuple(withheld),
        None,
        generated,
        len(data),
    )


def recommit(prepared: Prepared, salts: Mapping[str, bytes]) -> bytes:
    """The record's canonical bytes as they would be under other salts: how a second submission is compared with the first.

    Args:
        prepared: the second submission.
        salts: the first one's salt by member.
    """
    record = prepared.record
    for content in prepared.contents:
        salt = salts.get(content.member)
        if salt is not None and salt != content.salt:
            record = record.replace(
                _commitment_hex(content.salt, content.value).encode(),
                _commitment_hex(salt, content.value).encode(),
            )
    return record


def own_record(record_type: str, ext: Mapping[str, Any]) -> Prepared:
    """A record of the log's own: `log.*`, its payload in `ext` under `log.*` keys."""
    record_id = uuid7()
    record = canonical.dumps(
        {"ext": dict(ext), "id": record_id, "time": format_time(time.time_ns() // 1_000), "type": record_type}
    )
    return Prepared(record_id, record_type, record, OWN_SUBMITTER, (), (), (), None, True, len(record))


def uuid7() -> str:
    """A new UUIDv7 (RFC 9562): ordered by the millisecond it was made in."""
    random = int.from_bytes(os.urandom(10))
    value = (
        (time.time_ns() // 1_000_000 << 80)
        | (0x7 << 76)
        | (random >> 4 & 0xFFF << 64)
        | (0b10 << 62)
        | (random & (1 << 62) - 1)
    )
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


# ---- both ways


def _decoded(data: bytes | Raw) -> Record:
    try:
        return _decode_record(data)
    except msgspec.ValidationError as error:
        raise refusal(error) from None
    except msgspec.DecodeError as error:
        raise FormatError(Code.MALFORMED_JSON, f"not JSON: {error}") from None


def _check(record: Record, *, require_facets: bool) -> None:
    if record.type not in TYPES:
        _check_type(record.type)
    _check_time(record.time)
    if record.ext is not UNSET:
        record.ext = Raw(_checked_ext(record.ext))
    if require_facets and record.type == "action":
        _check_facets(record)


def _check_type(record_type: str) -> None:
    if record_type.startswith(OWN_PREFIX) or record_type == OWN_SUBMITTER:
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


def _checked_ext(ext: Raw) -> bytes:
    try:
        value = canonical.loads(bytes(ext))
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


def _commitment_hex(salt: bytes, content: bytes) -> str:
    return sha256(b"\x02" + salt + content).hexdigest()  # as ledger.core.entry.commitment


def _check_content_size(member: str, size: int) -> None:
    if size > MAX_CONTENT_BYTES:
        raise LedgerError(
            Code.CONTENT_TOO_LARGE,
            f'{member} is {size} bytes; at most {MAX_CONTENT_BYTES} are kept: send {{"commitment": …}} in its place',
            path=member,
            size=size,
            limit=MAX_CONTENT_BYTES,
        )


# ---- plain


def _commit_contents(record: Record) -> tuple[tuple[Disclosed, ...], list[str]]:
    contents: list[Disclosed] = []
    withheld: list[str] = []
    for facet_name, members in _CONTENTS_BY_FACET:
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
                _check_content_size(path, len(value))
                salt = os.urandom(SALT_BYTES)
                contents.append(Disclosed(path, salt, value))
                committed = _commitment_hex(salt, value)
            else:
                withheld.append(path)
            setattr(facet, name, committed)
    return tuple(contents), withheld


def _committed(value: bytes, path: str) -> str | None:
    """The commitment, where the submitter keeps the content to itself."""
    if not _LOOKS_COMMITTED.match(value):
        return None
    match = _COMMITMENT.fullmatch(value)
    if match is None:
        raise FormatError(
            Code.INVALID_MEMBER,
            f'{path}: a withheld content is {{"commitment": "<64 lower-case hex digits>"}}',
            path=path,
        )
    return match[1].decode()


def _commit_persons(record: Record, persons: PersonSalts, withheld: list[str]) -> tuple[Person, ...]:
    named: list[Person] = []
    for facet_name, members in _PERSONS_BY_FACET:
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
                person = persons.person(_person_value(value, path))
                named.append(person)
                committed = person.commitment
            else:
                withheld.append(path)
            setattr(facet, name, committed)
    return tuple(named)


def _person_value(value: bytes, path: str) -> bytes:
    """Canonical JSON of a person's identifier, so that equal persons are equal bytes."""
    try:
        text = _decode_text(value)
    except msgspec.ValidationError:
        raise FormatError(Code.INVALID_MEMBER, f"{path}: a person is named by a text", path=path) from None
    if not 0 < len(text) <= MAX_NAME_CHARACTERS * 4:
        raise FormatError(
            Code.INVALID_MEMBER, f"{path}: 1 to {MAX_NAME_CHARACTERS * 4} characters", path=path
        )
    return _encode(text)


# ---- sealed


def _sealed(
    data: bytes,
    submitter: str,
    origin: str,
    agent_key: Callable[[str], bytes | None],
    *,
    require_facets: bool,
) -> Prepared:
    try:
        sealed = _decode_sealed(data)
    except msgspec.ValidationError as error:
        raise refusal(error) from None
    record = _decoded(sealed.record)
    _check(record, require_facets=require_facets)
    if record.id is UNSET:
        raise FormatError(Code.MISSING_MEMBER, "record.id is required in a sealed record", path="record.id")
    commitments = _commitments(record)
    encoded = _encode(record)
    signature = None
    if sealed.signature is not UNSET:
        signature = (sealed.signature.key, sealed.signature.sig)
        _check_signature(signature, record_signing_input(origin, encoded), agent_key)
    refuse_secrets(encoded)
    contents: list[Disclosed] = []
    named: list[Person] = []
    source = signature[0] if signature else submitter
    for disclosure in sealed.disclosures or ():
        salt, value = _opened(disclosure, commitments)
        if disclosure.member in PERSONS:
            named.append(Person(commitments[disclosure.member], salt, value, source))
        else:
            contents.append(Disclosed(disclosure.member, salt, value))
        del commitments[disclosure.member]
    return Prepared(
        record.id,
        record.type,
        encoded,
        submitter,
        tuple(contents),
        tuple(named),
        tuple(commitments),
        signature,
        False,
        len(data),
    )


def _commitments(record: Record) -> dict[str, str]:
    """What a sealed record commits to, by member; the record's contents become plain text on the way."""
    found: dict[str, str] = {}
    for facet_name, members in _CONTENTS_BY_FACET + _PERSONS_BY_FACET:
        facet = getattr(record, facet_name)
        if facet is UNSET:
            continue
        for name, path in members:
            raw = getattr(facet, name)
            if isinstance(raw, Raw):
                match = _HEX.fullmatch(bytes(raw).strip())
                if match is None:
                    raise FormatError(
                        Code.INVALID_MEMBER,
                        f"record.{path}: in a sealed record it is its commitment, 64 lower-case hex digits",
                        path=f"record.{path}",
                    )
                found[path] = match[1].decode()
                setattr(facet, name, found[path])
    return found


def _opened(disclosure: Disclosure, commitments: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Salt and value of a disclosure that matches its commitment.

    Raises:
        LedgerError: `unknown-member`, `content-too-large`, or `commitment-mismatch`.
    """
    member, salt, value = disclosure.member, bytes.fromhex(disclosure.salt), bytes(disclosure.value)
    path = f"disclosures.{member}"
    if member not in commitments:
        near = nearest(member) if member not in _COMMITTED else None
        hint = f"; did you mean {near}?" if near else ", or is disclosed twice"
        raise FormatError(Code.UNKNOWN_MEMBER, f"{member} is not committed to in the record{hint}", path=path)
    if member in PERSONS:
        value = _person_value(value, path)
    else:
        _check_content_size(member, len(value))
    if _commitment_hex(salt, value) != commitments[member]:
        raise VerificationError(
            Code.COMMITMENT_MISMATCH,
            f"the disclosure of {member} does not match its commitment in the record",
            path=path,
        )
    return salt, value


def _check_signature(
    signature: tuple[str, str], message: bytes, agent_key: Callable[[str], bytes | None]
) -> None:
    key_id, text = signature
    public = agent_key(key_id)
    if public is None:
        raise LedgerError(
            Code.UNKNOWN_KEY, f"no agent key {key_id!a} is in force in this log", path="signature.key"
        )
    try:
        ed25519.verify(public, message, parse_base64(text))
    except ValueError:
        raise FormatError(
            Code.INVALID_SIGNATURE, "signature.sig is not base64", path="signature.sig"
        ) from None
    except VerificationError:
        raise VerificationError(
            Code.INVALID_SIGNATURE,
            "the signature does not hold: it covers the canonical bytes of record, bound to this log's origin",
            path="signature.sig",
        ) from None
