"""What goes into an evidence file: who asks for which entries, and of each what is shown and what proves it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ledger.core.canonical import MAX_INTEGER, JsonValue
from ledger.core.entry import Entry, commitment, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.evidence import MAX_ENTRIES, Contents, Disclosed
from ledger.core.merkle import inclusion_proof
from ledger.core.receipt import Receipt, format_receipt, verify_receipt
from ledger.core.text import format_base64
from ledger.core.tiles import TileHashes
from ledger.log.absent import absent, committed
from ledger.log.log import Log
from ledger.records.members import CONTENTS, PERSONS
from ledger.storage.schema import Head

SEQ_COLUMNS: Final = ("seq", "seqs")
_TILES_KEPT: Final = 500


class Answer(NamedTuple):
    """The answer to the SQL: its JSON as the query worker gave it, and of which log."""

    body: bytes
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for what.

    Attributes:
        by: the name of their token.
        about: what it is for, in their words.
        seqs: entries, by their places.
        ids: records, by their ids.
        sql: the SELECT, "" where none was asked.
        query: the name of the named query that it is, "" where it is none.
        parameters: of the SELECT, as JSON has them.
        columns: which columns of the answer name entries, those of `SEQ_COLUMNS` that are there when empty.
        members: contents and persons to disclose, those that they may see; None for all.
    """

    by: str
    about: str = ""
    seqs: Sequence[int] = ()
    ids: Sequence[str] = ()
    sql: str = ""
    query: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    columns: Sequence[str] = ()
    members: frozenset[str] | None = None

    def discloses(self, member: str) -> bool:
        """Whether a content or person is disclosed."""
        return self.members is None or member in self.members


class Shown(NamedTuple):
    """One entry of an evidence file.

    Attributes:
        entry: the entry.
        data: its canonical bytes.
        leaf: its leaf hash.
        receipt: its receipt.
        contents: what is disclosed; None where it has neither contents nor persons.
    """

    entry: Entry
    data: bytes
    leaf: bytes
    receipt: bytes
    contents: Contents | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything chosen, to be read one entry after the other.

    Attributes:
        log: the log.
        head: the checkpoint that all receipts lead to.
        request: what was asked.
        seqs: the entries, in order.
        answer: the answer to the SQL, None where none was asked.
    """

    log: Log
    head: Head
    request: Request
    seqs: tuple[int, ...]
    answer: Answer | None

    def entries(self) -> Iterator[Shown]:
        """Each entry.

        Raises:
            LedgerError: `retired`, `evidence-altered`.
        """
        receipts = Receipts(self.log, self.head)
        for seq in self.seqs:
            yield _shown(self.log, receipts, self.request, seq)

    def asked(self) -> dict[str, JsonValue]:
        """request.json."""
        request = self.request
        said: dict[str, JsonValue] = {
            "about": request.about,
            "by": request.by,
            "disclose": None if request.members is None else [*sorted(request.members)],
            "ids": [*request.ids],
            "seqs": [*request.seqs],
        }
        if self.answer is not None:
            proof = self.log.consistency(self.answer.size, self.head.size)
            asked: dict[str, JsonValue] = {
                "consistency": [format_base64(each) for each in proof],
                "root": self.answer.root.hex(),
                "size": self.answer.size,
            }
            said |= {
                "asked": asked,
                "columns": [*request.columns],
                "parameters": _canonical(request.parameters),
                "query": request.query,
                "sql": request.sql,
            }
        return said


class Receipts:
    """Makes many receipts that lead to one checkpoint: what neighbours share of the tree is read once."""

    def __init__(self, log: Log, head: Head) -> None:
        self._log, self._head = log, head
        self._made, self._hashes = 0, TileHashes(log.tile, head.size)

    def of(self, seq: int, entry: bytes) -> bytes:
        """A C2SP tlog-proof, once it proves these bytes: what the disk holds is not handed out unseen.

        Raises:
            LedgerError: `evidence-altered`.
        """
        self._made += 1
        if self._made % _TILES_KEPT == 0:  # each may need a tile of its own
            self._hashes = TileHashes(self._log.tile, self._head.size)
        proof = tuple(inclusion_proof(seq, self._head.size, self._hashes))
        receipt = format_receipt(Receipt(seq, proof, self._head.note))
        try:
            verify_receipt(receipt, entry, self._log.keys.keys, self._log.origin)
        except LedgerError as error:
            raise _altered(f"entry {seq} is not what its receipt proves: {error.detail}") from None
        return receipt


def gather(log: Log, request: Request, answer: Answer | None) -> Gathered:
    """Choose the entries.

    Args:
        log: the log.
        request: what was asked.
        answer: the answer to its SQL, at a size that the log has reached.

    Raises:
        LedgerError: `not-found` (an entry, a record), `invalid-parameter` (none chosen, or more than MAX_ENTRIES).
    """
    chosen = {*request.seqs, *(_found(log, each) for each in request.ids)}
    if answer is not None:
        chosen |= set(named_seqs(answer.body, request.columns))
    if not chosen:
        raise LedgerError(
            Code.INVALID_PARAMETER,
            "no entry is chosen: give seqs, ids, or a SELECT whose rows name some",
            path="seqs",
        )
    if len(chosen) > MAX_ENTRIES:
        detail = f"{len(chosen)} entries are chosen, and an evidence file holds {MAX_ENTRIES}: make several"
        raise LedgerError(Code.INVALID_PARAMETER, detail, path="seqs", limit=MAX_ENTRIES)
    head = log.head_covering(max(max(chosen) + 1, answer.size if answer is not None else 0))
    for seq in (min(chosen), max(chosen)):
        if not 0 <= seq < head.size:
            raise LedgerError(Code.NOT_FOUND, f"there is no entry {seq}; the log has {head.size}")
    return Gathered(log, head, request, tuple(sorted(chosen)), answer)


def named_seqs(body: bytes, columns: Sequence[str] = ()) -> Iterator[int]:
    """The entries that an answer's rows name, in the order of the rows.

    Args:
        body: the answer as JSON.
        columns: the columns that name entries, one or a list of them a row; those of `SEQ_COLUMNS` that are there when empty.

    Raises:
        LedgerError: `invalid-parameter`: there is no such column, or something in it is no entry.
    """
    answer = json.loads(body)
    names = [column["name"] for column in answer["columns"]]
    wanted = columns or [name for name in SEQ_COLUMNS if name in names]
    lacking = [name for name in wanted if name not in names]
    if lacking or not wanted:
        detail = f"the answer has no column {lacking[0] if lacking else 'seq'!a}, which would name entries; it has {', '.join(names)}"
        raise LedgerError(Code.INVALID_PARAMETER, detail, path="columns")
    places = [names.index(name) for name in wanted]
    for row in answer["rows"]:
        for place in places:
            yield from _seqs(row[place], names[place])


def _seqs(value: Any, column: str) -> Iterable[int]:
    several = value if isinstance(value, list) else [value]
    for each in several:
        if each is None:
            continue
        if type(each) is not int or each < 0:
            raise LedgerError(
                Code.INVALID_PARAMETER,
                f"the column {column!a} names {each!a}, and an entry is an integer from 0",
                path="columns",
            )
        yield each


def _canonical(value: Any) -> JsonValue:
    """JSON whose numbers are integers of the format; others become text."""

    def integer(text: str) -> int | str:
        return int(text) if -MAX_INTEGER <= int(text) <= MAX_INTEGER else text

    parsed: JsonValue = json.loads(json.dumps(value), parse_float=str, parse_int=integer)
    return parsed


def _found(log: Log, record_id: str) -> int:
    seq = log.find(record_id)
    if seq is None:
        raise LedgerError(Code.NOT_FOUND, f"no record has the id {record_id[:200]!a}", path="ids")
    return seq


def _shown(log: Log, receipts: Receipts, request: Request, seq: int) -> Shown:
    stored = log.stored(seq)
    entry = parse_entry(stored.entry)
    there = committed(entry, CONTENTS + PERSONS)
    if not there:
        return Shown(entry, stored.entry, stored.hash, receipts.of(seq, stored.entry), None)
    people = {person.commitment: person for person in stored.persons}
    disclosed, kept_back = [], []
    for content in stored.contents:
        if request.discloses(content.member):
            disclosed.append(Disclosed("content", content.member, content.salt, content.value))
        else:
            kept_back.append(content.member)
    for path in PERSONS:
        person = people.get(there.get(path, ""))
        if person is not None and request.discloses(path):
            disclosed.append(Disclosed("person", path, person.salt, person.value))
        elif person is not None:
            kept_back.append(path)
    gone = absent(log, entry, stored)
    _refuse_altered(seq, disclosed, there)
    contents = Contents(tuple(disclosed), gone.erased, gone.withheld, tuple(sorted(kept_back)))
    return Shown(entry, stored.entry, stored.hash, receipts.of(seq, stored.entry), contents)


def _refuse_altered(seq: int, disclosed: Iterable[Disclosed], there: dict[str, str]) -> None:
    for each in disclosed:
        if commitment(each.salt, each.value).hex() != there.get(each.member):
            raise _altered(f"the {each.member} kept for entry {seq} is not what its entry commits to")


def _altered(detail: str) -> LedgerError:
    return LedgerError(
        Code.EVIDENCE_ALTERED, f"{detail}. No evidence is made of it; run `agent-ledger verify`"
    )
