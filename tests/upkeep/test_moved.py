"""A stopped log whose segments were moved to an object store is verified, backed up, dumped and compacted; or one is told what to name."""

import contextlib
import shutil
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.audit.scrub_worker import scrub
from ledger.core.errors import Code, LedgerError
from ledger.core.note import format_vkey
from ledger.core.report import Kind, Level
from ledger.log.keys import load_key
from ledger.log.log import Log
from ledger.storage.cache import Cache
from ledger.storage.objects import ObjectStore
from ledger.storage.places import Settings
from ledger.upkeep.backup import back_up
from ledger.upkeep.compact import compact
from ledger.upkeep.offload import Offload
from ledger.upkeep.sources import opened_folder
from ledger.upkeep.transfer import dump
from tests.log.conftest import ORIGIN
from tests.upkeep.holding import ANYBODY, filled, found, text

NAMED = "--objects s3://bucket/prefix"
LARGE = {"contents.parquet", "entries.parquet", "facts.parquet"}


@pytest.fixture
def offload(s3, bucket, tmp_path: Path) -> Offload:
    store = ObjectStore(Settings(bucket, "audit", s3.url), ORIGIN)
    return Offload(store, Cache(tmp_path / "fetched", 10_000_000, store.get), ORIGIN)


@pytest.fixture
def moved(data: Path, offload: Offload) -> Path:
    """The folder of a log with three segments, of which two were moved; stopped."""
    log = filled(data, 20, 20, 20, fetch=offload.fetch)
    offload.move(log.segments(), keep=1)
    log.close()
    return data


def seal_stopped(data: Path, offload: Offload) -> None:
    log = Log.open(data, fetch=offload.fetch)
    log.seal()
    log.close()


@pytest.mark.parametrize("level", list(Level))
def test_it_is_verified_where_its_files_can_be_fetched(moved: Path, offload: Offload, level: Level):
    report = verify_folder(moved, level=level, fetch=offload.fetch, processes=2)
    assert report.findings == ()
    assert report.size == (61 if level is Level.FILES else 66)


@pytest.mark.parametrize("level", list(Level))
def test_without_the_store_a_verification_says_what_to_name(moved: Path, level: Level):
    report = verify_folder(moved, level=level)
    assert report.findings
    assert NAMED in report.findings[0].detail


def test_with_the_store_away_a_verification_says_so(moved: Path, offload: Offload, s3, monkeypatch):
    away = ObjectStore(Settings("bucket", "audit", "http://127.0.0.1:9"), ORIGIN)
    monkeypatch.setattr(offload, "store", away)
    monkeypatch.setattr(offload.cache, "_get", away.get)
    (finding,) = verify_folder(moved, fetch=offload.fetch).findings
    assert finding.kind is Kind.UNVERIFIABLE
    assert "does not answer" in finding.detail


def test_what_was_altered_in_the_store_is_found(moved: Path, offload: Offload, s3):
    key = offload.store.key(21, "contents.parquet")
    s3.client().put_object(Bucket=offload.store.settings.bucket, Key=key, Body=b"forged")
    findings = verify_folder(moved, fetch=offload.fetch).findings
    assert {finding.where for finding in findings if finding.kind is Kind.ALTERED} == {
        f"segments/{21:016d}/contents.parquet"
    }
    assert any(finding.kind is Kind.UNVERIFIABLE and finding.seq is not None for finding in findings)


def test_the_scrub_fetches_nothing_and_still_finds_what_rots_here(moved: Path):
    vkey = verify_key(moved)
    assert scrub(moved, vkey, 2**30, moved=True)["findings"] == 0
    assert scrub(moved, vkey, 2**30)["findings"] > 0, "without an object store, what is gone is missing"
    for name, start in (("hashes", 0), ("contents.parquet", 41)):
        path = moved / "segments" / f"{start:016d}" / name
        raw = bytearray(path.read_bytes())
        raw[40] ^= 1
        path.chmod(0o600)
        path.write_bytes(raw)
        told = scrub(moved, vkey, 2**30, moved=True)
        assert f"{start:016d}/{name} is altered" in told["first"]
        raw[40] ^= 1
        path.write_bytes(raw)
    (moved / "segments" / f"{41:016d}").chmod(0o700)
    (moved / "segments" / f"{41:016d}" / "facts.parquet").unlink()
    assert "facts.parquet is missing" in scrub(moved, vkey, 2**30, moved=True)["first"]


def verify_key(data: Path) -> str:
    return format_vkey(load_key(data / "log.key").key)


def test_it_is_backed_up_whole(moved: Path, offload: Offload, tmp_path: Path):
    made = back_up(moved, tmp_path / "set", lambda: seal_stopped(moved, offload), fetch=offload.fetch)
    assert made.size == 66
    for start in (0, 21, 41):
        folder = made.folder / "segments" / f"{start:016d}"
        assert {path.name for path in folder.glob("*.parquet")} == LARGE
    assert verify_folder(made.folder, level=Level.FILES).findings == ()


def test_a_backup_without_the_store_says_what_to_name_and_leaves_nothing(
    moved: Path, offload: Offload, tmp_path: Path
):
    with pytest.raises(LedgerError) as caught:
        back_up(moved, tmp_path / "set", lambda: seal_stopped(moved, offload))
    assert caught.value.code == Code.STORAGE_FAILED
    assert NAMED in caught.value.detail
    assert not [path for path in (tmp_path / "set").iterdir() if path.name[0].isdigit()]


@pytest.mark.parametrize("with_key", [True, False])
def test_it_is_dumped_whole_or_one_is_told_what_to_name(
    moved: Path, offload: Offload, tmp_path: Path, with_key: bool
):
    if not with_key:
        (moved / "log.key").unlink()
    with opened_folder(moved, fetch=offload.fetch) as source:
        assert dump(source, tmp_path / "dumped").size == 66
    assert found(tmp_path / "dumped", text(3), text(63))
    with pytest.raises(LedgerError) as caught, opened_folder(moved):
        pass
    assert NAMED in caught.value.detail


def test_its_stopped_folder_is_compacted(moved: Path, offload: Offload):
    log = Log.open(moved, fetch=offload.fetch)
    log.erase([(3, "request.text")], **ANYBODY)
    log.close()
    with pytest.raises(LedgerError) as caught:
        Log.open(moved)
    assert NAMED in caught.value.detail
    with contextlib.closing(Log.open(moved, fetch=offload.fetch)) as log:
        result = compact(log, offload=offload)
    assert (result.objects, len(result.renewed)) == (None, 1)
    shutil.rmtree(moved.parent / "fetched", ignore_errors=True)
    assert found(moved, text(3)) == []
    assert verify_folder(moved, fetch=offload.fetch).findings == ()
