"""What an open log proves: its newest checkpoints, receipts, consistency, tiles."""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import pyarrow as pa

from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KEY_TYPES, KeyHistory
from ledger.core.receipt import Receipt, format_receipt
from ledger.core.tiles import TILE_WIDTH, encode_bundle
from ledger.log.keeping import Keeping
from ledger.log.keyproof import prove_keys
from ledger.log.written import Written
from ledger.storage.schema import Head, StoredEntry

LOOK_ENTRIES: Final = 2_000  # at a time, for a checkpoint


class _Entries(Protocol):
    def entries(self, start: int, end: int) -> Sequence[bytes]: ...

    def own_entries(self, types: Sequence[str]) -> Iterator[bytes]: ...

    def stored(self, seq: int) -> StoredEntry | None: ...

    def rows(self, start: int, end: int, *, contents: bool) -> Iterator[pa.RecordBatch]: ...


class Proving:
    """The part of `ledger.log.log.Log` that proves. Safe to use from any thread."""

    _store: _Entries  # set by the log

    def __init__(self, written: Written) -> None:
        self._written = written
        self._cosigned: Head | None = None
        self._proved: tuple[KeyHistory, bytes] | None = None

    @property
    def keeping(self) -> Keeping:
        """Policies and holds in force, and what was removed."""
        return self._written.standing.keeping

    def head(self) -> Head:
        """The newest durable checkpoint."""
        return self._written.head

    def signed_within(self, start: int, end: int) -> tuple[int, bytes] | None:
        """The last checkpoint of more than `start` and at most `end` entries: its size and its note; None where the log signed none there."""
        high = min(end, self.head().size)
        while high > start:
            low = max(start, high - LOOK_ENTRIES)
            for batch in reversed([*self._store.rows(low, high, contents=False)]):
                signed = batch.filter(batch.column("checkpoint").is_valid())
                if signed.num_rows:
                    seq, note = signed.column("seq")[-1].as_py(), signed.column("checkpoint")[-1].as_py()
                    return seq + 1, note.encode()
            high = low
        return None

    def witnessed(self, cosigned: Head) -> None:
        """The quorum of witnesses has cosigned this checkpoint of the log's, as its note shows."""
        self._cosigned = cosigned

    def cosigned(self) -> Head | None:
        """The newest checkpoint that the quorum of witnesses has cosigned, with their lines; None where there is none."""
        return self._cosigned

    def head_covering(self, size: int) -> Head:
        """The checkpoint to prove by what stands before `size`: the newest cosigned one, or the log's newest where that is too old."""
        cosigned = self._cosigned
        return cosigned if cosigned is not None and cosigned.size >= size else self.head()

    @property
    def keys(self) -> KeyHistory:
        """The log's keys so far. Another object once there is another key, or one is revoked."""
        return self._written.standing.keys

    def key_proof(self) -> bytes:
        """The proof of the log's keys: see `ledger.core.keyhistory`.

        Raises:
            LedgerError: `storage-failed`.
        """
        keys, known = self.keys, self._proved
        if known is not None and known[0] == keys:
            return known[1]
        size = self.head().size  # what is being committed is stored already, and has no place in the tree yet
        stored = self._store.own_entries(KEY_TYPES)
        entries = [entry for entry in stored if parse_entry(entry).seq < size]
        proof = prove_keys(keys, entries, self._noted, self._written.tree.inclusion)
        self._proved = KeyHistory.of_entries(entries), proof
        return proof

    def _noted(self, seq: int) -> str | None:
        stored = self._store.stored(seq)
        return None if stored is None else stored.checkpoint

    def receipt(self, seq: int) -> bytes:
        """A C2SP tlog-proof that entry `seq` is in the tree of the newest checkpoint, of the newest cosigned one where that covers it.

        Raises:
            LedgerError: `not-found`.
        """
        head = self.head_covering(seq + 1)
        if not 0 <= seq < head.size:
            raise LedgerError(Code.NOT_FOUND, f"there is no entry {seq}; the log has {head.size}")
        return format_receipt(Receipt(seq, tuple(self._written.tree.inclusion(seq, head.size)), head.note))

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `new` extends the one of size `old` (RFC 9162).

        Raises:
            LedgerError: `invalid-parameter` unless 0 < old <= new <= size.
        """
        size = self.head().size
        if not 0 < old <= new <= size:
            raise LedgerError(
                Code.INVALID_PARAMETER, f"need 0 < old <= new <= {size}, got old={old}, new={new}", path="old"
            )
        return self._written.tree.consistency(old, new)

    def root_at(self, size: int) -> bytes:
        """The root over the first `size` entries.

        Raises:
            LedgerError: `invalid-parameter` unless 0 <= size <= the log's.
        """
        if not 0 <= size <= self.head().size:
            raise LedgerError(Code.INVALID_PARAMETER, f"the log has {self.head().size} entries, not {size}")
        return self._written.tree.root_at(size)

    def tile(self, level: int, index: int, width: int = TILE_WIDTH) -> bytes:
        """`width` hashes of one tile (C2SP tlog-tiles).

        Raises:
            LedgerError: `not-found` where the log has not grown so far.
        """
        if (index * TILE_WIDTH + width) << (8 * level) > self.head().size:
            raise LedgerError(Code.NOT_FOUND, f"tile {level}/{index} has no {width} hashes yet")
        return self._written.tree.tile(level, index, width)

    def bundle(self, index: int, width: int = TILE_WIDTH) -> bytes:
        """`width` entries as an entry bundle (C2SP tlog-tiles).

        Raises:
            LedgerError: `not-found` where the log has not grown so far; `retired` where one of them is: a bundle has no way to leave one out.
        """
        start = index * TILE_WIDTH
        if start + width > self.head().size:
            raise LedgerError(Code.NOT_FOUND, f"entry bundle {index} has no {width} entries yet")
        self.keeping.refuse_retired(start, start + width)
        return encode_bundle(self._store.entries(start, start + width))
