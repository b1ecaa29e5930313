r"""Verification records: what somebody found of a log, signed with a key of their own; the next verification begins from it.

    agent-ledger verification v1
    <the log's origin>
    <one line of canonical JSON>

    — <who verified> <signature>

A signed note (c2sp.org/signed-note) like a checkpoint. The JSON says the size and root that were verified, how, when and what was
found; and, in `state`, where the verification stood at the last stretch boundary: the tree's nodes, the keys in force, what is absent and
not explained yet. A record of a verification that was interrupted is not `complete`: the same verification goes on from it.

Whoever believes a record believes its signer for everything before its size, and for nothing after it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from ledger.core import canonical
from ledger.core.canonical import JsonValue
from ledger.core.entry import parse_time
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.joined import Joined
from ledger.core.merkle import HASH_BYTES
from ledger.core.note import (
    MAX_NOTE_BYTES,
    NoteSigner,
    VerifierKey,
    format_vkey,
    open_note,
    parse_vkey,
    sign_note,
)
from ledger.core.report import Level, Report, Rested

TITLE: Final = "agent-ledger verification v1"
_MEMBERS: Final = {
    "at",
    "complete",
    "findings",
    "level",
    "root",
    "size",
    "state",
    "vkey",
}


@dataclass(frozen=True, slots=True)
class Verification:
    """What a record says.

    Attributes:
        vkey: the log's first key; its name is the log's origin.
        size: the entries verified.
        root: the root over them, 32 bytes; empty where it could not be computed.
        level: how much was checked.
        at: when, `2026-11-21T09:30:00.123456Z`, by the verifier's clock.
        findings: how many things were wrong.
        complete: whether it came to the end of the log as it was then.
        state: where it stood, for `joined`; `beside` in it is for who checked what stands beside the entries.
        by: who signed it; "" before it is signed.
    """

    vkey: VerifierKey
    size: int
    root: bytes
    level: Level
    at: str
    findings: int
    complete: bool
    state: dict[str, Any]
    by: str = ""

    def joined(self) -> Joined:
        """The state of the verifier, at a stretch boundary at or before `size`.

        Raises:
            FormatError: it is none.
        """
        joined = Joined.from_json(self.state.get("verifier"))
        if joined.size > self.size:
            raise _malformed(f"its state is of {joined.size} entries, and it covers {self.size}")
        return joined

    def rested(self) -> Rested | None:
        """What a report that begins from it says; None where it is the same verification that goes on.

        Raises:
            FormatError: its state is none.
        """
        if not self.complete:
            return None
        return Rested(self.size, self.root, self.by, self.at, str(self.level), self.joined().size)


def verification_of(report: Report, vkey: VerifierKey, state: dict[str, Any], at: str) -> Verification:
    """The record of a verification that came to its end."""
    count = len(report.findings) + report.unlisted
    return Verification(vkey, report.size, report.root, report.level, at, count, True, state)


def unfinished(vkey: VerifierKey, level: Level, state: dict[str, Any], at: str) -> Verification:
    """The record of a verification that has come as far as its state."""
    joined = Joined.from_json(state["verifier"])
    return Verification(vkey, joined.size, b"", level, at, joined.findings.count, False, state)


def sign_verification(verification: Verification, signer: NoteSigner) -> bytes:
    """The signed note of a record.

    Raises:
        LedgerError: `malformed-note`: there is more to say than a note can hold.
    """
    said: JsonValue = {
        "at": verification.at,
        "complete": verification.complete,
        "findings": verification.findings,
        "level": str(verification.level),
        "root": verification.root.hex(),
        "size": verification.size,
        "state": verification.state,
        "vkey": format_vkey(verification.vkey),
    }
    text = f"{TITLE}\n{verification.vkey.name}\n{canonical.dumps(said).decode()}\n"
    if len(text.encode()) > MAX_NOTE_BYTES // 2:
        raise _malformed(
            f"it would be {len(text)} characters and a record has at most {MAX_NOTE_BYTES // 2}: too much is absent in places all over "
            "the log that nothing explains yet"
        )
    return sign_note(text, signer)


def open_verification(note: bytes, keys: Iterable[VerifierKey]) -> Verification:
    """Read a record and check its signature.

    Args:
        note: the signed note.
        keys: the verifiers that the caller believes.

    Raises:
        FormatError: it is no such record.
        VerificationError: none of them signed it, or a signature does not hold.
    """
    opened = open_note(note, keys)
    title, origin, *rest = opened.text.split("\n")
    if title != TITLE or len(rest) != 2 or rest[1]:  # noqa: PLR2004 - the JSON, and nothing after its newline
        raise _malformed(f"its text is not {TITLE!r}, an origin and one line of JSON")
    said: Any = canonical.parse_canonical(rest[0].encode())
    if type(said) is not dict or said.keys() != _MEMBERS:
        raise _malformed(f"its members are not {', '.join(sorted(_MEMBERS))}")
    return _parse(said, origin, opened.verified[0])


def _parse(said: dict[str, Any], origin: str, by: str) -> Verification:
    try:
        root = bytes.fromhex(said["root"])
        parse_time(said["at"])
        made = Verification(
            parse_vkey(said["vkey"]),
            said["size"],
            root,
            Level(said["level"]),
            said["at"],
            said["findings"],
            said["complete"],
            said["state"],
            by,
        )
    except (TypeError, ValueError, LedgerError) as error:
        raise _malformed(str(error)) from None
    whole = all(type(number) is int and number >= 0 for number in (made.size, made.findings))
    if made.vkey.name != origin or not whole or type(made.complete) is not bool:
        raise _malformed("it is of two logs, or one of its numbers is none")
    if type(made.state) is not dict or len(root) not in (0, HASH_BYTES):
        raise _malformed("it has no state, or no root")
    return made


def _malformed(detail: str) -> FormatError:
    return FormatError(Code.MALFORMED_NOTE, f"not a verification record: {detail}")
