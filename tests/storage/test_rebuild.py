"""A new generation of a segment's files: what is gone is gone from the disk, and all else is as it was."""

import pyarrow.parquet as pq
import pytest

from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.storage.build import Rebuild
from ledger.storage.checking import id_key
from ledger.storage.contents import parse_contents
from ledger.storage.manifest import (
    CONTENTS,
    ENTRIES,
    FACTS,
    ROLES,
    Manifest,
    manifest_digest,
    manifest_name,
    sign_manifest,
)
from ledger.storage.parquet import ParquetReader
from ledger.storage.removed import Removed
from ledger.storage.synced import opened_up
from tests.storage.sealing import ORIGIN, SIGNER, a_log, is_own, opened, whole


@pytest.fixture
def log():
    return a_log(2600)


def renewed(folder, rebuilt):
    """The segment under a manifest of the new generation, the old files gone."""
    old = opened(folder).manifest
    note = (folder / manifest_name(old.generation)).read_bytes()
    manifest = Manifest(
        ORIGIN,
        old.start,
        old.end,
        old.generation + 1,
        old.root,
        old.checkpoint,
        rebuilt.files,
        old.previous,
        manifest_digest(note),
    )
    with opened_up(folder):
        (folder / manifest_name(manifest.generation)).write_bytes(sign_manifest(manifest, SIGNER))
        for name in rebuilt.replaced:
            (folder / name).unlink()
    return opened(folder)


def every_byte(folder):
    """What any reader could find: the files as they stand, and all that Parquet gives out of them."""
    found = b"".join(path.read_bytes() for path in folder.iterdir())
    for path in folder.glob("*.parquet"):
        reader = ParquetReader(path)
        for group in range(len(reader.rows())):
            found += repr(reader.read(group).to_pydict()).encode()
            found += repr(pq.ParquetFile(path).metadata.row_group(group).to_dict()).encode()
    return found


def test_contents_that_were_erased_are_in_no_byte_of_the_segment(log, tmp_path):
    folder, _ = log.seal(tmp_path, 0, 2551)
    removed = Removed(contents=Ranges([(100, 200)]), erased={"tool.arguments": Ranges([(2000, 2010)])})
    gone = [c.salt for row in log.rows[100:200] for c in row.contents]
    gone += [c.salt for row in log.rows[2000:2010] for c in row.contents if c.member == "tool.arguments"]
    assert all(salt.hex().encode() in every_byte(folder) for salt in gone[::40])
    rebuilt = Rebuild(opened(folder), removed, entries=False, contents=True).run()
    assert (sorted(rebuilt.files), rebuilt.replaced) == (
        sorted({*ROLES} - {CONTENTS} | {"contents-2.parquet"}),
        [CONTENTS],
    )
    segment = renewed(folder, rebuilt)
    bytes_left = every_byte(folder)
    assert not any(salt.hex().encode() in bytes_left for salt in gone)
    assert b'please do 150"' not in bytes_left
    expected = removed.cover(log.table(0, 2551).combine_chunks().to_batches()[0])
    assert whole(segment).combine_chunks().to_batches()[0].equals(expected)
    assert segment.digest_mismatches() == []
    assert [c.member for c in parse_contents(segment.row(2005)[4])] == ["request.text"]
    assert folder.stat().st_mode & 0o777 == 0o555


def test_retired_entries_leave_their_hash_their_key_and_no_other_byte(log, tmp_path):
    folder, _ = log.seal(tmp_path, 0, 2551)
    removed = Removed(entries=Ranges([(1, 90), (2047, 2049)]))
    segment = renewed(folder, Rebuild(opened(folder), removed, entries=True, contents=True).run())
    bytes_left = every_byte(folder)
    kept = [row for row in log.rows[1:90] if is_own(row) and b"log.query_run" not in row.entry]
    retired = [row for row in [*log.rows[1:90], *log.rows[2047:2049]] if row not in kept]
    assert kept
    assert any(b"log.query_run" in row.entry for row in retired)
    for row in retired:
        assert b'"id":"%b"' % row.id.encode() not in bytes_left
        assert row.id.encode() + b"'" not in bytes_left
        assert segment.row(row.seq) == (row.seq, row.hash, None, None, "[]", segment.row(row.seq)[5])
        assert segment.known([row.seq])[row.seq] == (row.hash, b"", {})
    for row in kept:
        assert segment.entries(row.seq, row.seq + 1) == [row.entry]
    with pytest.raises(LedgerError, match="entry 2 was retired") as caught:
        segment.entries(0, 100)
    assert caught.value.code is Code.RETIRED
    assert segment.hashes(0, 2551) == log.hashes(0, 2551)
    assert segment.id_keys() == b"".join(id_key(row.id) for row in log.rows[:2551])
    assert segment.own_entries()
    assert {row.id for row in retired}.isdisjoint(dict(segment.ids()))
    left = [row for batch in segment.rows(90, 2047) for row in batch.to_pylist()]
    assert left == log.table(90, 2047).to_pylist()
    facts = ParquetReader(segment.path(FACTS)).read(0)
    assert facts.slice(3, 1).to_pylist()[0] == dict.fromkeys(facts.column_names) | {"seq": 3}


def test_a_generation_is_made_of_the_one_before(log, tmp_path):
    folder, _ = log.seal(tmp_path, 0, 2551)
    first = Removed(entries=Ranges([(10, 20)]))
    second = Removed(entries=Ranges([(10, 30)]), contents=Ranges([(500, 600)]))
    renewed(folder, Rebuild(opened(folder), first, entries=True, contents=True).run())
    segment = renewed(folder, Rebuild(opened(folder), second, entries=True, contents=True).run())
    assert segment.manifest.file(ENTRIES) == "entries-3.parquet"
    assert [segment.row(seq)[3] is None for seq in (9, 10, 29, 30)] == [False, True, True, False]
    made = {"contents-3.parquet", "entries-3.parquet", "facts-3.parquet"}
    stayed = {"hashes", "keys", "own.jsonl", "tiles", "manifest-1", "manifest-2", "manifest-3"}
    assert {path.name for path in folder.iterdir()} == made | stayed


def test_nothing_is_made_of_a_file_that_was_altered(log, tmp_path):
    folder, _ = log.seal(tmp_path, 0, 2551)
    path = folder / CONTENTS
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    rebuild = Rebuild(opened(folder), Removed(contents=Ranges([(5, 6)])), entries=False, contents=True)
    with pytest.raises(LedgerError, match=r"contents\.parquet"):
        rebuild.run()
    assert not (folder / "contents-2.parquet").exists()
