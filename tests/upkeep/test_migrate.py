"""A folder of version 1, as commit c56893c wrote it, becomes one of version 2: verified first, and never half."""

import json
import shutil
from pathlib import Path

import duckdb
import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import leaf_hash, root_of
from ledger.log.log import Log
from ledger.storage.anchor import default_anchor
from ledger.trust.admission import Admission
from ledger.trust.earlier import take_over
from ledger.trust.local import LocalToken
from ledger.upkeep import migrate as module
from ledger.upkeep.migrate import migrate, needs_migration
from tests.log.conftest import post, record
from tests.upkeep.conftest import V1_ORIGIN, V1_SIZE


def entries_by_sql(database: Path) -> list[bytes]:
    """What is in a folder of version 1, without any code of ours."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return [
            row[0].encode() for row in connection.execute("SELECT entry FROM entries ORDER BY seq").fetchall()
        ]


def alter(database: Path, sql: str) -> None:
    with duckdb.connect(str(database)) as connection:
        connection.execute(sql)


def refused(data: Path, **options) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        migrate(data, **options)
    assert (data / "log.duckdb").exists()
    assert not (data / "storage.json").exists()
    assert needs_migration(data)
    return caught.value


@pytest.mark.parametrize("name", ["stopped", "killed"])
def test_every_entry_content_person_and_checkpoint_is_there_as_it_was(version_1, name):
    data = version_1(name)
    before = entries_by_sql(data / "log.duckdb")
    done = migrate(data)
    assert done is not None
    assert (done.origin, done.size, done.findings) == (V1_ORIGIN, V1_SIZE, ())
    assert done.root == root_of([leaf_hash(entry) for entry in before])
    assert json.loads((data / "storage.json").read_bytes()) == {"version": 2}
    assert not (data / "log.duckdb").exists()
    report = verify_folder(data)
    assert (report.findings, report.size, report.root) == ((), V1_SIZE, done.root)
    log = Log.open(data, origin=V1_ORIGIN)
    try:
        assert [
            entry.as_py().encode() for batch in log.rows(0, V1_SIZE) for entry in batch["entry"]
        ] == before
        assert log.agent_key("agent-7") is not None
        stored = log.stored(log.find("v1-001"))
        assert [content.value for content in stored.contents] == [
            b'"please do 1"',
            b'{"amount": 1, "to": "bob"}',
        ]
        assert [person.value for person in stored.persons] == [b'"user-1@example.com"']
        (again,) = post(log, record(1) | {"id": "new"})
        assert again.seq == V1_SIZE
        log.seal()
        assert log.segments()[0].end == V1_SIZE + 1
    finally:
        log.close()
    assert verify_folder(data).findings == ()


def test_tokens_of_version_1_still_let_in(version_1):
    data = version_1()
    migrate(data)
    log = Log.open(data)
    try:
        assert "1 tokens" in take_over(data, log)
        holder = Admission(log, LocalToken(data)).bearer((data / "cli.token").read_text().strip())
        assert (holder.name, holder.submitter) == ("cli", "token:cli")
        [granted] = log.standing.access.admitted.values()
        assert (granted.grant.name, granted.grant.roles) == ("gw-eu-1", ("writer",))
    finally:
        log.close()


def test_what_is_migrated_is_left_alone(version_1):
    data = version_1()
    migrate(data)
    assert not needs_migration(data)
    assert migrate(data) is None


def test_an_earlier_folder_is_not_opened_before_it_was_migrated(version_1):
    data = version_1()
    with pytest.raises(LedgerError, match="agent-ledger migrate") as caught:
        Log.open(data)
    assert caught.value.code is Code.STORAGE_VERSION


def test_a_later_folder_is_refused_with_its_version(version_1):
    data = version_1()
    migrate(data)
    (data / "storage.json").write_text('{"version": 3}')
    for attempt in (migrate, Log.open):
        with pytest.raises(LedgerError, match="version 3") as caught:
            attempt(data)
        assert caught.value.code is Code.STORAGE_VERSION


@pytest.mark.parametrize("said", ["", "{}", '{"version": "2"}', "[2]"])
def test_a_version_that_cannot_be_read_is_refused(version_1, said):
    data = version_1()
    migrate(data)
    (data / "storage.json").write_text(said)
    with pytest.raises(LedgerError) as caught:
        migrate(data)
    assert caught.value.code is Code.STORAGE_FAILED


# ---- what is refused, with version 1 left as it was


def test_a_row_that_was_dropped_is_found_although_count_and_root_are_not_asked(version_1):
    data = version_1()
    alter(data / "log.duckdb", "DELETE FROM entries WHERE seq = 20")
    assert refused(data).code in {Code.EVIDENCE_ALTERED, Code.STORAGE_FAILED}


def test_an_altered_entry_is_found_although_its_stored_hash_is_right_for_it(version_1):
    data = version_1()
    entry = entries_by_sql(data / "log.duckdb")[20].replace(b"send_money", b"read_money")
    with duckdb.connect(str(data / "log.duckdb")) as connection:
        connection.execute(
            "UPDATE entries SET entry = ?, hash = ? WHERE seq = 20", [entry.decode(), leaf_hash(entry)]
        )
    error = refused(data)
    assert error.code is Code.EVIDENCE_ALTERED
    assert refused(data, keep_findings=True).code is Code.EVIDENCE_ALTERED


def test_stored_hashes_that_agree_with_the_root_do_not_hide_an_altered_entry(version_1):
    data = version_1()
    alter(
        data / "log.duckdb",
        "UPDATE entries SET entry = replace(entry, 'send_money', 'read_money') WHERE seq = 20",
    )
    assert refused(data).code is Code.EVIDENCE_ALTERED


def test_a_folder_behind_its_anchor_is_refused(version_1, tmp_path):
    data = version_1("killed")
    (data / "log.duckdb.wal").unlink()
    shutil.copy(tmp_path / "stopped.head", default_anchor(data)) if (
        tmp_path / "stopped.head"
    ).exists() else None
    error = refused(data)
    assert error.code in {Code.ROLLED_BACK, Code.STORAGE_FAILED}


def test_a_cut_tail_is_refused_by_the_anchor(version_1):
    data = version_1()
    with duckdb.connect(str(data / "log.duckdb")) as connection:
        connection.execute("DELETE FROM entries WHERE seq >= 30")
        connection.execute("DELETE FROM persons WHERE seq >= 30")
    error = refused(data)
    assert error.code is Code.ROLLED_BACK
    assert "48" in error.detail


def test_an_anchor_of_another_history_is_refused(version_1):
    data, other = version_1(), version_1("killed")
    default_anchor(other).replace(default_anchor(data))
    assert refused(data).code is not Code.NOT_FOUND


def test_an_altered_content_is_refused_and_with_keep_findings_kept_as_evidence(version_1):
    data = version_1()
    alter(
        data / "log.duckdb", "UPDATE entries SET contents = replace(contents, 'please do 5', 'please do 6')"
    )
    assert "content" in refused(data).detail or "request.text" in refused(data).detail
    done = migrate(data, keep_findings=True)
    assert done is not None
    assert len(done.findings) == 1
    assert len(verify_folder(data).findings) == 1, "it is told ever after"


def test_a_running_release_keeps_its_folder(version_1):
    data = version_1()
    from ledger.storage.lock import DataLock  # noqa: PLC0415

    lock = DataLock(data)
    try:
        assert refused(data).code is Code.LOCKED
    finally:
        lock.release()


def test_a_folder_that_holds_both_is_refused_and_nothing_is_removed(version_1):
    data = version_1()
    (data / "segments" / "0000000000000000").mkdir(parents=True)
    assert refused(data).code is Code.STORAGE_FAILED
    assert (data / "segments" / "0000000000000000").is_dir()


# ---- a crash before each step


class Crash(BaseException):
    pass


STEPS = {
    "_verified": False,
    "_clear": False,
    "_link": False,
    "write_version": False,
    "_drop_old_name": True,
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_leaves_one_version_whole_and_the_next_start_finishes(
    version_1, monkeypatch, step, after
):
    data = version_1("killed")
    before = entries_by_sql(data / "log.duckdb")
    real = getattr(module, step)

    def crash(*arguments, **options):
        if after:
            real(*arguments, **options)
        raise Crash

    monkeypatch.setattr(module, step, crash)
    with pytest.raises(Crash):
        migrate(data)
    monkeypatch.setattr(module, step, real)
    written = STEPS[step] or (step == "write_version" and after)
    assert (data / "storage.json").exists() == written
    if not written:
        assert entries_by_sql(data / "log.duckdb") == before
    migrate(data)
    assert not (data / "log.duckdb").exists()
    log = Log.open(data)
    try:
        assert [
            entry.as_py().encode() for batch in log.rows(0, V1_SIZE) for entry in batch["entry"]
        ] == before
    finally:
        log.close()


def test_where_there_are_no_hard_links_the_file_is_copied(version_1, monkeypatch):
    data = version_1()

    def none(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(module.os, "link", none)
    assert migrate(data) is not None
    assert verify_folder(data).findings == ()


def test_an_old_name_that_is_another_file_is_kept_and_told(version_1, tmp_path):
    data = version_1()
    kept = (data / "log.duckdb").read_bytes()
    migrate(data)
    (data / "log.duckdb").write_bytes(kept[:9000] + b"x" + kept[9001:])
    with pytest.raises(LedgerError, match="is not what became of it"):
        migrate(data)
    assert (data / "log.duckdb").exists()


@pytest.mark.parametrize("anchored", [True, False])
def test_what_was_cut_off_its_wal_goes_once_it_is_known_that_nothing_of_it_counts(version_1, anchored):
    data = version_1()
    anchor = default_anchor(data)
    if not anchored:
        anchor.unlink()
    end = data / "log.duckdb.wal.torn-1"
    end.write_bytes(b"part of a commit")
    migrate(data)
    assert end.exists() == (not anchored), "without the anchor the start finds out"
    Log.open(data, accept_missing_anchor=not anchored).close()
    assert not end.exists()
