"""One submitted record → what the log will hold of it: canonical bytes with commitments, and what they commit to.

Two ways to submit (docs/record.md): plain, contents inline, and the ledger makes the commitments; or sealed, the
commitments made and signed by the agent, which discloses what it wants to.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from ledger.core import canonical
from ledger.core.entry import OWN_SUBMITTER, SALT_BYTES, format_time
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.records.check import check_record, decode_record
from ledger.records.commit import commit_contents, commit_persons, commitment_hex, encode_record
from ledger.records.limits import MAX_RECORD_BYTES
from ledger.records.prepared import Disclosed, PersonSalts, Prepared
from ledger.records.sealed import prepare_sealed
from ledger.records.secrets import refuse_secrets
from ledger.records.strict import strict


def prepare(
    data: bytes,
    *,
    submitter: str,
    persons: PersonSalts,
    origin: str,
    agent_key: Callable[[str], bytes | None],
    require_facets: bool = False,
    reserved_ids: bool = False,
) -> Prepared:
    """Read one submitted record, plain or sealed.

    Args:
        data: one JSON object.
        submitter: who authenticated to send it, as the entry will say.
        persons: the log's person salts.
        origin: the log's, which a seal is bound to.
        agent_key: raw Ed25519 public key of an agent's key id, None where there is none in force.
        require_facets: refuse an action in which a facet is missing and not explained in `absent`.
        reserved_ids: the record was made by one of the ledger's dialects, which alone give ids that begin with `ledger:`.

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
        return prepare_sealed(data, submitter, origin, agent_key, require_facets=require_facets)
    record = decode_record(data)
    check_record(record, require_facets=require_facets, reserved_ids=reserved_ids)
    generated = record.id is UNSET
    if generated:
        record.id = uuid7()
    contents, withheld = commit_contents(record)
    named = commit_persons(record, persons, withheld)
    encoded = encode_record(record)
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
                commitment_hex(content.salt, content.value).encode(),
                commitment_hex(salt, content.value).encode(),
            )
    return record


def own_record(
    record_type: str,
    ext: Mapping[str, Any],
    *,
    record_id: str | None = None,
    at: str | None = None,
    request_text: bytes | None = None,
) -> Prepared:
    """A record of the log's own: `log.*`, its payload in `ext` under `log.*` keys.

    Args:
        record_type: its type.
        ext: its payload: facts.
        record_id: an id that is the same when the same is said again, with the same `at`; a new one when None.
        at: when it happened, RFC 3339; now when None.
        request_text: what somebody said in his own words, as JSON: a content, which may be erased.
    """
    record_id, at = record_id or uuid7(), at or format_time(time.time_ns() // 1_000)
    members: dict[str, Any] = {"ext": dict(ext), "id": record_id, "time": at, "type": record_type}
    contents: tuple[Disclosed, ...] = ()
    if request_text is not None:
        content = Disclosed("request.text", os.urandom(SALT_BYTES), request_text)
        contents = (content,)
        members["request"] = {"text": commitment_hex(content.salt, content.value)}
    record = canonical.dumps(members)
    size_bytes = len(record) + len(request_text or b"")
    return Prepared(record_id, record_type, record, OWN_SUBMITTER, contents, (), (), None, True, size_bytes)


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
