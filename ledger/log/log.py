"""The log as everything else sees it: submit, read, prove."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from ledger.core.entry import FORMAT_VERSION, GENESIS_PREV
from ledger.core.errors import Code, LedgerError
from ledger.core.note import NoteSigner, format_vkey, is_key_name
from ledger.core.receipt import Receipt, format_receipt
from ledger.core.tiles import TILE_WIDTH, encode_bundle
from ledger.log.anchor import HeadAnchor, default_anchor
from ledger.log.files import close_to_others, sync_folder
from ledger.log.keys import create_key, load_key
from ledger.log.lock import DataLock
from ledger.log.persons import Persons
from ledger.log.plan import Appended
from ledger.log.recover import recover, refuse_other_anchor
from ledger.log.schema import Head, StoredEntry
from ledger.log.sequencer import QUEUE_BYTES, Answer, Observer, Sequencer
from ledger.log.store import Store
from ledger.log.tree import Tree
from ledger.log.written import Written
from ledger.records.prepare import own_record
from ledger.records.prepared import Prepared

DATABASE = "log.duckdb"
KEY = "log.key"
FOLDER_MODE = 0o700


class Log:
    """An open log: this process is its only writer. Safe to use from any thread."""

    def __init__(
        self, lock: DataLock, signer: NoteSigner, anchor: HeadAnchor, sequencer: Sequencer, persons: Persons
    ) -> None:
        self.origin = signer.key.name
        self.vkey = format_vkey(signer.key)
        self.persons = persons
        self._lock, self._anchor, self._sequencer = lock, anchor, sequencer
        self._written: Written = sequencer.written

    @staticmethod
    def create(data: Path, origin: str, *, anchor: Path | None = None) -> None:
        """Make a log: folder, signing key, and entry 0 (`log.created`), signed and anchored.

        Raises:
            LedgerError: `invalid-parameter` (the origin), `log-exists`, `origin-changed` (the folder's key is another log's),
                `rolled-back` where the anchor of a log that is not there stands.
        """
        if not is_key_name(origin):
            raise LedgerError(
                Code.INVALID_PARAMETER,
                f"{origin!a} cannot be a log's origin: it is a name without white space and '+', like example.com/log",
                path="origin",
            )
        data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        close_to_others(data, DATABASE)
        lock = DataLock(data)
        try:
            _refuse_existing(data)
            head = HeadAnchor(anchor or default_anchor(data))
            signer = load_key(data / KEY) if (data / KEY).exists() else create_key(data / KEY, origin)
            if signer.key.name != origin:
                raise LedgerError(
                    Code.ORIGIN_CHANGED, f"the key in {data} is for {signer.key.name}, not for {origin}"
                )
            refuse_other_anchor(signer, head)
            _write_genesis(data, signer, head)
        finally:
            lock.release()

    @classmethod
    def open(
        cls,
        data: Path,
        *,
        origin: str | None = None,
        anchor: Path | None = None,
        accept_missing_anchor: bool = False,
        queue_bytes: int = QUEUE_BYTES,
        observer: Observer | None = None,
    ) -> Self:
        """Open the log in `data` as its only writer.

        Raises:
            LedgerError: `not-found` (no log there), `locked`, `key-file`, `origin-changed`, `rolled-back` (the database is behind the
                head anchor), `forked` (it contradicts the anchor), `storage-failed`.
        """
        if not (data / DATABASE).exists():
            raise LedgerError(Code.NOT_FOUND, f"there is no log in {data}; `agent-ledger init` makes one")
        close_to_others(data, DATABASE)
        lock = DataLock(data)
        try:
            signer = load_key(data / KEY)
            _refuse_another_origin(signer, origin)
            head = HeadAnchor(anchor or default_anchor(data))
            store = Store(data / DATABASE)
            try:
                written, prev = recover(store, signer, head, accept_missing_anchor=accept_missing_anchor)
            except BaseException:
                store.close()
                raise
            persons = Persons(store.persons())
            sequencer = Sequencer(
                store=store,
                written=written,
                signer=signer,
                anchor=head,
                prev=prev,
                observer=observer,
                queue_bytes=queue_bytes,
            )
        except BaseException:
            lock.release()
            raise
        return cls(lock, signer, head, sequencer, persons)

    def close(self) -> None:
        """Finish what is queued, fold the WAL in, let the folder go."""
        self._sequencer.close()
        self._store.close()
        self._anchor.close()
        self._lock.release()

    @property
    def _store(self) -> Store:
        return self._sequencer.store

    # -- writing -----------------------------------------------------------------------------------------------------

    def submit(self, items: Sequence[Prepared], *, atomic: bool, done: Answer) -> None:
        """Queue records; `done` hears of each one's fate, from the sequencer's thread, when it is durable and signed.

        Raises:
            LedgerError: `queue-full` or `log-stopped`; nothing was taken.
        """
        self._sequencer.submit(items, atomic=atomic, done=done)

    def append_own(self, record_type: str, ext: dict[str, Any]) -> Appended:
        """Write one of the log's own records and wait until it is durable.

        Raises:
            LedgerError: why it was not.
        """
        return _wait(self._sequencer, own_record(record_type, ext))

    def agent_key(self, key_id: str) -> bytes | None:
        """The raw Ed25519 public key in force under this id, None where there is none."""
        return self._written.standing.agent_keys.get(key_id)

    def agent_keys(self) -> dict[str, bytes]:
        """All agent keys in force."""
        return dict(self._written.standing.agent_keys)

    def was_granted(self, key_id: str) -> bool:
        """Whether this id was ever given to a key, in force or not: an id is never given twice."""
        return key_id in self._written.standing.given

    # -- reading -----------------------------------------------------------------------------------------------------

    def head(self) -> Head:
        """The newest durable checkpoint."""
        return self._written.head

    def find(self, record_id: str) -> int | None:
        """The sequence number of the record with this id."""
        seq = self._written.ids.get(record_id)
        return seq if seq is not None and seq < self.head().size else None

    def stored(self, seq: int) -> StoredEntry:
        """One entry with what was disclosed with it.

        Raises:
            LedgerError: `not-found`.
        """
        stored = self._store.stored(seq, self._written.persons) if 0 <= seq < self.head().size else None
        if stored is None:
            raise LedgerError(Code.NOT_FOUND, f"there is no entry {seq}; the log has {self.head().size}")
        return stored

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Entries [start, end) as Arrow (`ROW_SCHEMA`), never beyond the head."""
        return self._store.rows(start, min(end, self.head().size), contents=contents)

    def person_rows(self, start: int, end: int) -> pa.Table:
        """Persons first named by entries [start, end) (`PERSON_SCHEMA`)."""
        return self._store.person_rows(start, min(end, self.head().size))

    # -- proving -----------------------------------------------------------------------------------------------------

    def receipt(self, seq: int) -> bytes:
        """A C2SP tlog-proof that entry `seq` is in the tree of the newest checkpoint.

        Raises:
            LedgerError: `not-found`.
        """
        head = self.head()
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
            LedgerError: `not-found` where the log has not grown so far.
        """
        start = index * TILE_WIDTH
        if start + width > self.head().size:
            raise LedgerError(Code.NOT_FOUND, f"entry bundle {index} has no {width} entries yet")
        return encode_bundle(self._store.entries(start, start + width))

    def anchored(self) -> str:
        """Where the newest checkpoint also stands, outside the data folder."""
        return str(self._anchor.path)

    def anchored_size(self) -> int:
        """The size that the head anchor vouches for."""
        return self._anchor.size

    def erased(self, seq: int) -> bool:
        """Whether the log says that something of this entry was erased."""
        return seq in self._written.standing.erased

    def status(self) -> dict[str, Any]:
        """Numbers for metrics and readiness."""
        sequencer = self._sequencer
        return {
            "queue_bytes": sequencer.queued_bytes,
            "queue_limit_bytes": sequencer.queue_limit_bytes,
            "size": self.head().size,
            "held_clock": sequencer.held_clock,
            "stopped": sequencer.stopped.detail if sequencer.stopped else None,
        }


def _refuse_existing(data: Path) -> None:
    if (data / DATABASE).exists():
        raise LedgerError(Code.LOG_EXISTS, f"there is a log in {data} already")


def _refuse_another_origin(signer: NoteSigner, origin: str | None) -> None:
    if origin is not None and origin != signer.key.name:
        raise LedgerError(
            Code.ORIGIN_CHANGED,
            f"this log's origin is {signer.key.name}, not {origin}: the origin is fixed when a log is made, witnesses know it by it",
        )


def _write_genesis(data: Path, signer: NoteSigner, anchor: HeadAnchor) -> None:
    """Entry 0, in a database beside its place; the rename is what makes the log exist. A crash before it: `create` starts again."""
    building = data / f"{DATABASE}.new"
    for leftover in (building, data / f"{DATABASE}.new.wal"):
        leftover.unlink(missing_ok=True)
    store = Store.create(building)
    written = Written(Head(0, b"", b"", ""), Tree(store.hashes))
    sequencer = Sequencer(store=store, written=written, signer=signer, anchor=anchor, prev=GENESIS_PREV)
    ext = {"log.origin": signer.key.name, "log.format": FORMAT_VERSION, "log.vkey": format_vkey(signer.key)}
    try:
        _wait(sequencer, own_record("log.created", ext))
    finally:
        sequencer.close()
        store.close()
        anchor.close()
    building.rename(data / DATABASE)
    sync_folder(data)
    sync_folder(data.parent)


def _wait(sequencer: Sequencer, item: Prepared) -> Appended:
    settled = threading.Event()
    outcome: list[Appended | LedgerError] = []

    def done(results: list[Appended | LedgerError]) -> None:
        outcome.extend(results)
        settled.set()

    sequencer.submit([item], atomic=True, done=done)
    settled.wait()
    if isinstance(outcome[0], LedgerError):
        raise outcome[0]
    return outcome[0]
