"""What a peer gave later, as an evidence file of its log: which of our calls its entries are of, and which are of none (docs/federation.md)."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.client.calls import Verdict, about, record
from ledger.client.evidence import EvidenceReport, verify_evidence
from ledger.client.http import LedgerClient
from ledger.client.questions import Question
from ledger.client.zipped import read_zip
from ledger.core import evidence as names
from ledger.core.crossing import (
    CONFIRMED,
    RECEIVED,
    SENT,
    Doubt,
    EntryName,
    Expected,
    Said,
    doubt,
    open_said,
)
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey
from ledger.core.peerkeys import Known, known_of
from ledger.core.receipt import format_receipt, parse_receipt
from ledger.records.prepare import uuid7
from ledger.records.values import time_text

SOURCE: Final = "agent-ledger calls take"
CALLS_AT_ONCE: Final = 500
MAX_ROWS: Final = 10_000
_OURS: Final = """
SELECT ext->>'$."call.id"', type, ext->>'$."call.peer"', ext->>'$."call.message"', seq, leaf_hash, ext->>'$."call.receipt"', ext->>'$."call.entry_leaf"', action_id
FROM records
WHERE type IN ('call.sent', 'call.received', 'call.confirmed') AND ext->>'$."call.id"' IN $calls
ORDER BY seq
"""


class Ours(NamedTuple):
    """A record of ours about a call."""

    type: str
    peer: str | None
    message: str | None
    entry: EntryName
    receipt: str | None
    entry_leaf: str | None
    action_id: str | None


class Statement(NamedTuple):
    """What a peer's log says of a call, and the receipt that proves it."""

    said: Said
    receipt: bytes


class Judged(NamedTuple):
    """A statement beside what is here.

    Attributes:
        statement: the peer's.
        known: its receipt is here already.
        ours: our own record of the call, None where there is none.
        wrong: why it is not of the call that it names, None where it is.
    """

    statement: Statement
    known: bool
    ours: Ours | None
    wrong: Doubt | None

    def record(self) -> dict[str, Any]:
        """The record that keeps it."""
        said, receipt = self.statement
        verdict = Verdict("refused", self.wrong) if self.wrong else Verdict("verified", None, said)
        ext = about(said.call, said.log, self.ours.message if self.ours else None, verdict)
        made = record(
            CONFIRMED, ext, {"receipt": receipt.decode()}, self.ours.action_id if self.ours else None
        )
        told = {name: value for name, value in made.items() if value is not None}
        told["source"] = {"id": SOURCE, **told["source"]}
        return {"id": uuid7(), "time": time_text(time.time_ns()), **told}


def given_statements(path: Path, keys: Iterable[Known]) -> tuple[EvidenceReport, list[Statement]]:
    """The entries of calls in a peer's evidence file, and what verifying it found: nothing is read of one that does not hold.

    Raises:
        FormatError: it is of no peer's log.
        OSError: it cannot be read.
    """
    unknown = verify_evidence(path)
    if unknown.manifest is None:
        return unknown, []
    own = known_of(keys, unknown.manifest.origin)
    if not own:
        raise FormatError(
            Code.UNKNOWN_KEY, f"{path} is of the log {unknown.manifest.origin!a}, which is no peer's"
        )
    # One made before a rotation has the key before alone, and one made after it proves what may not be followed here yet.
    reports = [_under(path, key, history) for history in own for key in reversed(history.keys)]
    report = min(reports, key=lambda each: len(each.findings))
    if report.findings or report.keys is None:
        return report, []
    return report, list(_statements(path, report, [_later(report.keys, history) for history in own]))


def _under(path: Path, key: VerifierKey, history: KeyHistory) -> EvidenceReport:
    """What is found under one key of a history, which has the last word where it knows more."""
    report = verify_evidence(path, key)
    if report.findings or report.keys is None or report.checkpoint_note is None:
        return report
    try:
        _later(report.keys, history).open(report.checkpoint_note)
    except LedgerError as error:
        report.add("checkpoint", names.CHECKPOINT, error.detail)
    return report


def _later(told: KeyHistory, known: KeyHistory) -> KeyHistory:
    """The longer of two histories of one log: what a file proves, and what is known, which one that contradicts it does not replace."""
    return told if told.goes_on_from(known) else known


def _statements(path: Path, report: EvidenceReport, keys: Sequence[KeyHistory]) -> Iterator[Statement]:
    files = read_zip(path.read_bytes(), names.is_file, max_file=names.MAX_FILE_BYTES, max_all=names.MAX_BYTES)
    for seq, entry in sorted(report.entries.items()):
        if entry.members.get("type") not in {SENT, RECEIVED}:
            continue
        held = parse_receipt(files[names.entry_file(seq, names.RECEIPT)])
        receipt = format_receipt(replace(held, extra=files[names.entry_file(seq, names.ENTRY)]))
        try:
            yield Statement(open_said(receipt, keys), receipt)
        except LedgerError:  # what its writer put there is none of a call
            continue


def judged(client: LedgerClient, statements: Sequence[Statement], own: str) -> Iterator[Judged]:
    """Each statement beside our own records of its call.

    Args:
        client: of our ledger; it may query.
        statements: a peer's.
        own: the origin of our log.
    """
    for start in range(0, len(statements), CALLS_AT_ONCE):
        part = statements[start : start + CALLS_AT_ONCE]
        ours = _ours(client, [each.said.call for each in part])
        for each in part:
            yield _judged(each, ours.get(each.said.call, []), own)


def _ours(client: LedgerClient, calls: list[str]) -> Mapping[str, list[Ours]]:
    found: dict[str, list[Ours]] = {}
    answer = client.table(Question(_OURS, None, {"calls": calls}, MAX_ROWS))
    for call, kind, peer, message, seq, leaf, receipt, entry_leaf, action_id in answer["rows"]:
        ours = Ours(kind, peer, message, EntryName(int(seq), leaf), receipt, entry_leaf, action_id)
        found.setdefault(call, []).append(ours)
    return found


def _judged(statement: Statement, ours: Sequence[Ours], own: str) -> Judged:
    said = statement.said
    known = any(each.receipt == "verified" and each.entry_leaf == said.entry.leaf for each in ours)
    wanted = RECEIVED if said.type == SENT else SENT, said.log
    mine = next((each for each in ours if (each.type, each.peer) == wanted), None)
    names_ours = mine.entry if mine is not None and said.type == RECEIVED else None
    expected = Expected(
        said.type, said.call, own, said.log, mine.message if mine is not None else None, names_ours
    )
    return Judged(statement, known, mine, doubt(said, expected))
