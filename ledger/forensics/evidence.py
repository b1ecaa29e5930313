"""Rows on their way into the query worker: every byte is checked against the log's hashes before SQL may see it."""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pyarrow as pa

from ledger.core.entry import GENESIS_PREV, commitment
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import Frontier
from ledger.records.commit import commitment_hex
from ledger.records.prepared import Disclosed
from ledger.storage.contents import parse_contents

CHECKED_CONTENT = pa.struct([("member", pa.string()), ("value", pa.string())])
_PREV_START = len('{"prev":"')
_PREV_END = _PREV_START + 64


class Evidence:
    """What was taken in so far: a Merkle frontier over it. Once something does not hold, nothing is answered any more."""

    def __init__(self, keys: KeyHistory) -> None:
        """An empty tree of the log that has these keys."""
        self._keys = keys
        self._frontier = Frontier()
        self._prev = GENESIS_PREV
        self.altered: LedgerError | None = None

    @property
    def size(self) -> int:
        """Number of entries taken in."""
        return self._frontier.size

    def follow(self, size: int, nodes: Sequence[bytes], prev: bytes) -> None:
        """Go on behind entries that were checked elsewhere. `check` tells in the end whether the nodes were the log's.

        Args:
            size: how many.
            nodes: `Frontier.nodes()` of the log of that size.
            prev: the leaf hash of the last of them.

        Raises:
            LedgerError: `out-of-range`: the nodes are not as many as that size has.
        """
        self._frontier, self._prev = Frontier.from_nodes(size, nodes), prev

    def take(self, batch: pa.RecordBatch) -> pa.Table:
        """Check the next rows (`ROW_SCHEMA`): leaf hash, chain, each content's commitment.

        A retired entry is a hash alone: the next entry's `prev` and the root say that it is the right one.

        Returns:
            seq, hash, entry, contents without salts; of retired entries nothing.

        Raises:
            LedgerError: `evidence-altered`, with the first place.
        """
        entries = batch.column("entry").cast(pa.binary()).to_pylist()
        hashes = batch.column("hash").to_pylist()
        self._check_chain(batch.column("seq").to_pylist(), entries, hashes)
        contents = _checked_contents(self.size, entries, batch.column("contents").to_pylist())
        self._frontier.extend(hashes)
        columns = [batch.column("seq"), batch.column("hash"), batch.column("entry"), contents]
        rows = pa.Table.from_arrays(columns, names=["seq", "hash", "entry", "contents"])
        return rows.filter(batch.column("entry").is_valid()) if batch.column("entry").null_count else rows

    def _check_chain(self, seqs: list[int], entries: list[bytes | None], hashes: list[bytes]) -> None:
        prev = self._prev
        for seq, (stored_seq, entry, stored) in enumerate(
            zip(seqs, entries, hashes, strict=True), start=self.size
        ):
            if stored_seq != seq:
                raise altered(f"entry {seq} is missing: the next stored one is {stored_seq}")
            if entry is None:
                prev = stored
                continue
            digest = sha256(b"\x00" + entry).digest()
            if digest != stored:
                raise altered(f"the bytes of entry {seq} do not have the hash that is stored with them")
            if entry[_PREV_START:_PREV_END] != prev.hex().encode():
                raise altered(f"entry {seq} does not follow entry {seq - 1}: its prev is another hash")
            prev = digest
        self._prev = prev

    def check(self, note: bytes) -> bytes:
        """Compare what was taken in with a signed checkpoint.

        Returns:
            The root, 32 bytes.

        Raises:
            LedgerError: `evidence-altered`; or why the note is not this log's checkpoint.
        """
        if self.altered is not None:
            raise self.altered
        checkpoint = self._keys.open(note, own=True)
        if checkpoint.size != self.size:
            raise altered(f"the checkpoint covers {checkpoint.size} entries, but {self.size} are stored")
        if checkpoint.root != self._frontier.root():
            raise altered(
                f"the {self.size} entries that are stored do not have the root their checkpoint signs"
            )
        return checkpoint.root


def checked_persons(persons: pa.Table) -> pa.Table:
    """Persons (`PERSON_SCHEMA`) as commitment and value, once each value is what its commitment says.

    Raises:
        LedgerError: `evidence-altered`.
    """
    rows = persons.to_pylist()
    for row in rows:
        if commitment(row["salt"], row["value"].encode()).hex() != row["commitment"]:
            raise altered(f"a person first named by entry {row['seq']} is not who its commitment says")
    return persons.select(["commitment", "value"])


def altered(detail: str) -> LedgerError:
    """The refusal to answer from bytes that the log does not sign."""
    return LedgerError(
        Code.EVIDENCE_ALTERED, f"{detail}. No query is answered from it; run `agent-ledger verify`"
    )


def _checked_contents(start: int, entries: list[bytes | None], texts: list[str]) -> pa.ListArray:
    """The contents without their salts, each compared with the commitment in its entry."""
    offsets = [0]
    checked: list[Disclosed] = []
    for seq, (entry, text) in enumerate(zip(entries, texts, strict=True), start=start):
        try:
            contents = parse_contents(text)
        except ValueError:
            raise altered(f"the contents kept for entry {seq} are none that the ledger wrote") from None
        record = json.loads(entry)["record"] if contents and entry is not None else {}
        for content in contents:
            if _member(record, content.member) != commitment_hex(content.salt, content.value):
                raise altered(f"the {content.member} kept for entry {seq} is not what its entry commits to")
        checked += contents
        offsets.append(len(checked))
    members = pa.array([content.member for content in checked], pa.string())
    values = pa.array([content.value for content in checked], pa.binary()).cast(pa.string())
    structs = pa.StructArray.from_arrays([members, values], fields=list(CHECKED_CONTENT))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), structs)


def _member(record: dict[str, Any], path: str) -> Any:
    """The value at `tool.arguments`, None where there is none."""
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
