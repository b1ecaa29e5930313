"""A log comes back from a backup verified, is never continued where somebody has seen more, and can be succeeded then."""

import shutil
from contextlib import contextmanager

import pytest

from ledger.audit.fsck import verify_folder
from ledger.core.ed25519 import generate
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.merkle import verify_consistency
from ledger.core.note import Cosigner
from ledger.core.receipt import parse_receipt
from ledger.log.log import Log
from ledger.storage.anchor import default_anchor
from ledger.storage.cache import Cache
from ledger.storage.layout import segment_folders, segment_path
from ledger.storage.objects import ObjectStore
from ledger.storage.places import Settings
from ledger.upkeep import restore as module
from ledger.upkeep.backupset import open_backup
from ledger.upkeep.offload import Offload
from ledger.upkeep.outside import Seen, read_anchor, read_objects
from ledger.upkeep.repair import repair_segment
from ledger.upkeep.restore import finish_anchor, restore, restore_as
from tests.log.conftest import ORIGIN, post, record
from tests.upkeep.conftest import grow, save, stop
from tests.upkeep.test_backup import Crash, flip

NEW = "ledger.example/test-2"


@pytest.fixture
def saved(log, tmp_path):
    """A backup of 11 entries, of a log that goes on."""
    return open_backup(save(log, tmp_path / "set").folder)


@pytest.fixture
def key(tmp_path):
    return tmp_path / "data" / "log.key"


def entries(data, **options):
    log = Log.open(data, **options)
    try:
        return [entry.as_py() for batch in log.rows(0, log.head().size) for entry in batch["entry"]]
    finally:
        log.close()


def test_what_nobody_has_seen_further_is_continued_as_if_nothing_had_happened(log, saved, key, tmp_path):
    receipt, note = log.receipt(5), log.head().note
    before = [entry.as_py() for batch in log.rows(0, 11) for entry in batch["entry"]]
    restored = restore(saved, tmp_path / "back", key=key, seen=[Seen("a client", note)])
    assert (restored.origin, restored.size, restored.anchored, restored.has_key) == (ORIGIN, 11, 11, True)
    assert entries(tmp_path / "back", accept_missing_anchor=True) == before
    back = Log.open(tmp_path / "back")
    try:
        assert back.receipt(5) == receipt
        (again, new) = post(back, record(3, request={"user": "u3@example.com", "text": "hi"}), record(99))
        assert (again.existing, again.seq, new.seq) == (True, log.find("rec-00003"), 11)
        verify_consistency(11, 12, back.consistency(11, 12), log.head().root, back.head().root)
    finally:
        back.close()
    assert verify_folder(tmp_path / "back", pins=[note], receipts=[receipt]).findings == ()


def test_a_missing_anchor_must_be_accepted_on_purpose_and_is_there_again(saved, key, tmp_path):
    restore(saved, tmp_path / "back", key=key)
    with pytest.raises(LedgerError) as caught:
        Log.open(tmp_path / "back")
    assert caught.value.code is Code.ANCHOR_MISSING
    Log.open(tmp_path / "back", accept_missing_anchor=True).close()
    Log.open(tmp_path / "back").close()


def test_an_anchor_that_survived_lets_it_start_at_once(log, saved, key, tmp_path):
    shutil.copy(default_anchor(tmp_path / "data"), default_anchor(tmp_path / "back"))
    restore(saved, tmp_path / "back", key=key, seen=read_anchor(default_anchor(tmp_path / "back")))
    Log.open(tmp_path / "back").close()


@pytest.mark.parametrize("who", ["head anchor", "checkpoint", "cosigned checkpoint"])
def test_it_is_refused_where_anyone_has_seen_more_with_how_much_more(log, saved, key, tmp_path, who):
    grow(log, 10, 17)
    note = log.head().note
    if who == "cosigned checkpoint":
        text = note.decode().partition("\n\n")[0] + "\n"
        note += Cosigner("witness.example/w", generate(), 1_800_000_000).line(text).encode()
    seen = read_anchor(default_anchor(tmp_path / "data")) if who == "head anchor" else [Seen(who, note)]
    with pytest.raises(LedgerError, match=r"11 entries.*seen 18.*last 7.*--new-origin") as caught:
        restore(saved, tmp_path / "back", key=key, seen=seen)
    assert caught.value.code is Code.ROLLED_BACK
    assert who in caught.value.detail
    assert not (tmp_path / "back").exists()


def test_it_is_refused_where_the_object_store_has_seen_more(log, saved, tmp_path, s3, bucket):
    """Data and anchor are lost together; the manifests in the bucket are signed, and stay."""
    store = ObjectStore(Settings(bucket, "audit", s3.url), ORIGIN)
    offload = Offload(store, Cache(tmp_path / "cache", 10_000_000, store.get), ORIGIN)
    assert read_objects(store, ORIGIN) == []
    offload.send(log.segments())
    assert restore(saved, tmp_path / "same", seen=read_objects(store, ORIGIN)).anchored == 11
    grow(log, 10, 17)
    log.seal()
    offload.send(log.segments())
    with pytest.raises(LedgerError, match=r"11 entries.*seen 18.*manifest s3://.*0011/manifest-1") as caught:
        restore(saved, tmp_path / "back", seen=read_objects(store, ORIGIN))
    assert caught.value.code is Code.ROLLED_BACK


def test_a_forged_manifest_in_the_object_store_is_told(log, saved, s3, bucket):
    store = ObjectStore(Settings(bucket, "audit", s3.url), ORIGIN)
    s3.client().put_object(Bucket=bucket, Key=store.key(99, "manifest-1"), Body=b"forged")
    with pytest.raises(LedgerError, match=r"0099/manifest-1 cannot be compared"):
        read_objects(store, ORIGIN)


def test_a_backup_of_another_history_than_was_seen_is_refused(saved, key, tmp_path):
    """Who had the key and an old copy wrote another history, and made a backup of it."""
    fork = tmp_path / "fork"
    restore(saved, fork / "data", key=key)
    forked = Log.open(fork / "data", accept_missing_anchor=True)
    try:
        post(forked, record(500))
        theirs = open_backup(save(forked, fork / "set").folder)
    finally:
        forked.close()
    restore(saved, tmp_path / "true", key=key)
    true = Log.open(tmp_path / "true", accept_missing_anchor=True)
    try:
        post(true, record(600))
        with pytest.raises(LedgerError) as caught:
            restore(theirs, tmp_path / "back", key=key, seen=[Seen("a client", true.head().note)])
    finally:
        true.close()
    assert caught.value.code is Code.FORKED
    assert not (tmp_path / "back").exists()


def test_without_its_key_it_is_evidence_that_verifies_and_is_not_served(saved, tmp_path):
    restored = restore(saved, tmp_path / "back")
    assert not restored.has_key
    assert verify_folder(tmp_path / "back").findings == ()
    with pytest.raises(LedgerError, match="evidence") as caught:
        Log.open(tmp_path / "back")
    assert caught.value.code is Code.KEY_FILE


def test_another_logs_key_is_refused(saved, tmp_path):
    Log.create(tmp_path / "x", "ledger.example/other")
    with pytest.raises(LedgerError) as caught:
        restore(saved, tmp_path / "back", key=tmp_path / "x" / "log.key")
    assert caught.value.code is Code.ORIGIN_CHANGED
    assert not (tmp_path / "back").exists()


def test_nothing_that_is_there_is_written_over(saved, key, tmp_path):
    with pytest.raises(LedgerError, match="move it away") as caught:
        restore(saved, tmp_path / "data", key=key)
    assert caught.value.code is Code.LOG_EXISTS


FILES = ["entries.parquet", "contents.parquet", "facts.parquet", "hashes", "keys", "own.jsonl", "manifest-1"]


@pytest.mark.parametrize("name", [*FILES, "persons.sqlite", "storage.json"])
def test_a_damaged_backup_is_refused_by_the_name_of_the_file(saved, key, tmp_path, name):
    folder = segment_path(saved.folder, 0) if name in FILES else saved.folder
    flip(folder / name, 3)
    with pytest.raises(LedgerError, match=name.replace(".", r"\.")):
        restore(saved, tmp_path / "back", key=key)
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_told(saved, key, tmp_path, name):
    (segment_path(saved.folder, 0) / name).unlink()
    with pytest.raises(OSError, match=name.replace(".", r"\.")):
        restore(saved, tmp_path / "back", key=key)
    assert not (tmp_path / "back").exists()


# ---- a successor


def succeed(saved, tmp_path, log, **options):
    data = tmp_path / "next"
    anchor = default_anchor(data)
    shutil.copy(default_anchor(tmp_path / "data"), anchor)
    return restore_as(
        saved, data, NEW, reason="the disk was lost", anchor=anchor, seen=read_anchor(anchor), **options
    )


def test_a_successor_names_the_old_log_keeps_it_and_goes_on(log, saved, tmp_path):
    grow(log, 10, 17)
    succeed(saved, tmp_path, log)
    new = Log.open(tmp_path / "next")
    try:
        ext = parse_entry(new.entry(1)).members["ext"]
        (first,) = post(new, record(1))
        assert first.seq == 2
    finally:
        new.close()
    assert (ext["log.predecessor_origin"], ext["log.predecessor_size"]) == (ORIGIN, 11)
    assert [(size, note.encode()) for _, size, note in ext["log.seen"]] == [(18, log.head().note)]
    assert verify_folder(tmp_path / "next").findings == ()
    old = verify_folder(tmp_path / "next" / "predecessor")
    assert (old.origin, old.size, old.findings) == (ORIGIN, 11, ())
    assert not (tmp_path / "next" / "predecessor" / "log.key").exists()
    seen = (tmp_path / "next" / "seen" / "1.checkpoint").read_bytes()
    told = verify_folder(tmp_path / "next" / "predecessor", pins=[seen])
    assert [str(finding.kind) for finding in told.findings] == ["rolled-back"]


def test_a_successor_grants_again_what_was_granted_and_not_what_was_revoked(log, tmp_path):
    def grant(name, sha256, **more):
        ext = {"log.name": name, "log.roles": ["writer"], "log.by": "token:cli", **more}
        log.append_own(
            "log.access_granted", ext | {"log.credential": {"type": "bearer", "sha256": sha256 * 64}}
        )

    late = "2999-01-01T00:00:00.000000Z"
    grant("turning", "a")
    grant("gone", "b")
    grant("turning", "c", **{"log.overlap_until": late})
    grant("bound", "d", **{"log.may": {"agents": ["x-*"]}, "log.expires_at": late})
    log.append_own("log.access_revoked", {"log.name": "gone", "log.by": "token:cli"})
    succeed(open_backup(save(log, tmp_path / "set").folder), tmp_path, log)
    new = Log.open(tmp_path / "next")
    try:
        held = list(new.standing.access.admitted.values())
    finally:
        new.close()
    assert [(each.grant.name, each.grant.credential.sha256[0], each.until) for each in held] == [
        ("turning", "a", late),
        ("turning", "c", None),
        ("bound", "d", late),
    ]
    assert {each.grant.by for each in held} == {"predecessor"}
    assert held[2].grant.may.agents == ("x-*",)
    assert verify_folder(tmp_path / "next").findings == ()


def test_the_old_log_found_whole_is_no_fork_of_what_its_successor_says(log, saved, tmp_path):
    grow(log, 10, 17)
    succeed(saved, tmp_path, log)
    new = Log.open(tmp_path / "next")
    try:
        note = parse_entry(new.entry(1)).members["ext"]["log.predecessor_checkpoint"]
    finally:
        new.close()
    stop(log)
    assert verify_folder(tmp_path / "data", pins=[note.encode()]).findings == ()


@contextmanager
def crashing(step, *, after):
    """A process that is gone before or after a step: it cleans up nothing."""
    real = getattr(module, step)

    def crash(*arguments, **options):
        if after:
            real(*arguments, **options)
        raise Crash

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, step, crash)
        patched.setattr("ledger.upkeep.place.remove_tree", lambda _: None)
        with pytest.raises(Crash):
            yield


@pytest.mark.parametrize("step", ["_bring_back", "verified", "_keep_seen", "create_successor", "_put_anchor"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_while_a_successor_is_made_leaves_none_or_one_that_the_next_attempt_finishes(
    log, saved, tmp_path, step, after
):
    grow(log, 10, 12)
    with crashing(step, after=after):
        succeed(saved, tmp_path, log)
    there = (tmp_path / "next").exists()
    assert there == (step == "_put_anchor")
    if there:
        assert finish_anchor(tmp_path / "next", default_anchor(tmp_path / "next")) != after
    else:
        succeed(saved, tmp_path, log)
    Log.open(tmp_path / "next", origin=NEW).close()
    assert sorted(path.name for path in tmp_path.glob(".next*")) == []


@pytest.mark.parametrize(
    "step", ["_bring_back", "copy_checked", "copy_file", "write_version", "_put_key", "verified"]
)
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_leaves_no_folder_and_the_next_attempt_succeeds(
    saved, key, tmp_path, step, after
):
    with crashing(step, after=after):
        restore(saved, tmp_path / "back", key=key)
    assert not (tmp_path / "back").exists()
    restore(saved, tmp_path / "back", key=key)
    assert verify_folder(tmp_path / "back").findings == ()
    assert not (tmp_path / ".back.restoring").exists()


# ---- one segment


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("how", [flip, lambda path: path.unlink()])
def test_a_damaged_file_of_a_segment_is_put_back_and_nothing_else(log, saved, tmp_path, name, how):
    grow(log, 10, 20)
    log.seal()
    stop(log)
    data = tmp_path / "data"
    folder = segment_folders(data)[0]
    folder.chmod(0o700)
    whole = {path.name: path.stat().st_ino for path in folder.iterdir()}
    how(folder / name)
    repaired = repair_segment(saved, data, 0)
    assert (repaired.start, repaired.end, repaired.replaced) == (0, 11, (name,))
    now = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert {each for each in whole if whole[each] != now[each]} <= {name}
    assert verify_folder(data).findings == ()


def test_a_whole_segment_that_is_gone_is_put_back(log, saved, tmp_path):
    grow(log, 10, 20)
    log.seal()
    stop(log)
    data = tmp_path / "data"
    folder = segment_folders(data)[0]
    folder.chmod(0o700)
    shutil.rmtree(folder)
    repair_segment(saved, data, 0)
    assert verify_folder(data).findings == ()
    Log.open(data).close()


def test_a_segment_that_the_backup_does_not_have_is_told(log, saved, tmp_path):
    stop(log)
    with pytest.raises(LedgerError, match="no segment that begins with entry 5"):
        repair_segment(saved, tmp_path / "data", 5)


def test_what_a_receipt_proved_before_it_proves_after(log, saved, key, tmp_path):
    receipt = log.receipt(7)
    restore(saved, tmp_path / "back", key=key)
    report = verify_folder(tmp_path / "back", receipts=[receipt])
    assert parse_receipt(receipt).index == 7
    assert [(anchor.size, anchor.agrees) for anchor in report.anchors] == [(11, True)]
