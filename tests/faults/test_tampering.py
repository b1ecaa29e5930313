"""Each row of docs/tampering.md, done by hand on what is stored with the service stopped, and found."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.entry import format_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash
from ledger.core.note import format_vkey
from ledger.log import sequencer
from ledger.log.log import Log
from ledger.records.prepared import Disclosed
from ledger.records.resources import schema_text
from ledger.storage.anchor import HeadAnchor
from ledger.storage.contents import format_contents, parse_contents
from ledger.storage.schema import Row
from tests.faults.evidence import DATABASE, GROUP, ORIGIN, Evidence, altered, execute, found, store
from tests.log.conftest import post, record

PAGE = Path(__file__).parent.parent.parent / "docs" / "tampering.md"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("evidence"))


@pytest.fixture
def data(evidence: Evidence, tmp_path: Path) -> Path:
    return evidence.copy(tmp_path)


def test_the_untouched_log_has_no_findings(evidence: Evidence, data: Path):
    report = evidence.verify(data, pins=[evidence.middle, evidence.pin], receipts=[evidence.receipt])
    assert report.findings == ()
    assert report.verdict == f"verified and anchored up to {evidence.size}"
    assert report.withheld == 2


# ---- bytes


@pytest.mark.parametrize("seq", [0, 1, 22, 23, 40, "last"])
def test_a_byte_of_an_entry(evidence: Evidence, data: Path, seq: Any):
    seq = evidence.size - 1 if seq == "last" else seq
    entry = evidence.entries[seq].entry.decode()
    for at in range(0, len(entry), 37):
        text = entry[:at] + chr(ord(entry[at]) ^ 1) + entry[at + 1 :]
        execute(data, ("UPDATE entries SET entry = ? WHERE seq = ?", [text, seq]))
        report = evidence.verify(data)
        assert report.findings[0].kind == "altered", at
        assert report.good_up_to == seq, at


@pytest.mark.parametrize("seq", [0, 5, 22, "last"])
def test_a_byte_of_a_hash(evidence: Evidence, data: Path, seq: Any):
    seq = evidence.size - 1 if seq == "last" else seq
    for at in range(0, 32, 3):
        digest = bytearray(evidence.entries[seq].hash)
        digest[at] ^= 1
        execute(data, ("UPDATE entries SET hash = ? WHERE seq = ?", [bytes(digest), seq]))
        assert found(evidence.verify(data)) == [("altered", seq)]


@pytest.mark.parametrize("seq", [0, 5, "last"])
def test_a_byte_of_a_checkpoint(evidence: Evidence, data: Path, seq: Any):
    seq = evidence.size - 1 if seq == "last" else seq
    note = str(evidence.entries[seq].checkpoint)
    for at in range(0, len(note), 9):
        text = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        execute(data, ("UPDATE entries SET checkpoint = ? WHERE seq = ?", [text, seq]))
        assert found(evidence.verify(data)) == [("altered", seq)], text


def test_a_byte_of_the_database_file(evidence: Evidence, data: Path):
    """Wherever a byte flips: it is found, or nothing that is stored changed. Never a traceback."""
    path = data / DATABASE
    whole = path.read_bytes()
    verdicts = set()
    for at in range(11, len(whole), len(whole) // 60):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        report = evidence.verify(data)
        if not report.findings:
            assert (report.size, report.root) == (evidence.size, evidence.root)
        verdicts |= {str(finding.kind) for finding in report.findings}
    assert "unverifiable" in verdicts


# ---- columns


MEMBERS = ("member", "salt", "value")


def columns() -> list[tuple[str, str, str | None]]:
    """Every column of every table as the database itself lists them, and each member of what stands in `contents`."""
    connection = duckdb.connect()
    connection.execute(schema_text("tables.sql"))
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns ORDER BY table_name, ordinal_position"
    ).fetchall()
    return [
        (table, column, member)
        for table, column in rows
        for member in (MEMBERS if column == "contents" else (None,))
    ]


COLUMNS = columns()


def test_every_column_is_known_here():
    assert len(COLUMNS) == 13


def rows_with(data: Path, table: str, column: str) -> list[tuple[str, int, Any]]:
    """How to find each row that has a value in a column, its seq, and the value. An UPDATE of a text may move a row to a new rowid."""
    connection = duckdb.connect(str(data / DATABASE), read_only=True)
    full = f'"{column}" IS NOT NULL' + (" AND contents <> '[]'" if column == "contents" else "")
    rows = connection.execute(
        f'SELECT rowid, seq, "{column}" FROM {table} WHERE {full} ORDER BY seq'
    ).fetchall()
    connection.close()
    key = "seq" if column == "contents" else "rowid"
    return [(f"{key} = {seq if key == 'seq' else rowid}", seq, value) for rowid, seq, value in rows]


def mutated(value: Any, member: str | None) -> Any:
    if member is None:
        return altered(value)
    first, *rest = parse_contents(value)
    changed = altered(getattr(first, member))
    if member == "value":
        changed = json.dumps(changed.decode(errors="replace")).encode()  # some other JSON
    return as_text([first._replace(**{member: changed}), *rest])


def as_text(contents: list[Disclosed]) -> str:
    return format_contents(contents).decode()


@pytest.mark.parametrize(("table", "column", "member"), COLUMNS)
def test_any_column_of_any_table(evidence: Evidence, data: Path, table: str, column: str, member: str | None):
    for where, seq, value in rows_with(data, table, column)[::9]:
        store(data, table, column, where, mutated(value, member))
        report = evidence.verify(data)
        assert {finding.kind for finding in report.findings} <= {"altered", "missing", "rolled-back"}
        last = (
            column == "seq" and seq == evidence.size - 1
        )  # it took the newest checkpoint with it: its group is in doubt
        assert report.good_up_to == (evidence.size - GROUP if last else seq)
        store(data, table, column, where, value)
        assert evidence.verify(data).findings == ()


@pytest.mark.parametrize(("table", "column"), sorted({(table, column) for table, column, _ in COLUMNS}))
def test_a_column_set_to_null(evidence: Evidence, data: Path, table: str, column: str):
    where, seq, _ = rows_with(data, table, column)[3]
    if column != "checkpoint":
        execute(data, f'ALTER TABLE {table} ALTER COLUMN "{column}" DROP NOT NULL')
    execute(data, f'UPDATE {table} SET "{column}" = NULL WHERE {where}')
    report = evidence.verify(data)
    assert report.findings
    assert report.good_up_to == seq


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE entries ADD COLUMN verdict VARCHAR",
        "CREATE TABLE notes (x VARCHAR)",
        "CREATE VIEW records AS SELECT 1 AS x",
    ],
)
def test_a_table_or_column_the_log_does_not_cover(evidence: Evidence, data: Path, statement: str):
    execute(data, statement)
    report = evidence.verify(data)
    assert found(report) == [("altered", None)]
    assert "does not cover it" in report.findings[0].detail


@pytest.mark.parametrize(
    "statement", ["DROP TABLE persons", "ALTER TABLE entries DROP COLUMN checkpoint", "DROP TABLE entries"]
)
def test_a_table_or_column_that_is_gone(evidence: Evidence, data: Path, statement: str):
    execute(data, statement)
    report = evidence.verify(data)
    assert {str(finding.kind) for finding in report.findings} == {"unverifiable"}


# ---- contents and persons


def test_a_content_replaced_by_another(evidence: Evidence, data: Path):
    where, seq, text = rows_with(data, "entries", "contents")[5]
    other = parse_contents(rows_with(data, "entries", "contents")[6][2])
    store(data, "entries", "contents", where, as_text([other[0], *parse_contents(text)[1:]]))
    assert found(evidence.verify(data)) == [("altered", seq)]


def test_a_content_deleted(evidence: Evidence, data: Path):
    contents = parse_contents(contents_of(data, 9))
    store(data, "entries", "contents", "seq = 9", as_text(contents[1:]))
    report = evidence.verify(data)
    assert found(report) == [("missing", 9)]
    assert "the log does not say why" in report.findings[0].detail


def test_a_content_added(evidence: Evidence, data: Path):
    contents = parse_contents(contents_of(data, 9))
    store(data, "entries", "contents", "seq = 9", as_text([*contents, contents[0]]))
    assert found(evidence.verify(data)) == [("altered", 9)]


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text.replace(",", ", ", 1),
        lambda text: text.replace("[", "[ ", 1),
        lambda text: text.replace("t", "\\u0074", 1),
        lambda text: text[:-1],
        lambda _: "",
        lambda _: "null",
        lambda text: text.replace('"', "'"),
    ],
)
def test_contents_spelled_as_the_ledger_never_writes_them(evidence: Evidence, data: Path, spelling: Any):
    store(data, "entries", "contents", "seq = 9", spelling(contents_of(data, 9)))
    report = evidence.verify(data)
    assert found(report)[0] == ("altered", 9)
    assert report.good_up_to == 9


def contents_of(data: Path, seq: int) -> str:
    return str(next(value for _, at, value in rows_with(data, "entries", "contents") if at == seq))


def test_a_person_deleted(evidence: Evidence, data: Path):
    execute(data, "DELETE FROM persons WHERE seq = 1")
    report = evidence.verify(data)
    assert {str(finding.kind) for finding in report.findings} == {"missing"}
    assert report.good_up_to == 1


def test_a_person_added(evidence: Evidence, data: Path):
    execute(data, "INSERT INTO persons SELECT * FROM persons WHERE seq = 1")
    assert found(evidence.verify(data)) == [("altered", 1)]
    execute(data, "UPDATE persons SET seq = 999 WHERE rowid = (SELECT max(rowid) FROM persons)")
    assert "altered" in {str(finding.kind) for finding in evidence.verify(data).findings}


# ---- rows


@pytest.mark.parametrize("seq", [1, 9, 22])
def test_an_entry_deleted(evidence: Evidence, data: Path, seq: int):
    execute(data, f"DELETE FROM entries WHERE seq = {seq}")
    report = evidence.verify(data)
    assert report.findings[0].kind == "missing"
    assert report.good_up_to == seq


def test_the_first_entry_deleted(evidence: Evidence, data: Path):
    execute(data, "DELETE FROM entries WHERE seq = 0")
    assert found(evidence.verify(data)) == [("missing", 0)]
    assert found(verify_folder(data)) == [
        ("unverifiable", 0)
    ]  # without a key of one's own there is nothing to begin with


def test_several_entries_deleted(evidence: Evidence, data: Path):
    execute(data, "DELETE FROM entries WHERE seq BETWEEN 9 AND 13")
    report = evidence.verify(data)
    assert found(report)[0] == ("missing", 9)
    assert report.findings[0].where == "entries 9 to 13"


def test_all_entries_deleted(evidence: Evidence, data: Path):
    execute(data, "DELETE FROM entries", "DELETE FROM persons")
    assert found(evidence.verify(data))[0] in [("missing", 0), ("unverifiable", 0)]


def test_an_entry_deleted_and_the_rest_moved_up(evidence: Evidence, data: Path):
    execute(data, "DELETE FROM entries WHERE seq = 9", "UPDATE entries SET seq = seq - 1 WHERE seq > 9")
    report = evidence.verify(data)
    assert report.findings[0].kind == "altered"
    assert report.good_up_to in {8, 9}


def forged(evidence: Evidence, seq: int, prev: bytes) -> list[Any]:
    entry = format_entry(
        prev=prev,
        record=b'{"id":"forged","time":"2026-11-21T09:30:00Z","type":"action"}',
        recorded_at="2099-01-01T00:00:00.000000Z",
        seq=seq,
        submitter="token:test",
    )
    return [seq, leaf_hash(entry), "forged", entry.decode()]


INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, [], NULL)"


def test_an_entry_inserted_in_the_middle(evidence: Evidence, data: Path):
    execute(data, (INSERT, forged(evidence, 9, evidence.entries[8].hash)))
    assert found(evidence.verify(data)) == [("altered", 9)]


def test_an_entry_inserted_and_the_rest_moved_down(evidence: Evidence, data: Path):
    execute(
        data,
        "UPDATE entries SET seq = seq + 1 WHERE seq >= 9",
        (INSERT, forged(evidence, 9, evidence.entries[8].hash)),
    )
    report = evidence.verify(data)
    assert report.findings[0].kind == "altered"
    assert report.good_up_to in {8, 9}


def test_an_entry_added_at_the_end(evidence: Evidence, data: Path):
    execute(data, (INSERT, forged(evidence, evidence.size, evidence.entries[-1].hash)))
    report = evidence.verify(data)
    assert found(report) == [("missing", evidence.size)]
    assert "no signed checkpoint covers" in report.findings[0].detail


def test_an_entry_added_far_beyond_the_end(evidence: Evidence, data: Path):
    execute(data, (INSERT, forged(evidence, 2**62, evidence.entries[-1].hash)))
    report = evidence.verify(data)
    assert found(report) == [("altered", evidence.size)]


def test_two_entries_swapped(evidence: Evidence, data: Path):
    execute(data, "UPDATE entries SET seq = CASE seq WHEN 9 THEN 10 ELSE 9 END WHERE seq IN (9, 10)")
    report = evidence.verify(data)
    assert {str(finding.kind) for finding in report.findings} == {"altered"}
    assert report.good_up_to == 9


def test_two_entries_swapped_within_a_group_invalidate_a_receipt(evidence: Evidence, data: Path):
    """Threat 13: the order within a batch is the ledger's claim, and the receipt fixes it."""
    execute(data, "UPDATE entries SET seq = CASE seq WHEN 7 THEN 6 ELSE 7 END WHERE seq IN (6, 7)")
    assert evidence.verify(data, receipts=[evidence.receipt]).good_up_to == 6


# ---- loss


CUT = f"DELETE FROM entries WHERE seq >= {Evidence.MIDDLE}"
CUT_PERSONS = f"DELETE FROM persons WHERE seq >= {Evidence.MIDDLE}"


def test_a_cut_tail(evidence: Evidence, data: Path):
    execute(data, CUT, CUT_PERSONS)
    for kept in ({}, {"pins": [evidence.pin]}, {"receipts": [evidence.receipt]}):
        report = evidence.verify(data, **kept)
        assert found(report) == [("rolled-back", Evidence.MIDDLE)]
        assert report.good_up_to == Evidence.MIDDLE
    assert refused(data) == Code.ROLLED_BACK
    (data.parent / "data.head").unlink()
    assert evidence.verify(data).verdict == "consistent with itself, not anchored"
    assert found(evidence.verify(data, pins=[evidence.pin])) == [("rolled-back", Evidence.MIDDLE)]


def test_a_tail_cut_within_a_group(evidence: Evidence, data: Path):
    execute(data, f"DELETE FROM entries WHERE seq >= {evidence.size - 3}")
    assert ("missing", evidence.size - GROUP) in found(evidence.verify(data))


@pytest.fixture
def killed(evidence: Evidence, tmp_path: Path) -> Iterator[Path]:
    """What a killed server leaves: entries in the WAL alone."""
    folder = evidence.copy(tmp_path / "running")
    log = Log.open(folder)
    post(log, *[record(number) for number in range(2000, 2020)])
    shutil.copytree(tmp_path / "running", tmp_path / "killed")
    log.close()
    assert verify_folder(tmp_path / "killed" / "data").findings == ()
    return tmp_path / "killed" / "data"


def test_the_wal_deleted(evidence: Evidence, killed: Path):
    (killed / f"{DATABASE}.wal").unlink()
    assert found(evidence.verify(killed)) == [("rolled-back", evidence.size)]
    assert refused(killed) == Code.ROLLED_BACK


def test_the_wal_cut(evidence: Evidence, killed: Path):
    wal = killed / f"{DATABASE}.wal"
    wal.write_bytes(wal.read_bytes()[: wal.stat().st_size // 2])
    report = evidence.verify(killed)
    assert {str(finding.kind) for finding in report.findings} <= {"rolled-back", "unverifiable"}
    assert report.good_up_to <= evidence.size
    assert report.findings


def test_a_byte_of_the_wal(evidence: Evidence, killed: Path):
    wal = killed / f"{DATABASE}.wal"
    data = bytearray(wal.read_bytes())
    data[len(data) // 2] ^= 1
    wal.write_bytes(bytes(data))
    report = evidence.verify(killed)
    assert found(report) == [("unverifiable", 0)]
    assert "WAL" in report.findings[0].detail


def test_an_older_copy_restored(evidence: Evidence, data: Path, tmp_path: Path):
    shutil.copytree(data, tmp_path / "older")
    log = Log.open(data)
    post(log, record(3000))
    log.close()
    shutil.rmtree(data)
    (tmp_path / "older").rename(data)
    assert refused(data) == Code.ROLLED_BACK
    assert found(evidence.verify(data)) == [("rolled-back", evidence.size)]


def refused(data: Path) -> Code:
    with pytest.raises(LedgerError) as caught:
        Log.open(data)
    return caught.value.code


# ---- whoever holds the log's key


@pytest.fixture
def rewritten(evidence: Evidence, data: Path, tmp_path: Path) -> Path:
    """The whole log made anew with its own key: the same in its first entries, another history from then on."""
    forgery = tmp_path / "forgery"
    forgery.mkdir(mode=0o700)
    shutil.copy(data / "log.key", forgery / "log.key")
    Log.create(forgery, ORIGIN)
    log = Log.open(forgery)
    for number in range(1, evidence.size + 5):
        post(log, record(number + 5_000))
    log.close()
    shutil.rmtree(data)
    forgery.rename(data)
    return data


def test_everything_rewritten_with_the_logs_own_key(evidence: Evidence, rewritten: Path, tmp_path: Path):
    assert [kind for kind, _ in found(evidence.verify(rewritten))] == [
        "forked"
    ]  # the head anchor was forgotten
    assert refused(rewritten) == Code.FORKED
    (tmp_path / "forgery.head").replace(tmp_path / "data.head")  # and now it was not
    report = evidence.verify(rewritten)
    assert report.verdict == "consistent with itself, not anchored"
    assert report.anchored_to == 0
    for kept in ({"pins": [evidence.middle]}, {"pins": [evidence.pin]}, {"receipts": [evidence.receipt]}):
        report = evidence.verify(rewritten, **kept)
        assert [kind for kind, _ in found(report)] == ["forked"]
        assert report.anchored_to == 0


def test_everything_rewritten_with_another_key(evidence: Evidence, data: Path, tmp_path: Path):
    """Threat 17: the key in the folder and in entry 0 says nothing; the one that was kept does."""
    shutil.rmtree(data)
    (tmp_path / "data.head").unlink()
    Log.create(data, ORIGIN)
    log = Log.open(data)
    post(log, record(1))
    assert log.vkey != format_vkey(evidence.vkey)
    log.close()
    report = evidence.verify(data)
    assert report.findings[0].kind == "altered"
    assert report.good_up_to == 0
    assert verify_folder(data).own_key


def test_the_head_anchor_altered(evidence: Evidence, data: Path):
    anchor = data.parent / "data.head"
    anchor.write_bytes(b"\x00" * anchor.stat().st_size)
    assert found(evidence.verify(data))[0][0] == "unverifiable"
    other = HeadAnchor(data.parent / "other.head")
    other.advance(evidence.pin.replace(b"ledger.example", b"ledger.exbmple"), evidence.size)
    (data.parent / "other.head").replace(anchor)
    assert found(evidence.verify(data))[0][0] == "unverifiable"


# ---- memory


def test_a_bit_that_flips_after_hashing_is_never_signed(data: Path, monkeypatch: pytest.MonkeyPatch):
    """Threat 48: entries are hashed again right before their checkpoint is signed."""
    log = Log.open(data)
    head = log.head()
    check = sequencer._check_again

    def flip_and_check(rows: list[Row]) -> None:
        rows[0] = rows[0]._replace(entry=rows[0].entry.replace(b"send_money", b"sene_money"))
        check(rows)

    monkeypatch.setattr(sequencer, "_check_again", flip_and_check)
    (refusal,) = post(log, record(4000))
    assert isinstance(refusal, LedgerError)
    assert "changed in memory" in refusal.detail
    assert log.head() == head
    monkeypatch.undo()
    (answer,) = post(log, record(4000))
    assert answer.seq == head.size
    log.close()
    assert verify_folder(data).findings == ()


# ---- the page


def test_every_row_of_the_page_has_its_test_and_every_test_its_row():
    rows = re.findall(r"^\|.*\| `(test_\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    tests = {name for name in globals() if name.startswith("test_")}
    about_the_page = {
        "test_every_row_of_the_page_has_its_test_and_every_test_its_row",
        "test_every_column_is_known_here",
        "test_the_untouched_log_has_no_findings",
    }
    assert sorted(rows) == sorted(set(rows))
    assert set(rows) == tests - about_the_page
