"""What the ledger's own work leaves behind is told and tidied by the next start; whatever else stands there is a finding."""

import contextlib
from pathlib import Path

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.ranges import Ranges
from ledger.core.report import Kind, Level
from ledger.log.keeping import Removes
from ledger.log.log import Log
from ledger.log.removal import retire
from ledger.storage.synced import opened_up
from ledger.upkeep.compact import compact
from tests.upkeep.holding import filled

FIRST, SECOND = (f"segments/{start:016d}" for start in (0, 21))

OWN_MAKING = [
    "segments/.building-0000000000000041/entries.parquet",
    f"{FIRST}/entries-3.parquet",
    f"{FIRST}/facts-3.parquet",
    f"{FIRST}/contents-3.parquet",
    f"{FIRST}/.manifest-3.new",
    f"{FIRST}/entries.parquet",  # of generation 1: 2 is in force
    f"{FIRST}/contents.parquet",
    f"{SECOND}/contents-2.parquet",
    "hot/00000009.duckdb.new",
    "hot/00000009.duckdb.new.wal",
    "hot/00000001.duckdb.sealed",
    "hot/00000002.duckdb.wal.torn-1",
    "hot/00000002.duckdb.tmp/duckdb_temp_storage-0.tmp",
    "ids/.0000000000000000-0000000000000041.ids.new",
]

STRANGE = [
    "segments/.building-x",
    "segments/.hidden",
    f"{FIRST}/entries-4.parquet",
    f"{FIRST}/entries-2.parquet.bak",
    f"{FIRST}/hashes-3",
    f"{FIRST}/.manifest-4.new",
    f"{SECOND}/contents-3.parquet",
    f"{SECOND}/entries-1.parquet",
    f"{SECOND}/contents-2.parquet/inside",
    "hot/00000001.duckdb.wal",
    "hot/9.duckdb.new",
    "hot/.hidden",
    "ids/0000000000000000-0000000000000041.ids.new",
]


@pytest.fixture
def sealed(data: Path) -> Path:
    """A stopped log with a segment of generation 2 and one of generation 1."""
    log = filled(data, 20, 20)
    retire(log, "old", Removes.ENTRIES, Ranges([(3, 5)]))
    compact(log)
    assert [segment.manifest.generation for segment in log.segments()] == [2, 1, 1]
    log.close()
    return data


def put(data: Path, place: str) -> Path:
    path = data / place
    segment = data / "/".join(place.split("/")[:2])
    with opened_up(segment) if place.startswith("segments/0") else contextlib.nullcontext():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"left")
    return path


def shown(place: str) -> str:
    return place.rpartition("/")[0] if place.count("/") > 1 + place.startswith("segments/0") else place


@pytest.mark.parametrize("level", [Level.FILES, Level.EVERYTHING])
def test_what_its_own_work_left_is_told_and_gone_after_a_start(sealed: Path, level: Level):
    left = [put(sealed, place) for place in OWN_MAKING]
    report = verify_folder(sealed, level=level)
    assert report.findings == ()
    expected = {shown(place) for place in OWN_MAKING}
    assert set(report.leftovers) == {
        each for each in expected if level is not Level.FILES or "ids/" not in each
    }
    assert "tidied at the next start" in " ".join(report.words)
    Log.open(sealed).close()
    assert [path for path in left if path.exists()] == []
    after = verify_folder(sealed, level=level)
    assert (after.findings, after.leftovers) == ((), ())


@pytest.mark.parametrize("place", STRANGE)
def test_whatever_else_stands_there_is_a_finding(sealed: Path, place: str):
    put(sealed, place)
    report = verify_folder(sealed)
    assert [(finding.kind, finding.where) for finding in report.findings] == [(Kind.ALTERED, shown(place))]
    assert report.leftovers == ()


def test_a_link_under_a_name_of_its_own_is_a_finding(sealed: Path):
    with opened_up(sealed / SECOND):
        (sealed / SECOND / "contents-2.parquet").symlink_to("/etc/hostname")
    (finding,) = verify_folder(sealed).findings
    assert (finding.kind, finding.where) == (Kind.ALTERED, f"{SECOND}/contents-2.parquet")
