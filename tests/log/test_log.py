"""The log keeps what it acknowledged, once, in order, signed, and says so truthfully."""

import base64
import errno
import itertools
import json
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from ledger.core.checkpoint import open_checkpoint
from ledger.core.ed25519 import generate
from ledger.core.entry import GENESIS_PREV, commitment, parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash, verify_consistency
from ledger.core.note import parse_vkey
from ledger.core.receipt import verify_receipt
from ledger.core.tiles import parse_bundle
from ledger.log.log import Log
from ledger.storage.contents import parse_contents
from ledger.storage.files import sync_folder
from ledger.storage.layout import hot_path, wal_of
from tests.log.conftest import ORIGIN, post, prepared, record, submit


def test_a_new_log_begins_with_its_own_signed_entry(log: Log):
    stored = log.stored(0)
    entry = parse_entry(stored.entry)
    assert entry.prev == GENESIS_PREV
    assert entry.submitter == "log"
    assert entry.members["type"] == "log.created"
    assert entry.members["ext"] == {"log.format": 1, "log.origin": ORIGIN, "log.vkey": log.vkey}
    head = log.head()
    assert (
        open_checkpoint(head.note, [parse_vkey(log.vkey)], ORIGIN).root
        == leaf_hash(stored.entry)
        == head.root
    )


def test_a_record_gets_the_next_place_and_its_contents_match_their_commitments(log: Log):
    (answer,) = post(log, record(1))
    assert (answer.seq, answer.existing, answer.size) == (1, False, 2)
    stored = log.stored(1)
    entry = parse_entry(stored.entry)
    assert entry.prev == log.stored(0).hash
    assert entry.submitter == "token:test"
    disclosed = {content.member: content for content in stored.contents}
    assert disclosed["tool.arguments"].value == b'{"amount": 12.5, "to": "bob"}'
    for member, content in disclosed.items():
        facet, name = member.split(".")
        assert entry.members[facet][name] == commitment(content.salt, content.value).hex()
    assert [person.value for person in stored.persons] == [b'"alice@example.com"']
    assert stored.persons[0].commitment == entry.members["request"]["user"]


def test_one_person_has_one_commitment_across_records_and_restarts(data: Path):
    log = Log.open(data)
    post(log, record(1), record(2))
    log.close()
    log = Log.open(data)
    post(log, record(3))
    commitments = {parse_entry(log.stored(seq).entry).members["request"]["user"] for seq in (1, 2, 3)}
    log.close()
    assert len(commitments) == 1


def test_the_same_submission_gets_the_first_answer_also_after_a_restart(data: Path):
    log = Log.open(data)
    (first,) = post(log, record(1))
    (again,) = post(log, record(1))
    log.close()
    log = Log.open(data)
    (later,) = post(log, record(1))
    assert log.head().size == 2
    log.close()
    assert again.existing
    assert later.existing
    assert (first.seq, first.leaf_hash, first.recorded_at) == (again.seq, again.leaf_hash, again.recorded_at)
    assert (first.seq, first.leaf_hash, first.recorded_at) == (later.seq, later.leaf_hash, later.recorded_at)


def test_twice_in_one_batch_is_one_entry(log: Log):
    first, second = post(log, record(1), record(1))
    assert (first.seq, first.existing) == (1, False)
    assert (second.seq, second.existing) == (1, True)
    assert log.head().size == 2


def test_fifty_at_once_are_one_entry(log: Log):
    items = [prepared(log, record(1)) for _ in range(50)]
    answers: list = []
    threads = [
        threading.Thread(target=lambda item=item: answers.extend(submit(log, [item]))) for item in items
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(answer.seq, answer.leaf_hash) for answer in answers} == {(1, log.stored(1).hash)}
    assert sum(not answer.existing for answer in answers) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"tool": {"name": "other"}},
        {"tool": {"name": "send_money", "call_id": "call-1", "arguments": {"to": "eve"}}},
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_the_same_id_for_something_else_is_a_conflict(log: Log, change: dict, together: bool):
    if together:
        _, refused = post(log, record(1), record(1, **change))
    else:
        post(log, record(1))
        (refused,) = post(log, record(1, **change))
    assert isinstance(refused, LedgerError)
    assert refused.code == Code.ID_CONFLICT
    assert refused.members["seq"] == 1
    assert log.head().size == 2


def test_all_or_nothing_leaves_nothing_when_one_is_refused(log: Log):
    post(log, record(1))
    results = post(log, record(2), record(1, type="note"), record(3), atomic=True)
    assert [result.code for result in results] == [Code.NOT_WRITTEN, Code.ID_CONFLICT, Code.NOT_WRITTEN]
    assert log.head().size == 2
    assert log.find("rec-00002") is None
    (retried,) = post(log, record(2))
    assert (retried.seq, retried.existing) == (2, False)


def test_otherwise_the_good_ones_are_written(log: Log):
    post(log, record(1))
    results = post(log, record(2), record(1, type="note"), record(3))
    assert [getattr(result, "seq", None) for result in results] == [2, None, 3]


def test_what_the_submitter_keeps_is_named_by_an_entry_of_the_log(log: Log):
    kept = record(1)
    kept["tool"]["arguments"] = {"commitment": "ab" * 32}
    post(log, kept)
    told = parse_entry(log.stored(2).entry)
    assert told.submitter == "log"
    assert told.members["type"] == "log.content_withheld"
    assert told.members["ext"]["log.withheld"] == [[1, "tool.arguments"]]


def test_every_receipt_verifies_and_every_size_is_consistent_with_the_next(log: Log):
    heads = [log.head()]
    for number in range(1, 12):
        post(log, record(number))
        heads.append(log.head())
    keys = [parse_vkey(log.vkey)]
    for seq in range(12):
        verified = verify_receipt(log.receipt(seq), log.stored(seq).entry, keys)
        assert (verified.size, verified.root) == (12, log.head().root)
    for old, new in itertools.pairwise(heads):
        verify_consistency(old.size, new.size, log.consistency(old.size, new.size), old.root, new.root)


def test_tiles_and_bundles_carry_the_stored_hashes_and_entries_across_tile_borders(log: Log):
    submit(log, [prepared(log, record(number)) for number in range(1, 700)])
    assert log.head().size == 700
    assert log.tile(0, 1) == b"".join(log.stored(seq).hash for seq in range(256, 512))
    assert parse_bundle(log.bundle(2, 188)) == [log.stored(seq).entry for seq in range(512, 700)]
    assert len(log.tile(1, 0, 2)) == 64
    for level, index, width in ((0, 2, 189), (0, 3, 1), (1, 0, 3), (2, 0, 1)):
        with pytest.raises(LedgerError, match="no"):
            log.tile(level, index, width)
    keys = [parse_vkey(log.vkey)]
    for seq in (0, 255, 256, 511, 512, 699):
        verify_receipt(log.receipt(seq), log.stored(seq).entry, keys)


def test_a_restart_rebuilds_the_same_tree(data: Path):
    log = Log.open(data)
    submit(log, [prepared(log, record(number)) for number in range(1, 600)])
    head, tile = log.head(), log.tile(1, 0, 2)
    log.close()
    log = Log.open(data)
    assert log.head() == head
    assert log.tile(1, 0, 2) == tile
    post(log, record(600))
    assert log.head().size == 601
    log.close()


def test_a_clock_that_steps_back_is_held_and_counted(log: Log, monkeypatch: pytest.MonkeyPatch):
    (before,) = post(log, record(1))
    monkeypatch.setattr("ledger.log.sequencer.time.time_ns", lambda: 1_000_000_000 * 10**9)
    (after,) = post(log, record(2))
    assert after.recorded_at == before.recorded_at
    assert log.status()["held_clock"] == 1


def test_an_entry_of_65535_bytes_is_taken_and_one_more_byte_is_refused(log: Log):
    probe = record(1, ext={"com.example.pad": "x"})
    (taken,) = post(log, probe)
    base = len(log.stored(taken.seq).entry)
    pads = {number: "x" * (1 + 65_535 - base + excess) for number, excess in ((2, 0), (3, 1))}
    fits, too_long = post(log, *(record(n, ext={"com.example.pad": pad}) for n, pad in pads.items()))
    assert len(log.stored(fits.seq).entry) == 65_535
    assert too_long.code == Code.ENTRY_TOO_LARGE
    assert too_long.members["size"] == 65_536


def test_a_full_queue_refuses_the_whole_submission_and_takes_it_later(data: Path):
    log = Log.open(data, queue_bytes=4_000)
    release = threading.Event()
    append = log._store.append

    def slow(*args: object) -> None:
        release.wait(10)
        append(*args)

    log._store.append = slow
    answers: list = []
    log.submit([prepared(log, record(1))], atomic=False, done=answers.extend)
    items = [prepared(log, record(number)) for number in range(2, 50)]
    with pytest.raises(LedgerError) as refused:
        [log.submit([item], atomic=False, done=answers.extend) for item in items]
    assert refused.value.code == Code.QUEUE_FULL
    assert refused.value.members["retry_after"] == 1
    release.set()
    log._store.append = append
    while log.status()["queue_bytes"]:
        time.sleep(0.01)
    post(log, record(99))
    assert all(not isinstance(answer, LedgerError) for answer in answers)
    log.close()


def test_an_agent_key_is_in_force_from_its_entry_until_it_is_revoked(log: Log):
    key = generate()
    public = base64.b64encode(key.public).decode()
    log.append_own("log.access_granted", {"log.key_id": "agent-7", "log.public_key": public})
    assert log.agent_key("agent-7") == key.public
    log.append_own("log.access_revoked", {"log.key_id": "agent-7"})
    assert log.agent_key("agent-7") is None


def test_rows_for_readers_stop_at_the_head_and_come_in_order(log: Log):
    submit(log, [prepared(log, record(number)) for number in range(1, 30)])
    batches = list(log.rows(5, 1_000))
    seqs = [seq for batch in batches for seq in batch.column("seq").to_pylist()]
    assert seqs == list(range(5, 30))
    assert json.loads(parse_contents(batches[0].column("contents")[0].as_py())[0].value) is not None
    assert log.person_rows(0, 30).num_rows == 1


def test_one_who_cannot_be_told_keeps_nobody_else_from_an_answer(log: Log):
    def unreachable(_: object) -> None:
        raise RuntimeError("Event loop is closed")

    log.submit([prepared(log, record(1))], atomic=False, done=unreachable)
    (answer,) = post(log, record(2))
    assert (answer.seq, log.find("rec-00001")) == (2, 1)


def test_rows_with_much_content_come_in_batches_that_memory_holds(log: Log, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ledger.storage.hot.READ_BATCH_BYTES", 10_000)
    lengths = [10, 30_000, 10, 4_000, 4_000, 4_000, 10, 10, 25_000, 10]
    post(log, *(record(n, request={"text": "x" * length}) for n, length in enumerate(lengths, 1)))
    batches = list(log.rows(0, 100))
    assert [seq for batch in batches for seq in batch.column("seq").to_pylist()] == list(range(11))
    for batch in batches:
        assert len(batch) == 1 or sum(map(len, batch.column("contents").to_pylist())) <= 10_000
    assert 4 <= len(batches) < 11
    assert len(list(log.rows(0, 100, contents=False))) == 1


def test_a_row_that_is_read_alone_is_the_one_that_is_read_among_others(log: Log):
    post(log, *(record(n, request={"text": f"please {n}"}) for n in range(1, 4)))
    (among,) = log.rows(0, 4)
    alone = [row for seq in range(4) for row in log.rows(seq, seq + 1)]
    assert pa.Table.from_batches(alone) == pa.Table.from_batches([among])
    assert list(log.rows(4, 5)) == []


def test_the_wals_name_is_on_the_disk_before_the_first_answer(data: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[tuple[Path, bool, int]] = []
    log = Log.open(data)

    def sync(folder: Path) -> None:
        synced.append((folder, (wal_of(hot_path(data, 1))).exists(), log.head().size))
        sync_folder(folder)

    monkeypatch.setattr("ledger.storage.hot.sync_folder", sync)
    for number in (1, 2, 3):
        post(log, record(number))
    log.close()
    assert synced == [(data / "hot", True, 1)]


def test_where_the_wals_name_cannot_be_synced_the_file_itself_has_the_record_before_the_answer(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(_: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    log = Log.open(data)
    before = hot_path(data, 1).stat().st_mtime_ns
    with monkeypatch.context() as broken:
        broken.setattr("ledger.storage.hot.sync_folder", fail)
        (answer,) = post(log, record(1))
    assert answer.seq == 1
    assert hot_path(data, 1).stat().st_mtime_ns > before
    assert not (wal_of(hot_path(data, 1))).exists()
    log.close()
