"""A record the agent sealed: commitments made and signed by itself, and what it discloses of them."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ledger.core import ed25519
from ledger.core.entry import record_signing_input
from ledger.core.errors import Code, FormatError, LedgerError, VerificationError
from ledger.core.text import parse_base64
from ledger.records.check import check_record, decode_record
from ledger.records.commit import (
    CONTENTS_BY_FACET,
    PERSONS_BY_FACET,
    check_content_size,
    commitment_hex,
    encode_record,
    person_value,
)
from ledger.records.members import CONTENTS, PERSONS, nearest
from ledger.records.model import HEX_32, Name, Record
from ledger.records.prepared import Disclosed, Person, Prepared
from ledger.records.secrets import refuse_secrets
from ledger.records.strict import refusal


class Signature(Struct, forbid_unknown_fields=True):
    """An agent's own signature over the record's canonical bytes."""

    key: Name
    sig: Name


class Disclosure(Struct, forbid_unknown_fields=True):
    """A content or person that the submitter shows to the ledger."""

    member: Name
    salt: Annotated[str, Meta(pattern=HEX_32)]
    value: Annotated[Raw, Meta(extra_json_schema={"$comment": "any JSON value"})]


class Sealed(Struct, forbid_unknown_fields=True):
    """A record with commitments already in it, and what the submitter chooses to disclose."""

    record: Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
    signature: Signature | UnsetType = UNSET
    disclosures: list[Disclosure] | UnsetType = UNSET


_COMMITTED: Final = frozenset(CONTENTS + PERSONS)
_HEX = re.compile(rb'"([0-9a-f]{64})"')
_decode_sealed = msgspec.json.Decoder(Sealed).decode


def prepare_sealed(
    data: bytes,
    submitter: str,
    origin: str,
    agent_key: Callable[[str], bytes | None],
    *,
    require_facets: bool,
) -> Prepared:
    """As `ledger.records.prepare.prepare`, for what an agent sealed.

    Raises:
        LedgerError: the record, its signature or a disclosure does not fit.
    """
    try:
        sealed = _decode_sealed(data)
    except msgspec.ValidationError as error:
        raise refusal(error) from None
    record = decode_record(sealed.record)
    check_record(record, require_facets=require_facets)
    if record.id is UNSET:
        raise FormatError(Code.MISSING_MEMBER, "record.id is required in a sealed record", path="record.id")
    commitments = _commitments(record)
    encoded = encode_record(record)
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
    for facet_name, members in CONTENTS_BY_FACET + PERSONS_BY_FACET:
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
        value = person_value(value, path)
    else:
        check_content_size(member, len(value))
    if commitment_hex(salt, value) != commitments[member]:
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
