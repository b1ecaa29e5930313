"""A whole log in a form that no storage has: `dump` writes it, `ledger.upkeep.load` makes a data folder of it again. docs/backup.md says when.

    dump.json         what it is: origin, verifier key, size, root, the newest signed checkpoint, digests; written last
    entries.parquet   a row an entry (`DUMP_SCHEMA`): seq, leaf hash, id, the signed bytes, contents with their salts, checkpoints; of a
                      retired entry id and bytes are null, and `id_key` is what is left of its id
    persons.parquet   persons still known (`PERSON_SCHEMA`), by the entry that introduced them

Parquet, so that any tool reads it. Nothing in it is trusted when it comes back: the signed bytes say what is true.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory, parse_history
from ledger.core.note import VerifierKey, parse_vkey
from ledger.storage.checking import KEY_BYTES
from ledger.storage.files import sync_folder, write_durably
from ledger.storage.schema import PERSON_SCHEMA, ROW_SCHEMA
from ledger.storage.segment import Segment

FORMAT: Final = 1
ABOUT: Final = "dump.json"
ENTRIES: Final = "entries.parquet"
PERSONS: Final = "persons.parquet"
MAX_ABOUT_BYTES: Final = 1_000_000
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
PERSONS_PER_READ: Final = 50_000  # entries whose persons are read at a time
GROUP_ROWS: Final = 2_048
DUMP_SCHEMA: Final = ROW_SCHEMA.append(pa.field("id_key", pa.binary(KEY_BYTES)))
_COMPRESSION: Final = "zstd"

Progress = Callable[[int, int], None]


class Source(Protocol):
    """What is dumped: an open log, or whatever reads like one."""

    vkey: str

    def key_proof(self) -> bytes:
        """The proof of its keys (`ledger.core.keyhistory`)."""

    def head(self) -> Any:
        """Its newest checkpoint: `size`, `root`, `note`."""

    def rows(self, start: int, end: int, *, contents: bool = True) -> Iterator[pa.RecordBatch]:
        """Entries [start, end) as `ROW_SCHEMA`."""

    def person_rows(self, start: int, end: int) -> pa.Table:
        """Persons they introduced, as `PERSON_SCHEMA`."""

    def segments(self) -> list[Segment]:
        """Its sealed segments, in order."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a dump."""

    bytes: int
    sha256: str


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`dump.json`.

    Attributes:
        format: 1.
        verifier_key: the log's first key; one you have from elsewhere is worth more.
        root: hex.
        checkpoint: the signed note of that size and root.
        keys: the proof of the keys that the log had; None where it never had another.
        contents: whether contents and persons are in it.
        files: by name.
    """

    format: int
    origin: str
    verifier_key: str
    size: int
    root: str
    checkpoint: str
    contents: bool
    files: dict[str, File]
    keys: str | None = None


def dump(source: Source, folder: Path, *, contents: bool = True, progress: Progress | None = None) -> About:
    """Write the log as it is now into a new folder. A crash leaves a folder without `dump.json`, which is no dump.

    Args:
        source: the log; it may grow meanwhile.
        folder: made here; it must not be there, or be empty.
        contents: with contents and persons. Without them it is for reading, and cannot be loaded again.
        progress: told entries done and in all.

    Raises:
        LedgerError: `log-exists`: there is something in the folder; `storage-failed`: an entry cannot be read.
        OSError: a file cannot be written.
    """
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise LedgerError(
            Code.LOG_EXISTS, f"{folder} is not empty: a dump is written into a folder of its own"
        )
    head = source.head()
    rows = _counted(source.rows(0, head.size, contents=contents), head.size, progress)
    files = {ENTRIES: _write(folder / ENTRIES, DUMP_SCHEMA, _keyed(rows, source))}
    if contents:
        files[PERSONS] = _write(folder / PERSONS, PERSON_SCHEMA, _persons(source, head.size))
    about = About(
        FORMAT,
        parse_vkey(source.vkey).name,
        source.vkey,
        head.size,
        head.root.hex(),
        head.note.decode(),
        contents,
        files,
        source.key_proof().decode(),
    )
    write_durably(folder / ABOUT, msgspec.json.format(msgspec.json.encode(about), indent=2) + b"\n")
    sync_folder(folder.parent)
    return about


def _persons(source: Source, size: int) -> Iterator[pa.RecordBatch]:
    for low in range(0, size, PERSONS_PER_READ):
        yield from source.person_rows(low, min(low + PERSONS_PER_READ, size)).to_batches(GROUP_ROWS)


def _keyed(batches: Iterable[pa.RecordBatch], source: Source) -> Iterator[pa.RecordBatch]:
    """Rows with what is left of the ids of retired entries: without it one of them could be submitted again."""
    keys, start, end = b"", 0, 0
    for batch in batches:
        column: list[bytes | None] = [None] * batch.num_rows
        for at in pc.indices_nonzero(pc.is_null(batch.column("entry"))).to_pylist():
            seq = batch.column("seq")[at].as_py()
            if not start <= seq < end:
                segment = next(each for each in source.segments() if each.start <= seq < each.end)
                keys, start, end = segment.id_keys(), segment.start, segment.end
            column[at] = keys[(seq - start) * KEY_BYTES : (seq - start + 1) * KEY_BYTES]
        yield pa.RecordBatch.from_arrays(
            [*batch.columns, pa.array(column, pa.binary(KEY_BYTES))], schema=DUMP_SCHEMA
        )


def _counted(
    batches: Iterable[pa.RecordBatch], size: int, progress: Progress | None
) -> Iterator[pa.RecordBatch]:
    done = 0
    for batch in batches:
        yield batch
        done += batch.num_rows
        if progress is not None:
            progress(done, size)
    if done != size:
        raise LedgerError(
            Code.STORAGE_FAILED, f"{done} of {size} entries could be read: run `agent-ledger verify`"
        )


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> File:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE), "w+b") as stream:
        with pq.ParquetWriter(stream, schema, compression=_COMPRESSION, use_dictionary=False) as writer:
            for batch in batches:
                writer.write_batch(batch, row_group_size=GROUP_ROWS)
        stream.flush()
        os.fsync(stream.fileno())
        stream.seek(0)
        return File(os.fstat(stream.fileno()).st_size, file_digest(stream, "sha256").hexdigest())


# ---- reading one


def read_about(folder: Path, vkey: VerifierKey | None = None) -> tuple[About, KeyHistory, Checkpoint]:
    """What a dump says it is, its checkpoint's signature checked.

    Args:
        folder: the dump.
        vkey: any of the log's keys as you know it; else the dump's own word.

    Raises:
        LedgerError: `not-found` (no dump, or one that was never finished); `invalid-member`: `dump.json` is none; it is of another log than
            the key's, or its checkpoint does not hold.
    """
    path = folder / ABOUT
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_ABOUT_BYTES + 1)
    except FileNotFoundError:
        raise LedgerError(
            Code.NOT_FOUND, f"there is no {ABOUT} in {folder}: it is no dump, or one that was never finished"
        ) from None
    try:
        about = msgspec.json.decode(data, type=About)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LedgerError(Code.INVALID_MEMBER, f"{path} cannot be read: {error}") from None
    if about.format != FORMAT:
        raise LedgerError(
            Code.INVALID_MEMBER,
            f"{path} has format {about.format} and this release knows {FORMAT}: use a later one",
        )
    if about.files.keys() != ({ENTRIES, PERSONS} if about.contents else {ENTRIES}):
        raise LedgerError(
            Code.INVALID_MEMBER, f"{path} names other files than a dump has: {sorted(about.files)}"
        )
    key = vkey or parse_vkey(about.verifier_key)
    keys = KeyHistory.begin(key) if about.keys is None else parse_history(about.keys.encode(), key)
    head = keys.open(about.checkpoint.encode(), own=True)
    if (head.origin, head.size, head.root.hex()) != (about.origin, about.size, about.root):
        raise LedgerError(
            Code.ORIGIN_MISMATCH,
            f"{path} says {about.origin}, {about.size} entries, and the checkpoint in it {head.origin}, {head.size} entries",
        )
    return about, keys, head


def check_files(folder: Path, about: About) -> None:
    """See that the files are as long as they were written, and what was written.

    Raises:
        LedgerError: `evidence-altered`: which one is not.
        OSError: one cannot be read.
    """
    for name, told in about.files.items():
        path = folder / name
        size = path.stat().st_size
        if size != told.bytes:
            raise LedgerError(
                Code.EVIDENCE_ALTERED,
                f"{path} has {size} bytes, and {ABOUT} says {told.bytes}: it was cut or altered",
            )
        with path.open("rb") as stream:
            if file_digest(stream, "sha256").hexdigest() != told.sha256:
                raise LedgerError(
                    Code.EVIDENCE_ALTERED, f"{path} is not what was written: its digest differs"
                )
