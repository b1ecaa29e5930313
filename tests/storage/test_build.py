"""A segment's files: made by a process of their own, and believed only after they were read back."""

import os
import re
import resource
import signal
import threading

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash, root_of
from ledger.forensics.evidence import CHECKED_CONTENT
from ledger.records.columns import column_name
from ledger.records.members import CONTENTS as MEMBER_CONTENTS
from ledger.records.members import PERSONS
from ledger.records.resources import schema_text
from ledger.storage.checking import id_key, table_digest
from ledger.storage.facts import FactsFile
from ledger.storage.making import Job, Steps, check_rows, write_rows
from ledger.storage.manifest import CONTENTS, ENTRIES, FACTS, ROLES
from tests.storage.sealing import ORIGIN, SIGNER, a_log, batches, is_own, opened


@pytest.fixture(scope="module")
def log():
    return a_log(5000)


def test_a_worker_makes_every_file_of_a_segment_and_the_root_that_was_signed(log, tmp_path):
    start, end = 351, 4951
    folder, built = log.seal(tmp_path, start, end)
    assert sorted(built.files) == sorted(ROLES)
    assert built.root == log.frontier(end).root()
    assert built.frontier == log.frontier(end).nodes()
    assert (folder / "hashes").read_bytes() == b"".join(log.hashes(start, end))
    assert (folder / "keys").read_bytes() == b"".join(id_key(row.id) for row in log.rows[start:end])
    tiles = [root_of(log.hashes(low, low + 256)) for low in range(256, end - 255, 256)]
    assert (folder / "tiles").read_bytes() == b"".join(tiles)
    own = [row.entry for row in log.rows[start:end] if is_own(row) and b"log.query_run" not in row.entry]
    assert (folder / "own.jsonl").read_bytes() == b"".join(entry + b"\n" for entry in own)
    for name, info in built.files.items():
        assert (folder / name).stat().st_size == info.bytes
        assert (folder / name).stat().st_mode & 0o777 == 0o444


def test_row_groups_are_full_so_that_a_row_is_found_by_its_number(log, tmp_path):
    folder, _ = log.seal(tmp_path, 0, 4951)
    metadata = pq.read_metadata(folder / "entries.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [2048, 2048, 855]


def changed(table, name, seq, value):
    """The rows with one value otherwise."""
    values = table.column(name).to_pylist()
    values[seq] = value(values[seq]) if callable(value) else value
    place = table.schema.get_field_index(name)
    return table.set_column(
        place, table.schema.field(place), pa.array(values, table.schema.field(place).type)
    )


OTHER_NOTE = sign_checkpoint(Checkpoint(ORIGIN, 51, bytes(32)), SIGNER).decode()
OTHER_SIZE = sign_checkpoint(Checkpoint(ORIGIN, 52, bytes(32)), SIGNER).decode()
SALT = re.compile('"[0-9a-f]{32}"')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seq", 7, 8), "entries 0 to 100 are not there one after the other"),
        (("hash", 7, bytes(32)), "bytes of entry 7 do not have the hash"),
        (
            ("entry", 7, lambda entry: entry.replace("money", "honey")),
            "bytes of entry 7 do not have the hash",
        ),
        (("id", 7, "rec-7"), "id of entry 7 is 'rec-7', and the entry says 'rec-00006'"),
        (("checkpoint", 50, OTHER_NOTE), "entries before 51 do not have the root"),
        (("checkpoint", 50, OTHER_SIZE), "checkpoint on entry 50 is of another log or size"),
        (("checkpoint", 100, None), "does not end where its checkpoint does"),
        (
            ("contents", 7, lambda text: SALT.sub(f'"{"ab" * 16}"', text, 1)),
            "request.text of entry 7 is not what",
        ),
        (("contents", 7, lambda text: f"{text[:-1]},{text[1:]}"), "has a content twice"),
        (
            ("contents", 7, lambda text: text.replace("tool.arguments", "tool.name")),
            "contents of 'tool.name'",
        ),
        (("contents", 7, "[ ]"), "not as the ledger writes them"),
    ],
)
def test_a_row_that_is_not_what_the_log_signed_is_named_and_no_file_is_left(log, tmp_path, change, said):
    table = changed(log.table(0, 101), *change)
    with pytest.raises(LedgerError, match=said) as caught:
        log.build(tmp_path, 0, 101).run(batches(table))
    assert caught.value.code is Code.STORAGE_FAILED
    assert list(tmp_path.iterdir()) == []


def test_an_entry_that_follows_another_one_is_named(log, tmp_path):
    """Its own hash holds: only the chain tells."""
    table = log.table(0, 101)
    entry = log.rows[7].entry.replace(log.rows[6].hash.hex().encode(), b"ab" * 32)
    table = changed(changed(table, "entry", 7, entry.decode()), "hash", 7, leaf_hash(entry))
    with pytest.raises(LedgerError, match="entry 7 does not follow entry 6"):
        log.build(tmp_path, 0, 101).run(batches(table))


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0, 90, "end after 90 of 101"), (0, 151, "more than the 101")]
)
def test_fewer_or_more_rows_than_were_announced_are_refused(log, tmp_path, low, high, said):
    with pytest.raises(LedgerError, match=said):
        log.build(tmp_path, 0, 101).run(batches(log.table(low, high)))


def test_rows_that_cannot_be_read_end_the_worker_and_say_why(log, tmp_path):
    def rows():
        yield from batches(log.table(0, 50))
        raise LedgerError(Code.STORAGE_FAILED, "the hot file cannot be read")

    with pytest.raises(LedgerError, match="the hot file cannot be read"):
        log.build(tmp_path, 0, 101).run(rows())
    assert list(tmp_path.iterdir()) == []


def test_a_worker_is_stopped_from_another_thread_whatever_it_does(log, tmp_path):
    build = log.build(tmp_path, 0, 101)

    def rows():
        yield from batches(log.table(0, 50))
        threading.Timer(0.05, build.kill).start()
        while True:  # the pipe is full after a while: only the worker's end lets this go on
            yield from batches(log.table(50, 51))

    with pytest.raises(LedgerError, match="it was stopped"):
        build.run(rows())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(LedgerError, match="it was stopped"):
        build.run(batches(log.table(0, 101)))


def test_a_worker_that_dies_is_told_and_its_files_are_gone(log, tmp_path):
    build = log.build(tmp_path, 0, 101)

    def rows():
        yield from batches(log.table(0, 50))
        os.kill(build._process.pid, signal.SIGKILL)
        yield from batches(log.table(50, 101))

    with pytest.raises(LedgerError, match="its process died"):
        build.run(rows())
    assert list(tmp_path.iterdir()) == []


def test_a_worker_is_made_nicer_while_it_runs(log, tmp_path):
    build = log.build(tmp_path, 0, 101)
    nice = []

    def rows():
        yield from batches(log.table(0, 50))
        nice.append(build.renice(19))
        nice.append(os.getpriority(os.PRIO_PROCESS, build._process.pid))
        nice.append(os.getsid(build._process.pid) == os.getsid(0))  # in another it would count for nothing
        yield from batches(log.table(50, 101))

    assert not build.renice(19)
    build.run(rows())
    assert nice == [True, 19, True]


def test_a_full_disk_is_told_with_the_systems_own_words(log, tmp_path):
    """RLIMIT_FSIZE is inherited: to the worker the disk ends after 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    build = log.build(tmp_path, 0, 4951)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
        with pytest.raises(LedgerError, match="File too large"):
            build.run(batches(log.table(0, 4951)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [ENTRIES, CONTENTS])
def test_a_disk_that_gives_back_other_bytes_is_found_out(log, tmp_path, name):
    job = Job(tmp_path, 0, 101, ORIGIN, log.notes[100], [], [])
    rows = write_rows(job, batches(log.table(0, 101)), Steps())
    path = tmp_path / name
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(LedgerError, match=f"{name} reads back otherwise"):
        check_rows(job, rows, Steps())


def test_fact_columns_that_read_back_otherwise_are_found_out(log, tmp_path):
    facts = FactsFile(tmp_path / FACTS)
    facts.add(log.table(0, 101))
    facts.finish()
    other = FactsFile(tmp_path / FACTS)
    other.add(changed(log.table(0, 101), "entry", 7, log.rows[8].entry.decode()))
    other.finish()
    with pytest.raises(LedgerError, match="row group 0 does not hold what its entries say"):
        facts.check()


def test_the_fact_columns_are_those_of_the_projection(log, tmp_path):
    """schemas/facts.sql beside schemas/projection.sql, over the same entries."""
    folder, _ = log.seal(tmp_path, 0, 101)
    entries = log.table(0, 101).drop(["contents"])
    none = [[] for _ in range(101)]
    entries = entries.append_column("contents", pa.array(none, pa.list_(CHECKED_CONTENT)))
    persons = pa.table({"commitment": pa.array([], pa.string()), "value": pa.array([], pa.string())})
    with duckdb.connect(config={"threads": 1}) as db:
        db.execute("SET GLOBAL TimeZone = 'UTC'")
        db.register("entries", entries)
        db.register("persons", persons)
        projected = db.sql(schema_text("projection.sql")).to_arrow_table()
    facts = pq.read_table(folder / FACTS)
    assert facts.equals(projected.select(facts.column_names).cast(facts.schema))
    left_out = set(projected.column_names) - set(facts.column_names)
    assert left_out == {"leaf_hash", *(column_name(member) for member in (*MEMBER_CONTENTS, *PERSONS))}


def test_a_digest_of_a_table_depends_on_its_values_alone():
    table = pa.table({"a": ["x", None, "yz", ""], "b": [1, None, 3, 0], "c": [["p"], None, [], ["q", None]]})
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    padded = pa.concat_tables([table.slice(3), table]).combine_chunks().slice(1)
    assert table_digest(table) == table_digest(chunked) == table_digest(padded)
    for other in [
        pa.table({**table.to_pydict(), "a": ["x", "", "yz", ""]}),
        pa.table({**table.to_pydict(), "a": ["xy", None, "z", ""]}),
        pa.table({**table.to_pydict(), "b": [1, 0, 3, 0]}),
        pa.table({**table.to_pydict(), "c": [["p"], [], [], ["q", None]]}),
        pa.table({**table.to_pydict(), "c": [["p"], None, ["q"], [None]]}),
        pa.table({**table.to_pydict(), "c": [["p"], None, [], ["q", ""]]}),
    ]:
        assert table_digest(other) != table_digest(table)


def test_a_worker_ends_by_itself_where_nobody_waits_for_it(log, tmp_path):
    build = log.build(tmp_path, 0, 101)
    pids = []

    def rows():
        yield from batches(log.table(0, 50))
        pids.append(build._process.pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build.run(rows())
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_of_a_retired_entry_the_key_of_its_id_is_sealed_and_not_its_id(log, tmp_path):
    table = changed(changed(log.table(0, 101), "entry", 7, None), "contents", 7, "[]")
    folder, _ = log.seal(tmp_path, 0, 101, rows=batches(table))
    segment = opened(folder)
    assert segment.row(7) == (7, log.rows[7].hash, None, None, "[]", None)
    assert segment.id_keys() == b"".join(id_key(row.id) for row in log.rows[:101])
    assert log.rows[7].id not in repr(pq.read_table(folder / ENTRIES).to_pydict())
