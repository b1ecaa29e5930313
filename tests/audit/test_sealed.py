"""A sealed log is verified at each level, since a record, in parts, and while its server runs."""

import fcntl
from pathlib import Path

import pyarrow as pa
import pytest

from ledger.audit import sealed
from ledger.audit.fsck import Asked, audit
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import root_of
from ledger.core.report import Level
from tests.audit.sealed_log import SIGNER, SealedLog, filled, write_folder, write_hot
from tests.audit.test_since import recorded
from tests.storage.sealing import own_record


@pytest.fixture(scope="module")
def evidence(tmp_path_factory) -> SealedLog:
    return SealedLog(tmp_path_factory.mktemp("sealed"))


@pytest.fixture
def data(evidence: SealedLog, tmp_path: Path) -> Path:
    return evidence.copy(tmp_path)


def test_whole_files_are_compared_with_their_manifests(evidence: SealedLog, data: Path):
    report = evidence.verify(data, level=Level.FILES)
    assert report.findings == ()
    assert (report.size, report.entries_checked) == (5051, 0)
    assert report.root == root_of(evidence.log.hashes(0, 5051))
    assert "no entry was read" in " ".join(report.words)
    path = data / "segments" / f"{901:016d}" / "contents.parquet"
    raw = bytearray(path.read_bytes())
    raw[100] ^= 1
    path.write_bytes(raw)
    (finding,) = evidence.verify(data, level=Level.FILES).findings
    assert finding.where.endswith("contents.parquet")


def test_the_sealed_part_is_verified_while_the_server_runs(evidence: SealedLog, data: Path):
    with (data / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(LedgerError) as caught:
            evidence.verify(data)
        assert caught.value.code == Code.LOCKED
        report = evidence.verify(data, sealed_only=True, pins=[evidence.pin, evidence.log.notes[5050]])
    assert report.findings == ()
    assert report.verdict == "verified and anchored up to 5051"
    assert report.not_compared[0] == "pinned checkpoint (size 5600)"


def test_what_a_verification_since_a_record_reads_does_not_depend_on_the_sealed_length(
    tmp_path: Path, monkeypatch
):
    counts = []
    read = sealed.Columns.read

    def counted(self, low: int, high: int, *columns):
        counts[-1] += high - low
        return read(self, low, high, *columns)

    monkeypatch.setattr(sealed.Columns, "read", counted)
    for entries, cuts in ((3000, (901, 2501)), (9000, (901, 2501, 4951, 8501))):
        folder = tmp_path / str(entries)
        made = SealedLog(folder, entries, cuts)
        counts.append(0)
        since = recorded(audit(folder / "data", Asked()))
        whole, counts[-1] = counts[-1], 0
        report = audit(folder / "data", Asked(since=since)).report
        assert report.findings == ()
        assert report.root == root_of(made.log.hashes(0, entries))
        assert whole > entries
    assert max(counts) < 4 * 2048  # two files, of a stretch and what it looks ahead to


def test_what_a_crash_leaves_between_sealing_and_removing_is_no_finding_unless_it_differs(
    evidence: SealedLog, data: Path
):
    log = evidence.log
    write_hot(data, 3, log, 3001, 5051)
    assert evidence.verify(data).findings == ()
    (data / "segments" / ".building-0000000000005051").mkdir()
    assert evidence.verify(data).findings == ()


def test_an_older_release_says_what_to_do_with_a_newer_folder(evidence: SealedLog, data: Path):
    (data / "storage.json").write_text('{"version": 3}\n')
    with pytest.raises(LedgerError) as caught:
        evidence.verify(data)
    assert caught.value.code == Code.STORAGE_VERSION


def test_without_a_key_entry_0_says_which_log_it_is(evidence: SealedLog, data: Path):
    report = evidence.verify(data, vkey=None)
    assert (report.findings, report.own_key) == ((), True)


def test_a_folder_without_hot_files_key_or_anchor_is_verified(evidence: SealedLog, data: Path):
    for path in (data / "hot").iterdir():
        path.unlink()
    (data / "hot").rmdir()
    (data.parent / "data.head").unlink()
    report = evidence.verify(data, pins=[evidence.log.notes[5050]])
    assert report.findings == ()
    assert report.verdict == "verified and anchored up to 5051"


def test_retired_entries_and_contents_of_a_segment_are_told(tmp_path: Path):
    made = SealedLog(tmp_path / "base", 3000, (2001,))
    log = made.log
    log.commit(own_record("log.entries_retired", {"log.retired": [[100, 300]], "log.policy": "p90d"}))
    log.commit(
        own_record("log.contents_retired", {"log.contents_retired": [[300, 500]], "log.policy": "p30d"})
    )
    data = tmp_path / "told" / "data"
    write_folder(data, log, [2001])
    waiting = made.verify(data)
    assert waiting.findings == ()
    own = sum(1 for row in log.rows[100:300] if b'"submitter":"log"' in row.entry)
    contents = sum(1 for row in log.rows[300:500] if row.contents)
    assert waiting.waiting == 200 - own + contents
    assert SIGNER.key.name == waiting.origin


def blanked(table: pa.Table, entries: range, contents: range) -> pa.Table:
    """What the sealer is given of entries and contents that the log retired."""
    rows = table.to_pylist()
    for row in rows:
        own = str(row["entry"]).endswith('"submitter":"log","v":1}')
        if not own and row["seq"] in entries:
            row["entry"] = None
        if not own and (row["seq"] in contents or row["seq"] in entries):
            row["contents"] = "[]"
    return pa.Table.from_pylist(rows, table.schema)


@pytest.mark.parametrize("level", [Level.HASHES, Level.EVERYTHING])
@pytest.mark.parametrize("told", [True, False])
def test_what_is_gone_of_a_segment_is_retired_where_the_log_says_so_and_missing_where_not(
    tmp_path: Path, level: Level, told: bool
):
    log = filled(3000)
    if told:
        log.commit(own_record("log.entries_retired", {"log.retired": [[100, 300]], "log.policy": "p90d"}))
        log.commit(
            own_record("log.contents_retired", {"log.contents_retired": [[300, 500]], "log.policy": "p30d"})
        )
    whole = log.table
    log.table = lambda low=0, high=None: blanked(whole(low, high), range(100, 300), range(300, 500))
    data = tmp_path / "data"
    write_folder(data, log, [901, 2801])
    log.table = whole
    report = audit(data, Asked(vkey=SIGNER.key, level=level, pins=[log.notes[len(log.rows) - 1]])).report
    assert report.anchors[0].agrees
    assert report.root == root_of(log.hashes(0, len(log.rows)))
    if not told:
        assert report.findings[0].kind == "missing"
        assert report.good_up_to == 100
        return
    assert report.findings == ()
    words = " ".join(report.words)
    assert "entries 100 to 299 (policy p90d, told by entry 3000)" in words
    if level is Level.EVERYTHING:
        assert "contents of entries 300 to 499 (policy p30d, told by entry 3001)" in words
        assert report.waiting == 0
