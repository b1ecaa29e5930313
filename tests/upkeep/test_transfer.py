"""A whole log in no storage's form and back: same root, checkpoints and receipts; what was altered on the way is refused with its place."""

import json
from hashlib import sha256

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.audit.fsck import verify_folder
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash
from ledger.core.ranges import Ranges
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from ledger.storage.layout import hot_files
from ledger.upkeep.load import load
from ledger.upkeep.outside import Seen
from ledger.upkeep.sources import opened_folder
from ledger.upkeep.transfer import ABOUT, ENTRIES, PERSONS, dump
from tests.log.conftest import ORIGIN, post, record
from tests.upkeep.conftest import grow, save


@pytest.fixture
def dumped(log, tmp_path):
    dump(log, tmp_path / "dump")
    return tmp_path / "dump"


@pytest.fixture
def key(tmp_path):
    return tmp_path / "data" / "log.key"


def everything(source):
    """All that is in a log, by column."""
    size = source.head().size
    rows = pa.Table.from_batches(source.rows(0, size)).to_pydict()
    return rows, source.person_rows(0, size).to_pydict()


def loaded(dumped, data, **options):
    load(dumped, data, **options)
    with opened_folder(data) as source:
        return everything(source)


@pytest.mark.parametrize("entries_per_file", [1, 3, 200_000])
def test_evidence_has_every_byte_that_the_log_had_however_it_is_cut(log, dumped, tmp_path, entries_per_file):
    assert loaded(dumped, tmp_path / "back", entries_per_file=entries_per_file) == everything(log)
    assert len(hot_files(tmp_path / "back")) == {1: 2, 3: 1, 200_000: 1}[entries_per_file], (
        "a group commit stays whole"
    )


def test_with_its_key_it_goes_on_and_its_receipts_are_the_same(log, dumped, key, tmp_path):
    receipt, head = log.receipt(4), log.head()
    load(dumped, tmp_path / "back", key=key, seen=[Seen("a client", head.note)])
    back = Log.open(tmp_path / "back", accept_missing_anchor=True)
    try:
        assert back.head().note == head.note
        assert back.receipt(4) == receipt
        (again, new) = post(back, record(3, request={"user": "u3@example.com", "text": "hi"}), record(99))
        assert (again.existing, new.seq) == (True, 11)
        back.seal()
    finally:
        back.close()
    assert verify_folder(tmp_path / "back", pins=[head.note], receipts=[receipt]).findings == ()


def test_without_its_key_it_is_evidence_and_is_not_served(dumped, tmp_path):
    load(dumped, tmp_path / "back")
    assert verify_folder(tmp_path / "back").findings == ()
    with pytest.raises(LedgerError, match="evidence"):
        Log.open(tmp_path / "back")


def test_a_backup_is_dumped_without_being_changed_or_stopped(log, tmp_path):
    made = save(log, tmp_path / "set")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in made.folder.rglob("*")}
    with opened_folder(made.folder) as source:
        assert everything(source) == everything(log)
        dump(source, tmp_path / "dump")
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in made.folder.rglob("*")} == before


def test_a_log_that_was_seen_further_is_not_continued(log, dumped, key, tmp_path):
    grow(log, 10, 12)
    with pytest.raises(LedgerError, match="seen 13") as caught:
        load(dumped, tmp_path / "back", key=key, seen=[Seen("a client", log.head().note)])
    assert caught.value.code is Code.ROLLED_BACK


def test_without_contents_it_is_for_reading_only(log, tmp_path):
    dump(log, tmp_path / "dump", contents=False)
    assert not (tmp_path / "dump" / PERSONS).exists()
    assert set(pq.read_table(tmp_path / "dump" / ENTRIES)["contents"].to_pylist()) == {"[]"}
    with pytest.raises(LedgerError, match="for reading"):
        load(tmp_path / "dump", tmp_path / "back")


def test_a_folder_with_something_in_it_is_not_dumped_into(log, dumped):
    with pytest.raises(LedgerError) as caught:
        dump(log, dumped)
    assert caught.value.code is Code.LOG_EXISTS


def test_retired_entries_keep_their_places_and_ids_in_segments_and_in_nothing_else(log, tmp_path, key):
    log.seal()
    retire(log, "old", Removes.ENTRIES, Ranges([(2, 4)]))
    receipt = log.receipt(3)
    dump(log, tmp_path / "dump")
    refused(tmp_path / "dump", tmp_path, match="--sealed", key=key)
    load(tmp_path / "dump", tmp_path / "back", key=key, sealed=True, entries_per_file=3)
    report = verify_folder(tmp_path / "back", pins=[log.head().note], receipts=[receipt])
    assert report.findings == ()
    back = Log.open(tmp_path / "back", accept_missing_anchor=True)
    try:
        assert back.receipt(3) == receipt
        (again,) = post(back, record(2, request={"user": "u2@example.com", "text": "hi"}))
        assert isinstance(again, LedgerError)
        assert again.code is Code.RETIRED
    finally:
        back.close()


# ---- hostile


def refused(dumped, tmp_path, *, match, **options):
    with pytest.raises(LedgerError, match=match) as caught:
        load(dumped, tmp_path / "back", **options)
    assert not list(tmp_path.glob("back")), "nothing is left"
    assert not list(tmp_path.glob(".back*")), "nothing is left"
    return caught.value


def rewrite(dumped, name, change):
    """Alter a file as somebody does who can also write `dump.json` anew."""
    table = change(pq.read_table(dumped / name))
    pq.write_table(table, dumped / name, compression="zstd")
    data = (dumped / name).read_bytes()
    about = json.loads((dumped / ABOUT).read_bytes())
    about["files"][name] = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
    (dumped / ABOUT).write_text(json.dumps(about))


def column(table, name, change):
    values = table.column(name).to_pylist()
    change(values)
    at = table.schema.get_field_index(name)
    return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))


def with_value(at, value):
    return lambda values: values.__setitem__(at, value)


def test_a_cut_file_is_told_by_its_name(dumped, tmp_path):
    data = (dumped / ENTRIES).read_bytes()
    (dumped / ENTRIES).write_bytes(data[:-100])
    refused(dumped, tmp_path, match=r"entries\.parquet has \d+ bytes")
    (dumped / ENTRIES).write_bytes(data[:-1] + b"x")
    refused(dumped, tmp_path, match=r"entries\.parquet is not what was written")


def test_what_is_no_parquet_is_told(dumped, tmp_path):
    rewrite(dumped, ENTRIES, lambda table: table)
    junk = b"PAR1" + b"\xff" * 400 + b"PAR1"
    (dumped / ENTRIES).write_bytes(junk)
    about = json.loads((dumped / ABOUT).read_bytes())
    about["files"][ENTRIES] = {"bytes": len(junk), "sha256": sha256(junk).hexdigest()}
    (dumped / ABOUT).write_text(json.dumps(about))
    refused(dumped, tmp_path, match="Parquet cannot be read")


def forged(values):
    values[4] = values[4].replace("send_money", "read_money")


CHANGES = {
    "rows in another order": (ENTRIES, lambda t: t.take([0, 2, 1, *range(3, 11)]), "row 1 is of entry 2"),
    "a row is gone": (ENTRIES, lambda t: t.take([*range(5), *range(6, 11)]), "row 5 is of entry 6"),
    "a row twice": (ENTRIES, lambda t: t.take([0, 1, 1, *range(2, 11)]), "row 2 is of entry 1"),
    "cut at its end": (ENTRIES, lambda t: t.slice(0, 8), "8 entries, and the checkpoint is of 11"),
    "an entry altered": (ENTRIES, lambda t: column(t, "entry", forged), "entry 4"),
    "a hash altered": (ENTRIES, lambda t: column(t, "hash", with_value(4, bytes(32))), "entry 4"),
    "an id altered": (ENTRIES, lambda t: column(t, "id", with_value(4, "other")), "entry 4"),
    "a content altered": (
        ENTRIES,
        lambda t: column(t, "contents", lambda v: v.__setitem__(4, v[4].replace('"hi"', '"ho"'))),
        "entry 4",
    ),
    "a content gone": (ENTRIES, lambda t: column(t, "contents", with_value(4, "[]")), "entry 4"),
    "no checkpoint at its end": (
        ENTRIES,
        lambda t: column(t, "checkpoint", with_value(10, None)),
        "checkpoint",
    ),
    "a person altered": (PERSONS, lambda t: column(t, "value", with_value(0, '"mallory"')), "person"),
    "a person gone": (PERSONS, lambda t: t.slice(1), "entry 1"),
    "a person of nobody": (PERSONS, lambda t: column(t, "seq", with_value(-1, 500)), "does not have"),
    "another column": (ENTRIES, lambda t: t.append_column("more", pa.array(range(11))), "columns"),
    "a column is gone": (ENTRIES, lambda t: t.drop_columns(["hash"]), "columns"),
    "no hash": (ENTRIES, lambda t: column(t, "hash", with_value(4, None)), "no hash"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_altered_is_refused_with_its_place(dumped, tmp_path, change):
    name, alter, match = CHANGES[change]
    rewrite(dumped, name, alter)
    refused(dumped, tmp_path, match=match, entries_per_file=3)


def test_another_history_with_true_hashes_is_refused_by_the_signed_root(dumped, tmp_path):
    def rewritten(table):
        entries = table.column("entry").to_pylist()
        last = entries[10].replace("send_money", "read_money")
        table = column(table, "entry", with_value(10, last))
        return column(table, "hash", with_value(10, leaf_hash(last.encode())))

    rewrite(dumped, ENTRIES, rewritten)
    refused(dumped, tmp_path, match="root")


def test_another_logs_dump_is_refused_under_the_key_that_is_known(dumped, tmp_path):
    Log.create(tmp_path / "x", "ledger.example/other")
    other = Log.open(tmp_path / "x")
    try:
        from ledger.core.note import parse_vkey  # noqa: PLC0415

        with pytest.raises(LedgerError):
            load(dumped, tmp_path / "back", vkey=parse_vkey(other.vkey))
    finally:
        other.close()
    assert refused(dumped, tmp_path, match="key", key=tmp_path / "x" / "log.key").code is Code.ORIGIN_CHANGED


@pytest.mark.parametrize("said", [b"", b"[]", b"{}", b'{"format": 1}', b'{"origin": "\xb0"}', b"{" * 100_000])
def test_a_dump_that_does_not_say_what_it_is_is_refused(dumped, tmp_path, said):
    (dumped / ABOUT).write_bytes(said)
    refused(dumped, tmp_path, match=r"dump\.json")


def test_an_unfinished_dump_is_none(dumped, tmp_path):
    (dumped / ABOUT).unlink()
    refused(dumped, tmp_path, match="never finished")


# ---- any log


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_log_comes_back_with_the_same_root_checkpoints_and_receipts(tmp_path_factory, data):
    place = tmp_path_factory.mktemp("any")
    Log.create(place / "data", ORIGIN)
    log = Log.open(place / "data")
    try:
        number = 0
        for _ in range(data.draw(st.integers(1, 4))):
            count = data.draw(st.integers(1, 5))
            grow(log, number, number + count)
            number += count
            if data.draw(st.booleans()):
                log.seal()
            if data.draw(st.booleans()):
                seq = data.draw(st.integers(1, log.head().size - 1))
                if "tool" in parse_entry(log.entry(seq)).members:
                    log.erase([(seq, "tool.arguments")], by="token:dpo", ground="asked")
        receipts = [log.receipt(seq) for seq in range(log.head().size)]
        if data.draw(st.booleans()):  # all retired so far: only segments keep their places
            log.seal()
            retire_some(log, data)
            receipts = [log.receipt(seq) for seq in range(log.head().size)]
        dump(log, place / "dump2")
        want = everything(log)
        sealed = None in want[0]["entry"] or data.draw(st.booleans())
        per_file = data.draw(st.integers(1, 20))
        key = place / "data" / "log.key"
        load(place / "dump2", place / "back", key=key, sealed=sealed, entries_per_file=per_file)
        assert everything_of(place / "back") == want
        report = verify_folder(place / "back", pins=[log.head().note], receipts=receipts)
        assert report.findings == ()
        assert all(anchor.agrees for anchor in report.anchors)
    finally:
        log.close()


def retire_some(log, data):
    """Retire entries as a policy does; never the log's own."""
    seqs = [seq for seq in range(log.head().size) if parse_entry(log.entry(seq)).submitter != "log"]
    gone = data.draw(st.sets(st.sampled_from(seqs), min_size=1))
    retire(log, "old", Removes.ENTRIES, Ranges((seq, seq + 1) for seq in gone))


def everything_of(data):
    log = Log.open(data, accept_missing_anchor=True)
    try:
        before = everything(log)
        log.seal()
        assert everything(log) == before
        return before
    finally:
        log.close()
