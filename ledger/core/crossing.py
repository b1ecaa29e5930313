"""Calls between two organisations' logs: what one side's entry says, for the other side to keep (docs/federation.md).

Three types of records, each with what both sides know in `ext`, and nothing else, because the other side gets the entry:

    call.sent        on the caller's side, before the call goes: call.id, call.peer (the other log's origin), call.message (a commitment)
    call.received    where it arrives, before it is obeyed:      the same; call.receipt: verified, none or refused, with call.problem;
                                                                 call.entry_seq and call.entry_leaf: the caller's entry, where that is verified
    call.confirmed   on the caller's side, after the answer:     the same of the other side's entry

Along with the call, and with its answer, goes one text: base64url of JSON with `call`, `log` (whose it is), `salt`, and `receipt`, a tlog-proof with the entry
in its extra line. All of it is a claim of a stranger until the receipt holds under the key of a peer.
"""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from ledger.core.entry import SALT_BYTES, parse_entry
from ledger.core.errors import Code, FormatError, VerificationError
from ledger.core.merkle import leaf_hash, verify_inclusion
from ledger.core.peerkeys import Known, open_known
from ledger.core.receipt import parse_receipt

SENT: Final = "call.sent"
RECEIVED: Final = "call.received"
CONFIRMED: Final = "call.confirmed"
MAX_RECEIPT_BYTES: Final = 16 * 1024
MAX_TOLD_CHARACTERS: Final = 24 * 1024
MAX_ORIGIN_CHARACTERS: Final = 500

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SALT: Final = re.compile(rf"[0-9a-f]{{{2 * SALT_BYTES}}}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}", re.ASCII)


class Doubt(StrEnum):
    """Why what the other side showed is not believed, where it is not a `Code` of its receipt."""

    MALFORMED = "malformed"  # it is none of our texts
    ANOTHER_TYPE = "another-type"  # an entry of theirs, and not the one that this call needs
    ANOTHER_LOG = "another-log"  # of a peer, and not of the one that was called
    ANOTHER_PEER = "another-peer"  # it names somebody else than us
    ANOTHER_CALL = "another-call"
    ANOTHER_MESSAGE = "another-message"  # what arrived is not what they recorded
    ANOTHER_ENTRY = "another-entry"  # it names another entry of ours than the one of this call
    REPLAYED = "replayed"  # the same call came before


@dataclass(frozen=True, slots=True)
class Told:
    """What comes with a call or an answer, taken apart and believed in nothing.

    Attributes:
        call: the call's id, 32 hex digits.
        log: whose it says it is: an origin.
        salt: of the commitment to the message, 16 bytes; None in an answer.
        receipt: of the entry; None where there is none yet.
    """

    call: str
    log: str
    salt: bytes | None = None
    receipt: bytes | None = None


class EntryName(NamedTuple):
    """An entry of a log, by its place and its leaf hash in hex."""

    seq: int
    leaf: str


class Said(NamedTuple):
    """What a peer's log says of a call, once its receipt held.

    Attributes:
        type: `call.sent` or `call.received`.
        call: the call's id.
        log: the peer's origin.
        entry: the peer's entry.
        recorded_at: when, by the peer's clock.
        peer: whom that entry names as the other side.
        message: the commitment to the message, 64 hex digits; None where it has none.
        names: the entry of the other side that it names, None where it names none.
    """

    type: str
    call: str
    log: str
    entry: EntryName
    recorded_at: str
    peer: str
    message: str | None
    names: EntryName | None


class Expected(NamedTuple):
    """What the other side's entry must say for a call. None is: not known here, whatever it says."""

    type: str
    call: str
    peer: str
    log: str | None = None
    message: str | None = None
    names: EntryName | None = None


def format_told(told: Told) -> str:
    """The text that `parse_told` reads."""
    members = {"call": told.call, "log": told.log}
    if told.salt is not None:
        members["salt"] = told.salt.hex()
    if told.receipt is not None:
        members["receipt"] = told.receipt.decode()
    return base64.urlsafe_b64encode(json.dumps(members, separators=(",", ":")).encode()).decode()


def parse_told(text: str) -> Told:
    """Read what came with a call or an answer.

    Raises:
        FormatError: it is nothing of the kind.
    """
    if len(text) > MAX_TOLD_CHARACTERS or not _BASE64URL.fullmatch(text):
        raise _malformed(f"it is base64url of at most {MAX_TOLD_CHARACTERS} characters")
    try:
        value = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, RecursionError):
        raise _malformed("it holds no JSON") from None
    match value:
        case {"call": str(call), "log": str(log)} if _ID.fullmatch(call) and _is_origin(log):
            salt, receipt = value.get("salt"), value.get("receipt")
            if salt is not None and not (isinstance(salt, str) and _SALT.fullmatch(salt)):
                raise _malformed(f"its salt is {SALT_BYTES} bytes in hex")
            return Told(call, log, bytes.fromhex(salt) if salt is not None else None, _receipt(receipt))
    raise _malformed("its members are call, log, salt and receipt")


def _receipt(value: object) -> bytes | None:
    try:
        if value is None or isinstance(value, str):
            return value.encode() if value is not None else None
    except UnicodeEncodeError:
        pass
    raise _malformed("its receipt is a text")


def _is_origin(text: str) -> bool:
    return 0 < len(text) <= MAX_ORIGIN_CHARACTERS and text.isprintable()


def open_said(receipt: bytes, keys: Iterable[Known]) -> Said:
    """What a peer's log says of a call, by a receipt with its entry.

    Args:
        receipt: a tlog-proof with the entry's bytes in its extra line.
        keys: of the peers: nobody else is believed, and a key for nothing but its own entries.

    Raises:
        FormatError: it is no such receipt, or its entry is none of a call.
        VerificationError: it does not hold under a key of the log it is of.
    """
    if len(receipt) > MAX_RECEIPT_BYTES:
        raise FormatError(Code.MALFORMED_RECEIPT, f"it is longer than {MAX_RECEIPT_BYTES} bytes")
    parsed = parse_receipt(receipt)
    if parsed.extra is None:
        raise FormatError(Code.MALFORMED_RECEIPT, "it carries no entry")
    checkpoint = open_known(parsed.checkpoint_note, keys)
    leaf = leaf_hash(parsed.extra)
    verify_inclusion(leaf, parsed.index, checkpoint.size, parsed.proof, checkpoint.root)
    entry = parse_entry(parsed.extra)
    if entry.seq != parsed.index:
        raise VerificationError(
            Code.INVALID_PROOF, f"its entry says seq {entry.seq}, and the proof is of {parsed.index}"
        )
    told = said_of(entry.members)
    if told is None:
        raise FormatError(Code.MALFORMED_ENTRY, f"entry {entry.seq} of {checkpoint.origin} is none of a call")
    name = EntryName(entry.seq, leaf.hex())
    return told._replace(log=checkpoint.origin, entry=name, recorded_at=entry.recorded_at)


def said_of(record: dict[str, Any]) -> Said | None:
    """What a record says of a call, without whose it is; None where it says nothing."""
    kind, ext = record.get("type"), record.get("ext")
    if kind not in {SENT, RECEIVED, CONFIRMED} or not isinstance(ext, dict):
        return None
    call, peer, message = ext.get("call.id"), ext.get("call.peer", ""), ext.get("call.message")
    if not (isinstance(call, str) and _ID.fullmatch(call) and isinstance(peer, str)):
        return None
    if message is not None and not (isinstance(message, str) and _HASH.fullmatch(message)):
        return None
    return Said(str(kind), call, "", EntryName(-1, ""), "", peer, message, _named(ext))


def _named(ext: dict[str, Any]) -> EntryName | None:
    seq, leaf = ext.get("call.entry_seq"), ext.get("call.entry_leaf")
    if type(seq) is int and isinstance(leaf, str) and _HASH.fullmatch(leaf):
        return EntryName(seq, leaf)
    return None


def doubt(said: Said, expected: Expected) -> Doubt | None:
    """Why a statement that holds is not the one of this call, None where it is."""
    known = expected.names if said.names is not None else None  # it may not have had our receipt
    checks = (
        (said.type == expected.type, Doubt.ANOTHER_TYPE),
        (expected.log in {None, said.log}, Doubt.ANOTHER_LOG),
        (said.peer == expected.peer, Doubt.ANOTHER_PEER),
        (said.call == expected.call, Doubt.ANOTHER_CALL),
        (expected.message in {None, said.message}, Doubt.ANOTHER_MESSAGE),
        (known in {None, said.names}, Doubt.ANOTHER_ENTRY),
    )
    return next((wrong for holds, wrong in checks if not holds), None)


def claims_receipt(record: dict[str, Any]) -> bool:
    """Whether a record of ours says that it keeps a receipt of the other side which held."""
    ext = record.get("ext")
    return said_of(record) is not None and isinstance(ext, dict) and ext.get("call.receipt") == "verified"


def verify_kept(record: dict[str, Any], receipt: bytes, origin: str, keys: Iterable[Known]) -> Said:
    """See that the receipt kept with a record of ours proves what the record says of the other side.

    Args:
        record: its members: one for which `claims_receipt`.
        receipt: what is kept with it.
        origin: of our log: what the other side's entry must name.
        keys: of the peers.

    Raises:
        FormatError, VerificationError: it does not.
    """
    claimed, ext = said_of(record), record["ext"]
    if claimed is None:
        raise FormatError(Code.MALFORMED_ENTRY, "the record is none of a call")
    theirs = SENT if claimed.type == RECEIVED else str(ext.get("call.entry_type"))
    said = open_said(receipt, keys)
    wrong = doubt(said, Expected(theirs, claimed.call, origin, claimed.peer, claimed.message))
    if wrong is None and claimed.names != said.entry:
        wrong = Doubt.ANOTHER_ENTRY
    if wrong is not None:
        detail = f"it proves entry {said.entry.seq} of {said.log}, and not what the record says: {wrong}"
        raise VerificationError(Code.INVALID_PROOF, detail)
    return said


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.INVALID_PARAMETER, f"not what goes along with a call: {detail}")
