"""Segments in an object store: sent once, moved there and fetched back; with the store away the log writes on. Against moto's server."""

import contextlib
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_live
from ledger.core.errors import Code, LedgerError
from ledger.core.ranges import Ranges
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from ledger.storage.cache import Cache
from ledger.storage.objects import ObjectStore
from ledger.storage.places import Settings
from ledger.upkeep.compact import compact
from ledger.upkeep.offload import Offload
from tests.log.conftest import ORIGIN, post
from tests.upkeep.holding import ANYBODY, action, filled, found, holds, text

LARGE = {"contents.parquet", "entries.parquet", "facts.parquet"}


def offload_to(s3, bucket: str, data: Path, **options: object) -> Offload:
    store = ObjectStore(Settings(bucket, "audit", s3.url, **options), ORIGIN)
    return Offload(store, Cache(data / "cache", 10_000_000, store.get), ORIGIN)


@pytest.fixture
def offload(s3, bucket, data: Path) -> Offload:
    return offload_to(s3, bucket, data)


@pytest.fixture
def log(data: Path, offload: Offload):
    opened = filled(data, 20, 20, 20, fetch=offload.fetch)
    yield opened
    with contextlib.suppress(OSError):  # a test may have closed it
        opened.close()


def large(log: Log, at: int) -> set[str]:
    return {path.name for path in log.segments()[at].folder.glob("*.parquet")}


def there(offload: Offload, start: int) -> set[str]:
    part = f"/segments/{start:016d}/"
    return {key.rpartition("/")[2] for key in offload.store.listed() if part in key}


def test_a_segment_is_sent_with_its_manifest_last_and_only_once(log: Log, offload: Offload, monkeypatch):
    put, keys = offload.store.put, []
    monkeypatch.setattr(offload.store, "put", lambda key, *given: keys.append(key) or put(key, *given))
    assert offload.send(log.segments()) == [0, 21, 41]
    assert [key.rpartition("/")[2] for key in keys if "/0000000000000021/" in key][-1] == "manifest-1"
    assert there(offload, 21) == {path.name for path in log.segments()[1].folder.iterdir()}
    assert offload.send(log.segments()) == []
    assert offload_to_again(offload).send(log.segments()) == []


def offload_to_again(offload: Offload) -> Offload:
    """What a restarted server knows: nothing."""
    return Offload(offload.store, offload.cache, ORIGIN)


def test_an_upload_that_broke_off_is_gone_on_with(log: Log, offload: Offload, monkeypatch):
    put, count = offload.store.put, []

    def breaking(key: str, *given: object) -> bool:
        count.append(key)
        if len(count) == 4:
            raise LedgerError(Code.OBJECTS_UNAVAILABLE, "away")
        return put(key, *given)

    monkeypatch.setattr(offload.store, "put", breaking)
    with pytest.raises(LedgerError):
        offload.send(log.segments())
    assert "manifest-1" not in there(offload, 0)
    assert offload_to_again(offload).send(log.segments()) == [0, 21, 41]
    assert there(offload, 0) == {path.name for path in log.segments()[0].folder.iterdir()}


def test_something_else_in_its_place_is_told_and_nothing_here_is_deleted(log: Log, offload: Offload, s3):
    key = offload.store.key(0, "contents.parquet")
    s3.client().put_object(Bucket=offload.store.settings.bucket, Key=key, Body=b"forged")
    with pytest.raises(LedgerError) as caught:
        offload.move(log.segments(), keep=1)
    assert caught.value.code == Code.OBJECT_DIFFERS
    assert large(log, 0) == LARGE


def test_what_was_moved_is_fetched_when_it_is_read_and_the_rest_needs_no_store(
    log: Log, offload: Offload, data: Path, s3
):
    assert offload.move(log.segments(), keep=1) == [0, 21]
    assert [large(log, at) for at in range(3)] == [set(), set(), LARGE]
    assert offload.move(log.segments(), keep=1) == []
    log.close()
    away = Log.open(data, fetch=offload_to_away(data).fetch)
    assert holds(away, 3, away.receipt(3))
    [new] = post(away, action(900))
    assert holds(away, new.seq, away.receipt(new.seq))
    with pytest.raises(LedgerError) as caught:
        away.stored(3)
    assert caught.value.code == Code.OBJECTS_UNAVAILABLE
    away.close()
    back = Log.open(data, fetch=offload.fetch)
    assert back.stored(3).contents[0].value == f'"{text(3)}"'.encode()
    assert sum(batch.num_rows for batch in back.rows(0, 66)) == 66
    assert list((data / "cache").iterdir())
    places = offload.places(back.segments())
    assert [(place.start, place.sent) for place in places] == [(0, True), (21, True), (41, False)]
    assert places[0].here_bytes < places[2].here_bytes
    back.close()


def offload_to_away(data: Path) -> Offload:
    store = ObjectStore(Settings("bucket", "audit", "http://127.0.0.1:9"), ORIGIN)
    return Offload(store, Cache(data / "other-cache", 10_000_000, store.get), ORIGIN)


def test_what_comes_back_altered_is_not_read(log: Log, offload: Offload, s3):
    offload.move(log.segments(), keep=1)
    key = offload.store.key(0, "entries.parquet")
    s3.client().put_object(Bucket=offload.store.settings.bucket, Key=key, Body=b"PAR1 forged PAR1")
    with pytest.raises(LedgerError) as caught:
        log.stored(3)
    assert caught.value.code == Code.OBJECT_DIFFERS


def test_a_compaction_replaces_what_is_there_too(log: Log, offload: Offload, data: Path, s3):
    offload.move(log.segments(), keep=1)
    log.stored(3)  # it is in the cache
    log.erase([(3, "request.text")], **ANYBODY)
    retire(log, "old", Removes.ENTRIES, Ranges([(30, 35)]))
    result = compact(log, offload=offload)
    assert (result.objects, result.kept) == (None, ())
    assert found(data, text(3), text(31)) == []
    assert there(offload, 0) >= {"contents-2.parquet", "entries.parquet", "manifest-1", "manifest-2"}
    assert "contents.parquet" not in there(offload, 0)
    versions = s3.client().list_object_versions(Bucket=offload.store.settings.bucket)
    assert not [v for v in versions["Versions"] if v["Key"] == offload.store.key(0, "contents.parquet")]
    assert log.stored(4).contents[0].value == f'"{text(4)}"'.encode()
    offload.move(log.segments(), keep=1)
    assert log.stored(5).contents[0].value == f'"{text(5)}"'.encode()


def test_what_a_lock_keeps_is_told_with_its_date(data: Path, s3, locked_bucket):
    offload = offload_to(s3, locked_bucket, data, lock_mode="COMPLIANCE", lock_days=30)
    log = filled(data, 20, fetch=offload.fetch)
    offload.send(log.segments())
    log.erase([(3, "request.text")], **ANYBODY)
    result = compact(log, offload=offload)
    assert [kept.key for kept in result.kept] == [offload.store.key(0, "contents.parquet")]
    assert result.kept[0].until
    log.close()


def test_with_the_store_away_a_compaction_does_what_it_can_here(log: Log, data: Path):
    log.erase([(3, "request.text")], **ANYBODY)
    result = compact(log, offload=offload_to_away(data))
    assert result.objects
    assert "does not answer" in result.objects
    assert found(data, text(3)) == []


def test_a_moved_log_verifies_where_its_objects_can_be_fetched(log: Log, offload: Offload):
    offload.move(log.segments(), keep=1)
    assert verify_live(log).findings == ()
