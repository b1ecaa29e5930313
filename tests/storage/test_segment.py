"""A sealed segment, read: what a hot file gave, byte for byte."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.records.prepare import own_record
from ledger.storage import hot as hot_file
from ledger.storage.parquet import Decoded, ParquetReader
from ledger.storage.schema import ROW_SCHEMA
from tests.storage.sealing import ORIGIN, MemoryLog, a_log, action, column, is_own, opened, whole

HotFile = getattr(hot_file, "HotFile", None) or hot_file.Store


@pytest.fixture(scope="module")
def log():
    return a_log(5000)


@pytest.fixture(scope="module")
def segment(log, tmp_path_factory):
    first, _ = log.seal(tmp_path_factory.mktemp("segments"), 0, 351)
    folder, _ = log.seal(first.parent, 351, 4951, previous=(first / "manifest-1").read_bytes())
    return opened(folder)


def test_the_rows_are_those_that_were_sealed(log, segment):
    assert whole(segment).equals(log.table(351, 4951))
    assert whole(segment).schema == ROW_SCHEMA


def test_a_range_is_clipped_to_what_is_here(log, segment):
    for low, high in [(0, 400), (2390, 2410), (351, 352), (4950, 9000), (400, 400), (5000, 6000), (7, 3)]:
        rows = [row for batch in segment.rows(low, high) for row in batch.to_pylist()]
        assert rows == log.table(max(low, 351), max(min(high, 4951), 351)).to_pylist()
        assert segment.hashes(low, high) == log.hashes(max(low, 351), max(min(high, 4951), 351))


def test_without_contents_their_texts_hold_none(log, segment):
    rows = whole(segment, contents=False)
    assert set(column(rows, "contents")) == {"[]"}
    assert rows.drop(["contents"]).equals(log.table(351, 4951).drop(["contents"]))


def test_single_rows_ids_keys_and_own_entries(log, segment):
    assert segment.row(400) == tuple(log.table(400, 401).to_pylist()[0].values())
    assert segment.row(350) is None
    assert segment.row(4951) is None
    assert list(segment.ids()) == [(row.id, row.seq) for row in log.rows[351:4951]]
    assert segment.entries(2000, 2500) == [row.entry for row in log.rows[2000:2500]]
    own = [row.entry for row in log.rows[351:4951] if is_own(row) and b"log.query_run" not in row.entry]
    assert segment.own_entries() == own
    assert len(segment.tile_roots()) == 32 * (4951 // 256 - 351 // 256)
    known = segment.known([4000, 12, 400])
    assert list(known) == [400, 4000]
    row = log.rows[4000]
    assert known[4000] == (row.hash, row.entry, {c.member: c.salt for c in row.contents})


def test_what_is_unharmed_has_no_mismatches(segment):
    assert segment.digest_mismatches() == []


texts = st.text(max_size=30)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | texts, st.lists, max_leaves=4
)
actions = st.fixed_dictionaries(
    {},
    optional={
        "request": st.fixed_dictionaries(
            {"text": values}, optional={"user": st.text(min_size=1, max_size=20)}
        ),
        "tool": st.fixed_dictionaries({"name": st.just("t"), "arguments": values}),
        "outcome": st.fixed_dictionaries({"status": st.just("success"), "result": values}),
        "ext": st.dictionaries(st.sampled_from(["acme.a", "acme.b"]), st.integers(0, 9) | texts, min_size=1),
    },
)
groups = st.lists(
    st.lists(actions | st.sampled_from(["log.query_run", "log.access_granted"]), min_size=1, max_size=6),
    min_size=1,
    max_size=12,
)


def a_log_of(groups):
    log = MemoryLog()
    log.commit(own_record("log.created", {"log.origin": ORIGIN}))
    numbers = count()
    for group in groups:
        log.commit(
            *(
                own_record(item, {"log.n": next(numbers)})
                if isinstance(item, str)
                else {"id": f"r-{next(numbers)}", "type": "action", "time": "2026-11-21T09:30:00Z", **item}
                for item in group
            )
        )
    return log


@settings(max_examples=12, deadline=None)
@given(groups, st.randoms())
def test_whatever_a_log_holds_a_segment_gives_back_byte_for_byte(tmp_path_factory, groups, random):
    log = a_log_of(groups)
    ends = sorted(random.sample(sorted(log.notes), min(2, len(log.notes))))
    start, end = (ends[0] + 1, ends[1] + 1) if len(ends) > 1 else (0, ends[0] + 1)
    folder, built = log.seal(tmp_path_factory.mktemp("property"), start, end)
    segment = opened(folder)
    assert whole(segment).equals(log.table(start, end))
    assert built.root == log.frontier(end).root()
    for seq in range(start, end):
        assert segment.row(seq) == tuple(log.table(seq, seq + 1).to_pylist()[0].values())
    assert segment.digest_mismatches() == []


def test_a_segment_gives_the_rows_that_the_hot_file_gave(log, tmp_path):
    hot = HotFile.create(tmp_path / "hot.duckdb")
    rows = log.rows[:351]
    for end in sorted(seq + 1 for seq in log.notes if seq < 351):
        begin = max((seq + 1 for seq in log.notes if seq + 1 < end), default=0)
        hot.append(rows[begin:end], [], log.notes[end - 1])
    folder, _ = log.seal(tmp_path / "segments", 0, 351, rows=hot.rows(0, 351))
    given = pa.Table.from_batches(hot.rows(0, 351), ROW_SCHEMA)
    segment = opened(folder)
    assert whole(segment).equals(given)
    assert segment.entries(0, 351) == hot.entries(0, 351)
    assert segment.hashes(0, 351) == hot.hashes(0, 351)
    assert segment.known(range(351)) == hot.known(range(351))
    hot.close()


def test_many_ids_of_one_row_group_cost_one_decode(log, segment, monkeypatch):
    reads = []
    read = ParquetReader.read
    monkeypatch.setattr(ParquetReader, "read", lambda self, *a: reads.append(a) or read(self, *a))
    segment.close()
    fresh = opened(segment.folder)
    fresh.known(range(400, 900))
    assert len(reads) == 2  # entries and contents


def test_what_is_kept_of_what_was_decoded_is_bounded():
    table = pa.table({"a": ["x" * 1000] * 100})
    kept = Decoded(table.nbytes * 3 + 1)
    for number in range(10):
        kept.put("one", number, table)
        kept.get("one", 0)
    assert [number for number in range(10) if kept.get("one", number)] == [0, 8, 9]
    kept.drop("one")
    assert (kept._size, len(kept._kept)) == (0, 0)


def test_threads_read_one_segment_at_once(log, segment):
    fresh = opened(segment.folder)
    expected = log.table(351, 4951)
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(whole, fresh) for _ in range(4)] + [
            pool.submit(fresh.known, [400, 4000]) for _ in range(20)
        ]
        assert all(result.result().equals(expected) for result in results[:4])
        assert all(list(result.result()) == [400, 4000] for result in results[4:])


def test_large_contents_come_in_pieces_of_bounded_size(tmp_path):
    log = MemoryLog()
    log.commit(own_record("log.created", {"log.origin": ORIGIN}))
    log.commit(*(action(n, tool={"name": "t", "arguments": f"{n:02}" * 450_000}) for n in range(1, 100)))
    folder, _ = log.seal(tmp_path, 0, 100)
    batches = list(opened(folder).rows(0, 100))
    assert pa.Table.from_batches(batches, ROW_SCHEMA).equals(log.table())
    assert len(batches) > 3
    assert max(batch.nbytes for batch in batches) < 34 * 1024 * 1024
