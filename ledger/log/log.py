"""The log as everything else sees it: submit, read, prove."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KEY_REVOKED, ROTATED
from ledger.core.note import NoteSigner, VerifierKey, format_vkey
from ledger.log.creating import create
from ledger.log.fetching import Fetching
from ledger.log.keys import load_key
from ledger.log.opening import open_store
from ledger.log.persons import Persons
from ledger.log.plan import Appended, Check
from ledger.log.proving import Proving
from ledger.log.queue import QUEUE_BYTES, Answer
from ledger.log.recover import in_force, recover
from ledger.log.removal import Erasure, erase
from ledger.log.renewal import Renewed, Stop, renew
from ledger.log.rotation import finish_rotation, next_key, take_place
from ledger.log.sealing import Sealer, Status
from ledger.log.sequencer import MAX_WAITING, Observer, Rotation, Sequencer
from ledger.log.standing import Standing
from ledger.log.store import ROTATE_BYTES, ROTATE_ENTRIES, Store
from ledger.log.waiting import append_all
from ledger.log.written import Written
from ledger.records.prepare import own_record
from ledger.records.prepared import Prepared
from ledger.storage.anchor import HeadAnchor, default_anchor
from ledger.storage.files import close_to_others
from ledger.storage.layout import KEY, refuse_other_version
from ledger.storage.lock import DataLock
from ledger.storage.removed import Counts, Removed
from ledger.storage.schema import StoredEntry
from ledger.storage.segment import Fetch, Segment


class Log(Proving):
    """An open log: this process is its only writer. Safe to use from any thread."""

    def __init__(
        self,
        *,
        data: Path,
        lock: DataLock,
        anchor: HeadAnchor,
        sequencer: Sequencer,
        sealer: Sealer,
        persons: Persons,
        fetching: Fetching | None,
    ) -> None:
        keys = sequencer.written.standing.keys
        self.origin = keys.origin
        self.vkey = format_vkey(keys.first)
        self.persons = persons
        self._data, self._lock, self._anchor = data, lock, anchor
        self._sequencer, self._sealer, self._fetching = sequencer, sealer, fetching
        super().__init__(sequencer.written)
        self._store: Store = sequencer.store
        self.removing = threading.Lock()  # one removal or hold is decided at a time
        self.compacting = threading.Lock()
        self._rotating = threading.Lock()

    @staticmethod
    def create(data: Path, origin: str, *, anchor: Path | None = None, key: str | None = None) -> None:
        """Make a log: see `ledger.log.creating.create`."""
        create(data, origin, anchor, key)

    @classmethod
    def open(
        cls,
        data: Path,
        *,
        origin: str | None = None,
        anchor: Path | None = None,
        accept_missing_anchor: bool = False,
        queue_bytes: int = QUEUE_BYTES,
        rotate_entries: int = ROTATE_ENTRIES,
        rotate_bytes: int = ROTATE_BYTES,
        observer: Observer | None = None,
        fetch: Fetch | None = None,
    ) -> Self:
        """Open the log in `data` as its only writer; `fetch` brings files of segments that are in an object store.

        Raises:
            LedgerError: `not-found` (no log there), `locked`, `key-file`, `origin-changed`, `rolled-back` (the database is behind the
                head anchor), `forked` (it contradicts the anchor), `storage-failed`.
        """
        refuse_other_version(data)
        close_to_others(data)
        lock = DataLock(data)
        try:
            named = load_key(data / KEY).key.name
            _refuse_another_origin(named, origin)
            head = HeadAnchor(anchor or default_anchor(data))
            fetching = Fetching(fetch) if fetch is not None else None
            store, keys = open_store(
                data, named, rotate_entries=rotate_entries, rotate_bytes=rotate_bytes, fetch=fetching
            )
            try:
                signer = in_force(data, store, keys, head)
                tree, newest, prev = recover(store, keys, head, accept_missing_anchor=accept_missing_anchor)
                written = Written.load(data, store, tree, newest, keys)
                finish_rotation(data, signer)
                store.forget_torn_ends()
            except BaseException:
                store.close(fold=False)  # what was refused is evidence
                raise
        except BaseException:
            lock.release()
            raise
        sequencer = Sequencer(
            store=store,
            written=written,
            signer=signer,
            anchor=head,
            lock=lock,
            prev=prev,
            observer=observer,
            queue_bytes=queue_bytes,
        )
        if fetching is not None:
            fetching.never_in(sequencer.thread_id, lambda: store.segments)
        sealer = Sealer(data, store, written, lambda: sequencer.signer, lock=lock)
        opened = cls(
            data=data,
            lock=lock,
            anchor=head,
            sequencer=sequencer,
            sealer=sealer,
            persons=Persons(written.person),
            fetching=fetching,
        )
        opened.forget_persons(opened.removed.persons)  # a crash may have come between saying so and doing it
        return opened

    def close(self) -> None:
        """Finish what is queued, fold the WAL in, let the folder go."""
        self._sequencer.close()
        self._sealer.close()
        if self._fetching is not None:
            self._fetching.close()
        self._store.close(fold=self._lock.lost() is None)  # what is another's now is not written any more
        self._anchor.close()
        self._lock.release()

    @property
    def signer(self) -> NoteSigner:
        """The key in force: whoever signs in the log's name something that is no checkpoint uses it at once, and keeps none."""
        return self._sequencer.signer

    # -- writing -----------------------------------------------------------------------------------------------------

    def submit(
        self, items: Sequence[Prepared], *, atomic: bool, done: Answer, check: Check | None = None
    ) -> None:
        """Queue records; `done` hears of each one's fate, from the sequencer's thread, when it is durable and signed.

        Raises:
            LedgerError: `queue-full`, `storage-failed` or `log-stopped`; nothing was taken.
        """
        self._sequencer.submit(items, atomic=atomic, done=done, check=check)

    def append_own(self, record_type: str, ext: dict[str, Any]) -> Appended:
        """Write one of the log's own records and wait until it is durable.

        Raises:
            LedgerError: why it was not.
        """
        return append_all(self, [own_record(record_type, ext)])[0]

    def rotate_key(
        self, *, by: str, more: Mapping[str, Any] | None = None, agreed: VerifierKey | None = None
    ) -> Appended:
        """Sign with the next key from now on; what others keep of the log stays good: see `ledger.log.rotation`.

        Args:
            by: who has it done, for the entry.
            more: further members of the entry's `ext`.
            agreed: the key that it was agreed to rotate to; None: whichever is next.

        Raises:
            LedgerError: why it was not done: the key is as it was; `log-stopped`: a start finds out which it is.
            OSError: the next key cannot be written.
        """
        with self._rotating:
            fresh = next_key(self._data, self.keys)
            if agreed is not None and fresh.key != agreed:
                raise LedgerError(
                    Code.SELECTION_CHANGED,
                    f"{agreed} was to be the next key, and now it would be {fresh.key}: ask anew",
                )
            ext = {**(more or {}), "log.by": by, "log.vkey": format_vkey(fresh.key)}
            rotation = Rotation(fresh, lambda: take_place(self._data))
            return self._sequencer.alone(own_record(ROTATED, ext), rotation)

    def revoke_key(
        self, key: VerifierKey, start: int, *, by: str, more: Mapping[str, Any] | None = None
    ) -> Appended:
        """Say that the signatures of a key which was rotated away count for nothing from entry `start` on.

        Raises:
            LedgerError: `not-found`, `invalid-parameter`: it is none of this log's, is in force, or never signed for that entry.
        """
        ext = {**(more or {}), "log.by": by, "log.from": start, "log.vkey": format_vkey(key)}
        return self._sequencer.alone(own_record(KEY_REVOKED, ext))

    def next_key(self) -> NoteSigner:
        """The key that the next rotation puts in force, made where there is none: others can be told of it before.

        Raises:
            LedgerError, OSError: as `rotate_key`.
        """
        with self._rotating:
            return next_key(self._data, self.keys)

    def stop(self, why: str, remedy: str) -> None:
        """Write no more: somebody outside shows that this log is not what it was. What is being committed may still be."""
        self._sequencer.stop(why, remedy)

    def erase(self, places: Iterable[tuple[int, str]], *, by: str, ground: str) -> Erasure:
        """Erase contents and persons: see `ledger.log.removal.erase`.

        Raises:
            LedgerError: `held`, `retired`, `not-found`, `invalid-parameter`: nothing was erased.
        """
        return erase(self, places, by=by, ground=ground)

    def forget_persons(self, commitments: frozenset[str]) -> None:
        """Delete persons, with their salts, once the log says so."""
        self.persons.forget(commitments)
        self._written.forget(commitments)

    def seal(self) -> int:
        """Seal everything that is written so far, and return when that is done: the size that is sealed.

        Raises:
            LedgerError: `storage-failed`: why it cannot be sealed; `log-stopped`.
        """
        if len(self._store.full()) >= MAX_WAITING:  # another would be one more in memory
            self._sealer.wait(self._store.full_end)
        end = self.head().size
        self._sequencer.rotate()
        self._sealer.wait(end)
        return self._store.sealed_end

    def renew(self, segment: Segment, removed: Removed, stop: Stop | None = None) -> Renewed:
        """Make a segment anew without what is gone: see `ledger.log.renewal.renew`.

        Raises:
            LedgerError: `storage-failed`: the segment is as it was; `log-stopped`.
        """
        self._sealer.refuse_if_lost()
        return renew(self._store, self.signer, self.keys, segment, removed, stop=stop)

    def forget_torn_ends(self) -> None:
        """Delete what a failed commit left beside the hot file, if it is still there: see `ledger.storage.torn`."""
        self._sequencer.forget_torn_ends()

    def hot_holds_removed(self) -> bool:
        """Whether something that the log says is gone is still in what is not sealed."""
        start, end, removed = self._store.sealed_end, self.head().size, self.removed
        if removed.counts(start, end) != Counts(0, 0):
            return True
        people = self._store.person_rows(start, end) if removed.persons else None
        return people is not None and removed.cover_persons(people).num_rows < people.num_rows

    def delete_persons(self, commitments: frozenset[str]) -> int:
        """Delete persons, with their salts, from what is sealed; returns how many there were.

        Raises:
            LedgerError: `storage-failed`.
        """
        return self._store.people.delete(commitments) if commitments else 0

    def stored_persons(self, commitments: frozenset[str]) -> int:
        """How many of these persons are among those of sealed entries."""
        return len(self._store.people.introduced(commitments)) if commitments else 0

    def persons_called(self, value: str) -> frozenset[str]:
        """The commitments of the persons with this identifier that are not erased: one for each salt that somebody made."""
        return self._store.persons_called(value) - self.removed.persons

    def segments(self) -> list[Segment]:
        """The sealed segments, in order."""
        return self._store.segments

    def sealing(self) -> Status:
        """How sealing goes."""
        return self._sealer.status()

    def agent_key(self, key_id: str) -> bytes | None:
        """The raw Ed25519 public key in force under this id, None where there is none."""
        return self._written.standing.agent_keys.get(key_id)

    @property
    def standing(self) -> Standing:
        """What the log's own entries say now. Another object once they say more; `access` of it once somebody else may do something."""
        return self._written.standing

    @property
    def removed(self) -> Removed:
        """What is gone. Another object once something more is."""
        return self.keeping.removed

    # -- reading -----------------------------------------------------------------------------------------------------

    def find(self, record_id: str) -> int | None:
        """The sequence number of the record with this id."""
        seq = self._written.find([record_id])[0].get(record_id)
        return seq if seq is not None and seq < self.head().size else None

    def stored(self, seq: int) -> StoredEntry:
        """One entry with what was disclosed with it.

        Raises:
            LedgerError: `not-found`, `retired`.
        """
        self.keeping.refuse_retired(seq, seq + 1)
        stored = self._store.stored(seq) if 0 <= seq < self.head().size else None
        if stored is None:
            raise LedgerError(Code.NOT_FOUND, f"there is no entry {seq}; the log has {self.head().size}")
        return stored._replace(
            contents=self.removed.left(seq, stored.contents),
            persons=tuple(each for each in stored.persons if each.commitment not in self.removed.persons),
        )

    def entry(self, seq: int) -> bytes:
        """The canonical bytes of one entry.

        Raises:
            LedgerError: `not-found`, `retired`.
        """
        if not 0 <= seq < self.head().size:
            raise LedgerError(Code.NOT_FOUND, f"there is no entry {seq}; the log has {self.head().size}")
        self.keeping.refuse_retired(seq, seq + 1)
        return self._store.entries(seq, seq + 1)[0]

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Entries [start, end) as Arrow (`ROW_SCHEMA`), never beyond the head; of a retired one `entry` and `id` are null."""
        # What the log says at each batch, not at the first: a reader may take long.
        for batch in self._store.rows(start, min(end, self.head().size), contents=contents):
            yield self.removed.cover(batch)

    def person_rows(self, start: int, end: int) -> pa.Table:
        """Persons first named by entries [start, end) (`PERSON_SCHEMA`)."""
        people = self._store.person_rows(start, min(end, self.head().size))
        return self.removed.cover_persons(people)

    # -- beside it -------------------------------------------------------------------------------------------------------

    def anchored(self) -> str:
        """Where the newest checkpoint also stands, outside the data folder."""
        return str(self._anchor.path)

    def anchored_size(self) -> int:
        """The size that the head anchor vouches for."""
        return self._anchor.size

    def erased(self, seq: int, member: str, commitment: str) -> bool:
        """Whether the log says that a content or person of this entry was erased, or its contents retired."""
        return self.removed.says(seq, member, commitment)

    def status(self) -> dict[str, Any]:
        """Numbers for metrics and readiness."""
        sequencer = self._sequencer
        return {
            "queue_bytes": sequencer.queue.held_bytes,
            "queue_limit_bytes": sequencer.queue.limit_bytes,
            "queue_credentials": sequencer.queue.credentials,
            "size": self.head().size,
            "held_clock": sequencer.held_clock,
            "stopped": sequencer.stopped.detail if sequencer.stopped else None,
            "unsigned": sequencer.unsigned,  # why the last group was not signed
        }


def _refuse_another_origin(named: str, origin: str | None) -> None:
    if origin is not None and origin != named:
        raise LedgerError(
            Code.ORIGIN_CHANGED,
            f"this log's origin is {named}, not {origin}: the origin is fixed when a log is made, witnesses know it by it",
        )
