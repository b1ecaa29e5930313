"""A stopped or running log that is good verifies, completely, and untouched."""

import hashlib
import shutil
from pathlib import Path

import duckdb
import pytest

from ledger.audit.fsck import verify_folder, verify_live
from ledger.core.errors import Code, LedgerError
from ledger.core.note import parse_vkey
from ledger.core.report import Level
from ledger.log.log import Log
from ledger.storage.layout import hot_path, wal_of
from tests.log.conftest import ORIGIN, WITHOUT_ARGUMENTS, post, record


def fill(data: Path, first: int, last: int, **members: object) -> str:
    log = Log.open(data)
    for number in range(first, last):
        post(log, record(number, **members))
    vkey = log.vkey
    log.close()
    return vkey


def files(folder: Path) -> dict[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_a_stopped_log_is_verified_without_touching_it(data: Path):
    vkey = fill(data, 1, 8)
    before = files(data)
    report = verify_folder(data, vkey=parse_vkey(vkey))
    assert report.findings == ()
    assert report.verdict == "consistent with itself, not anchored"
    assert (report.origin, report.size, report.entries_checked, report.level) == (
        ORIGIN,
        8,
        8,
        Level.EVERYTHING,
    )
    assert [(anchor.size, anchor.agrees, anchor.outside) for anchor in report.anchors] == [(8, True, False)]
    assert files(data) == before


def test_a_folder_whose_wal_was_not_folded_in_is_verified_without_touching_it(data: Path, tmp_path: Path):
    log = Log.open(data)
    post(log, *[record(number) for number in range(1, 40)])
    shutil.copytree(data, tmp_path / "copy")  # what a killed server leaves
    log.close()
    assert wal_of(hot_path(tmp_path / "copy", 1)).stat().st_size > 0
    before = files(tmp_path / "copy")
    report = verify_folder(tmp_path / "copy")
    assert (report.size, report.findings) == (40, ())
    assert files(tmp_path / "copy") == before


def test_a_head_anchor_that_was_kept_elsewhere_anchors(data: Path, tmp_path: Path):
    fill(data, 1, 4)
    shutil.copy(data.parent / "data.head", tmp_path / "elsewhere")
    assert verify_folder(data, anchor=tmp_path / "elsewhere").verdict == "verified and anchored up to 4"
    with pytest.raises(LedgerError) as caught:
        verify_folder(data, anchor=tmp_path / "nowhere")
    assert caught.value.code == Code.NOT_FOUND


def test_without_a_key_the_report_says_that_it_took_the_logs_own_word(data: Path):
    vkey = fill(data, 1, 4)
    assert verify_folder(data).own_key
    assert not verify_folder(data, vkey=parse_vkey(vkey)).own_key


def test_several_processes_find_what_one_finds(data: Path):
    log = Log.open(data)
    for low in range(0, 6_000, 1_000):
        post(log, *[record(number) for number in range(low, low + 1_000)])
    receipt, pin = log.receipt(2_500), log.head().note
    log.close()
    seen: list[tuple[int, int]] = []
    one = verify_folder(data, pins=[pin], receipts=[receipt])
    two = verify_folder(
        data, pins=[pin], receipts=[receipt], processes=2, progress=lambda *at: seen.append(at)
    )
    assert one == two
    assert one.verdict == "verified and anchored up to 6001"
    assert seen == [(2048, 6001), (4096, 6001), (6001, 6001)]


def test_a_running_log_is_verified_by_itself_and_by_nobody_else(data: Path):
    log = Log.open(data)
    post(log, *[record(number) for number in range(1, 30)])
    pin = log.head().note
    post(log, *[record(number) for number in range(30, 40)])
    report = verify_live(log, pins=[pin], receipts=[log.receipt(3)])
    assert report.findings == ()
    assert report.verdict == "verified and anchored up to 40"
    with pytest.raises(LedgerError) as caught:
        verify_folder(data)
    assert caught.value.code == Code.LOCKED
    log.close()


def test_there_is_nothing_to_verify_where_there_is_no_log(tmp_path: Path):
    with pytest.raises(LedgerError) as caught:
        verify_folder(tmp_path)
    assert caught.value.code == Code.NOT_FOUND


# ---- what is not stored


def withholding(number: int) -> dict:
    value = record(number)
    value["tool"]["arguments"] = {"commitment": "ab" * 32}
    value["request"]["user"] = {"commitment": "cd" * 32}
    return value


def test_what_nobody_gave_is_counted_and_not_missed(data: Path):
    log = Log.open(data)
    post(log, record(1), withholding(2), record(3))
    post(log, withholding(4))
    log.close()
    report = verify_folder(data)
    assert report.findings == ()
    assert report.withheld == 4


def test_what_the_log_says_was_erased_is_counted_and_not_missed(data: Path):
    fill(data, 1, 4)
    erase(
        data,
        WITHOUT_ARGUMENTS.format(2),
    )
    assert [(str(f.kind), f.seq) for f in verify_folder(data).findings] == [("missing", 2)]
    log = Log.open(data)
    log.append_own("log.content_erased", {"log.erased": [[2, "tool.arguments"]], "log.ground": "GDPR 17"})
    log.close()
    report = verify_folder(data)
    assert (report.findings, report.erased) == ((), 1)


def test_a_forgotten_person_is_counted_once_and_not_missed(data: Path):
    fill(data, 1, 4)
    erase(data, "DELETE FROM persons")
    assert {str(f.kind) for f in verify_folder(data).findings} == {"missing"}
    log = Log.open(data)
    log.append_own("log.content_erased", {"log.erased": [[1, "request.user"]], "log.ground": "GDPR 17"})
    log.close()
    report = verify_folder(data)
    assert (report.findings, report.erased) == ((), 1)


def test_what_the_log_says_was_erased_and_is_still_stored_is_counted(data: Path):
    fill(data, 1, 4)
    log = Log.open(data)
    log.append_own("log.content_erased", {"log.erased": [[2, "tool.arguments"]], "log.ground": "GDPR 17"})
    log.close()
    report = verify_folder(data)
    assert (report.findings, report.erased, report.waiting) == ((), 0, 1)
    assert "until `agent-ledger compact`" in " ".join(report.words)


def erase(data: Path, sql: str) -> None:
    connection = duckdb.connect(str(hot_path(data, 1)))
    connection.execute(sql)
    connection.close()


def test_a_head_anchor_of_which_nothing_can_be_read_is_unverifiable(data: Path):
    fill(data, 1, 4)
    (data.parent / "data.head").write_bytes(b"garbage")
    report = verify_folder(data)
    assert [(str(f.kind), f.seq) for f in report.findings] == [("unverifiable", None)]
    assert "head anchor" in report.findings[0].where
