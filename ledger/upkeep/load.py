"""Makes a data folder of a dump: `ledger.upkeep.transfer` says what a dump is. Everything in it is hostile until the result has been verified.

    1  digests   of the dump's files, so that a damaged copy is told before anything is written
    2  write     hot files in `.<name>.loading`, beside the folder's place; each ends where a group commit ended
    3  verify    what was written, as an outsider would: chain, roots, signatures, contents, persons; against what others have seen
    4  rename    from here on there is a folder

A crash before 4 leaves `.<name>.loading`, which the next attempt removes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import VerifierKey
from ledger.log.keys import load_key
from ledger.storage.files import sync_folder, write_durably
from ledger.storage.hot import HotFile
from ledger.storage.layout import HOT, KEY, SEGMENTS, hot_path, write_version
from ledger.storage.schema import ROW_SCHEMA
from ledger.upkeep.dumped import People, altered, rows
from ledger.upkeep.loadsealed import write_sealed
from ledger.upkeep.outside import Seen, opened, pins, refuse_further
from ledger.upkeep.place import FOLDER_MODE, Place
from ledger.upkeep.transfer import ENTRIES, PERSONS, Progress, check_files, read_about
from ledger.upkeep.verified import verified

ENTRIES_PER_FILE: Final = 200_000


def load(
    folder: Path,
    data: Path,
    *,
    vkey: VerifierKey | None = None,
    key: Path | None = None,
    sealed: bool = False,
    seen: Sequence[Seen] = (),
    later: KeyHistory | None = None,
    entries_per_file: int = ENTRIES_PER_FILE,
    progress: Progress | None = None,
) -> Checkpoint:
    """Make the data folder `data` of the dump in `folder`. Returns the checkpoint it is at.

    Args:
        folder: the dump.
        data: made here; it must not be there, or be empty.
        vkey: any of the log's keys as you know it; else the dump's own word.
        key: the log's signing key: with it the log can be continued, without it the folder is evidence to read and verify.
        sealed: make sealed segments at once, which `key` signs; else the log seals what is hot when it is served.
        seen: checkpoints others have of the log, its head anchor among them: with `key`, none may know of more than the dump has.
        later: the log's keys, where more is known of them than the dump tells.
        entries_per_file: a hot file, or a segment, ends at the first group commit from there on.
        progress: told entries written and in all.

    Raises:
        LedgerError: `log-exists`; `not-found`, `invalid-member`, `origin-mismatch`: the dump is none; `evidence-altered`: what is wrong in it
            and where; `rolled-back`, `forked`: what others have seen; `key-file`, `origin-changed`: of `key`. Nothing is left.
        OSError: a file cannot be read or written. Nothing is left.
    """
    about, keys, head = read_about(folder, vkey)
    known = opened(seen, later or keys)
    if key is not None:
        _check_key(key, keys)
        refuse_further(known, head.size, f"the dump {folder}")
    if sealed and key is None:
        raise LedgerError(Code.INVALID_PARAMETER, "segments are signed: --sealed needs the log's --key")
    if not about.contents:
        raise LedgerError(
            Code.INVALID_PARAMETER,
            f"{folder} was dumped without contents: it is for reading, and no log can be made of it that explains where they are",
        )
    check_files(folder, about)
    with Place(data, "loading") as building:
        (building / HOT).mkdir(mode=FOLDER_MODE)
        (building / SEGMENTS).mkdir(mode=FOLDER_MODE)
        if sealed and key is not None:
            write_sealed(
                folder,
                building,
                head,
                load_key(key),
                keys,
                entries_per_segment=entries_per_file,
                progress=progress,
            )
        else:
            _write(folder, building, head, entries_per_file, progress)
        write_version(building)
        if key is not None:
            write_durably(building / KEY, key.read_bytes())
        verified(building, keys.first, pins(known, head.size), expected=head, what=f"the dump {folder}")
    return head


def _check_key(path: Path, keys: KeyHistory) -> None:
    if (signer := load_key(path).key) != keys.current:
        raise LedgerError(
            Code.ORIGIN_CHANGED,
            f"{path} is the key {signer}, and the log in the dump is signed with {keys.current}",
        )


def _write(
    folder: Path, building: Path, head: Checkpoint, entries_per_file: int, progress: Progress | None
) -> None:
    writer = _Writer(building, People(folder / PERSONS), entries_per_file)
    try:
        for table in rows(folder / ENTRIES, head.size):
            if table.column("entry").null_count:
                raise LedgerError(
                    Code.RETIRED,
                    f"{folder}: entries were retired by policy, and only sealed segments keep their places: load it with --sealed and its --key",
                )
            writer.add(table.select(ROW_SCHEMA.names))
            if progress is not None:
                progress(writer.size, head.size)
        writer.finish(head.size)
    finally:
        writer.close()
    sync_folder(building / HOT)


class _Writer:
    """Fills hot files, one after the other."""

    def __init__(self, building: Path, people: People, entries_per_file: int) -> None:
        self.size = 0
        self._building, self._people, self._most = building, people, entries_per_file
        self._file: HotFile | None = None
        self._generation = self._start = 0

    def add(self, table: pa.Table) -> None:
        """Take in the next rows. A file ends with the first group commit at which it has its entries."""
        while table.num_rows:
            begun = self.size - self._start if self._file is not None else 0
            ends = pc.indices_nonzero(pc.is_valid(table.column("checkpoint"))).to_pylist()
            taken = next((place + 1 for place in ends if begun + place + 1 >= self._most), None)
            self._put(table.slice(0, taken))
            if taken is None:
                return
            self._end_file()
            table = table.slice(taken)

    def _put(self, table: pa.Table) -> None:
        if self._file is None:
            self._generation += 1
            self._start = self.size
            self._file = HotFile.create(hot_path(self._building, self._generation))
        self.size += table.num_rows
        self._file.load(table, self._people.below(self.size))

    def _end_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def finish(self, size: int) -> None:
        """See that nothing is left over.

        Raises:
            LedgerError: `evidence-altered`.
        """
        if self.size != size:
            raise altered(ENTRIES, f"it has {self.size} entries, and the checkpoint is of {size}")
        self._people.finish(size)
        self._end_file()

    def close(self) -> None:
        """Let go of what is open."""
        if self._file is not None:
            self._file.close(fold=False)
