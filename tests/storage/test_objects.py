"""Objects are put once and never replaced, and nothing is read that is not what the manifest names. Against moto's S3 server."""

import hashlib
import logging
from datetime import UTC
from pathlib import Path

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.storage.cache import Cache
from ledger.storage.objects import ObjectStore
from ledger.storage.places import Settings, parse_location

ORIGIN = "ledger.example/test"


@pytest.fixture
def store(s3, bucket) -> ObjectStore:
    return ObjectStore(Settings(bucket, "audit", s3.url), ORIGIN)


def file(folder: Path, data: bytes, name: str = "file") -> tuple[Path, int, str]:
    path = folder / name
    path.write_bytes(data)
    return path, len(data), hashlib.sha256(data).hexdigest()


def refused(code: Code, call, *args) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        call(*args)
    assert caught.value.code == code
    return caught.value


def test_a_file_comes_back_as_it_went(store, tmp_path):
    put = file(tmp_path, b"segment" * 1000)
    key = store.key(2048, "entries.parquet")
    assert (
        key
        == f"audit/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/segments/0000000000002048/entries.parquet"
    )
    assert store.put(key, *put) is True
    assert store.digest(key) == put[1:]
    assert store.listed() == {key: 7000}
    store.get(key, tmp_path / "back", *put[1:])
    assert (tmp_path / "back").read_bytes() == put[0].read_bytes()


def test_a_retry_finds_its_own_object_and_puts_nothing(store, s3, tmp_path):
    put, key = file(tmp_path, b"x" * 100), store.key(0, "hashes")
    assert [store.put(key, *put), store.put(key, *put)] == [True, False]
    versions = s3.client().list_object_versions(Bucket=store.settings.bucket)["Versions"]
    assert len(versions) == 1


def test_what_somebody_else_put_there_is_told_and_never_overwritten(store, s3, tmp_path):
    key = store.key(0, "hashes")
    s3.client().put_object(Bucket=store.settings.bucket, Key=key, Body=b"forged")
    error = refused(Code.OBJECT_DIFFERS, store.put, key, *file(tmp_path, b"true"))
    assert key in error.detail
    assert s3.client().get_object(Bucket=store.settings.bucket, Key=key)["Body"].read() == b"forged"


def test_a_file_that_changed_since_its_digest_was_taken_is_not_taken_for_it(store, tmp_path):
    path, size, digest = file(tmp_path, b"first")
    path.write_bytes(b"other")
    refused(Code.STORAGE_FAILED, store.put, store.key(0, "hashes"), path, size, digest)
    assert store.listed() == {}


@pytest.mark.parametrize("forged", [b"forged", b"", b"x" * 5_000_000])
def test_what_is_not_what_the_manifest_names_is_not_read(store, s3, tmp_path, forged):
    _, size, digest = file(tmp_path, b"true")
    key = store.key(0, "contents.parquet")
    s3.client().put_object(Bucket=store.settings.bucket, Key=key, Body=forged)
    refused(Code.OBJECT_DIFFERS, store.get, key, tmp_path / "back", size, digest)
    assert not (tmp_path / "back").exists()


def test_an_object_that_is_gone_is_told(store, tmp_path):
    _, size, digest = file(tmp_path, b"true")
    key = store.key(0, "contents.parquet")
    assert store.digest(key) is None
    error = refused(Code.OBJECTS_UNAVAILABLE, store.get, key, tmp_path / "back", size, digest)
    assert "not there" in error.detail


def test_deleting_leaves_no_version_of_it(store, s3, tmp_path):
    put, key, other = (
        file(tmp_path, b"old"),
        store.key(0, "contents.parquet"),
        store.key(0, "contents.parquet-2"),
    )
    store.put(key, *put)
    store.put(other, *put)
    s3.client().delete_object(Bucket=store.settings.bucket, Key=key)  # a marker that only hides it
    assert store.delete(key) is None
    left = s3.client().list_object_versions(Bucket=store.settings.bucket)
    assert [each["Key"] for each in left["Versions"]] == [other]
    assert "DeleteMarkers" not in left


def test_a_lock_is_asked_for_and_what_it_keeps_is_told(s3, locked_bucket, tmp_path):
    store = ObjectStore(Settings(locked_bucket, "", s3.url, None, "COMPLIANCE", 30), ORIGIN)
    put, key = file(tmp_path, b"old"), store.key(0, "contents.parquet")
    store.put(key, *put)
    head = s3.client().head_object(Bucket=locked_bucket, Key=key)
    assert head["ObjectLockMode"] == "COMPLIANCE"
    kept = store.delete(key)
    assert kept is not None
    assert kept.key == key
    assert kept.until == head["ObjectLockRetainUntilDate"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert store.digest(key) == put[1:]


def test_a_store_that_is_away_is_told_without_a_word_of_the_credentials(tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    store = ObjectStore(Settings("some-bucket", "", "http://127.0.0.1:9"), ORIGIN)
    error = refused(Code.OBJECTS_UNAVAILABLE, store.put, store.key(0, "hashes"), *file(tmp_path, b"x"))
    assert "does not answer" in error.detail
    assert "http://127.0.0.1:9" in error.detail
    assert "marker" not in (error.detail + caplog.text).lower()


def test_without_credentials_it_says_so(tmp_path, monkeypatch, s3, bucket):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    store = ObjectStore(Settings(bucket, "", s3.url), ORIGIN)
    error = refused(Code.OBJECTS_UNAVAILABLE, store.listed)
    assert "NoCredentialsError" in error.detail


def test_a_bucket_that_is_not_there_is_told(s3):
    error = refused(
        Code.OBJECTS_UNAVAILABLE, ObjectStore(Settings("no-such-bucket", "", s3.url), ORIGIN).listed
    )
    assert "NoSuchBucket" in error.detail


def test_two_logs_in_one_bucket_do_not_meet(s3, bucket, tmp_path):
    one, two = (
        ObjectStore(Settings(bucket, "p", s3.url), origin) for origin in ("a.example/1", "a.example/2")
    )
    one.put(one.key(0, "hashes"), *file(tmp_path, b"one"))
    assert two.listed() == {}
    assert two.put(two.key(0, "hashes"), *file(tmp_path, b"two")) is True


def test_locations_and_locks_are_read_strictly():
    assert parse_location(
        "s3://bucket/a/b/", endpoint="https://s3.example", lock="COMPLIANCE:365"
    ) == Settings("bucket", "a/b", "https://s3.example", None, "COMPLIANCE", 365)
    for location in (
        "bucket",
        "s3://",
        "s3://B_x/p",
        "s3://bucket//p",
        "s3://bucket/../p",
        "s3://bucket/a b",
    ):
        refused(Code.INVALID_PARAMETER, parse_location, location)
    for endpoint in ("ftp://x", "https://key:secret@host", "nonsense", "file:///etc", "https://[x"):
        with pytest.raises(LedgerError) as caught:
            parse_location("s3://bucket", endpoint=endpoint)
        assert "secret" not in caught.value.detail
    for lock in ("COMPLIANCE", "compliance:3", "LEGAL:3", "GOVERNANCE:0", "GOVERNANCE:٣"):
        with pytest.raises(LedgerError):
            parse_location("s3://bucket", lock=lock)


# ---- the cache


@pytest.fixture
def cache(store, tmp_path) -> Cache:
    return Cache(tmp_path / "cache", 250, store.get)


def stored(store: ObjectStore, folder: Path, name: str, data: bytes) -> tuple[str, int, str]:
    put = file(folder, data, name)
    store.put(store.key(0, name), *put)
    return store.key(0, name), *put[1:]


def test_a_cached_file_is_fetched_once_and_the_cache_stays_bounded(store, cache, tmp_path):
    a, b, c = (stored(store, tmp_path, name, name.encode() * 100) for name in "abc")
    first = cache.fetch(*a)
    cache.fetch(*b)
    assert cache.fetch(*a) == first  # used again: b is the older one now
    with first.open("rb") as held:
        cache.fetch(*c)
        assert cache.size_bytes() <= 250
        assert first.exists()
        cache.fetch(*b)
        cache.fetch(*c)
        assert not first.exists()
        assert held.read() == b"a" * 100  # whoever holds it keeps it
    store.delete(c[0])
    assert cache.fetch(*c).read_bytes() == b"c" * 100


def test_a_cached_file_that_was_altered_is_fetched_again_after_a_start(store, cache, tmp_path):
    a = stored(store, tmp_path, "a", b"a" * 100)
    path = cache.fetch(*a)
    path.write_bytes(b"b" * 100)
    again = Cache(tmp_path / "cache", 250, store.get)
    assert again.fetch(*a).read_bytes() == b"a" * 100


def test_what_a_cut_off_download_left_is_deleted_at_start_and_what_was_erased_on_demand(
    store, cache, tmp_path
):
    a = stored(store, tmp_path, "a", b"a" * 100)
    path = cache.fetch(*a)
    (tmp_path / "cache" / "0.new").write_bytes(b"half")
    Cache(tmp_path / "cache", 250, store.get)
    assert sorted(tmp_path.joinpath("cache").iterdir()) == [path]
    cache.drop(a[2])
    assert list(tmp_path.joinpath("cache").iterdir()) == []
