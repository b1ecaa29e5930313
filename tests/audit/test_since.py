"""A verification begins from a signed record and reads only what is new; one that was killed goes on where it was."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from ledger.audit import joiner, readonly
from ledger.audit.fsck import Asked, Verified, audit, audit_live
from ledger.core.ed25519 import SigningKey
from ledger.core.entry import format_time
from ledger.core.errors import Code, LedgerError
from ledger.core.note import NoteSigner
from ledger.core.report import Level
from ledger.core.stretch import STRETCH_ENTRIES
from ledger.core.verification import Verification, open_verification, sign_verification, verification_of
from ledger.log.log import Log
from ledger.storage.layout import hot_files
from tests.log.conftest import ORIGIN, post, record

AUDITOR = NoteSigner("ann@audit.example", SigningKey(bytes(range(32))))


def grow(data: Path, first: int, last: int) -> None:
    log = Log.open(data)
    for low in range(first, last, 1000):
        post(log, *[record(number) for number in range(low, min(low + 1000, last))])
    log.close()


def recorded(verified: Verified) -> Verification:
    made = verification_of(verified.report, verified.vkey, verified.state, format_time(1_800_000_000_000_000))
    return open_verification(sign_verification(made, AUDITOR), [AUDITOR.key])


def test_a_verification_since_a_record_finds_what_a_whole_one_finds_and_says_what_it_rests_on(data: Path):
    grow(data, 1, 5000)
    since = recorded(audit(data, Asked()))
    grow(data, 5000, 7000)
    log = Log.open(data)
    log.append_own("log.content_erased", {"log.erased": [[2, "tool.arguments"]], "log.ground": "GDPR 17"})
    log.close()
    report = audit(data, Asked(since=since)).report
    assert report.findings == ()
    assert report.root == audit(data, Asked()).report.root
    assert (
        report.verdict
        == "verified and anchored up to 5000; from there on consistent with itself, not anchored"
    )
    assert "Everything before entry 5000 rests on the verification record by ann@audit.example" in " ".join(
        report.words
    )


def test_what_a_verification_since_a_record_reads_does_not_depend_on_the_logs_length(data: Path, monkeypatch):
    read: list[tuple[int, int]] = []
    rows = readonly.ReadOnly.rows

    def counted(self, low: int, high: int):
        read.append((low, high))
        return rows(self, low, high)

    monkeypatch.setattr(readonly.ReadOnly, "rows", counted)
    entries = []
    for length in (3000, 9000):
        grow(data, length - 2999, length)
        since = recorded(audit(data, Asked()))
        post_one(data, length)
        read.clear()
        report = audit(data, Asked(since=since)).report
        assert report.findings == ()
        entries.append(sum(high - low for low, high in read))
        grow(data, length + 1, length + 3001)
    assert max(entries) <= STRETCH_ENTRIES + 1


def post_one(data: Path, number: int) -> None:
    log = Log.open(data)
    post(log, record(number))
    log.close()


def test_a_running_log_is_verified_since_a_record_too(data: Path):
    grow(data, 1, 3000)
    log = Log.open(data)
    since = recorded(audit_live(log, Asked()))
    post(log, *[record(number) for number in range(3000, 3100)])
    report = audit_live(log, Asked(since=since)).report
    assert (report.findings, report.size) == ((), 3100)
    assert report.rests_on is not None
    assert report.rests_on.base == STRETCH_ENTRIES
    log.close()


def test_a_log_that_was_rolled_back_behind_a_record_is_found(data: Path, tmp_path: Path):
    grow(data, 1, 2500)
    since = recorded(audit(data, Asked()))
    other = tmp_path / "other"
    Log.create(other, "ledger.example/other")
    with pytest.raises(LedgerError) as caught:
        audit(other, Asked(since=since))
    assert caught.value.code == Code.ORIGIN_MISMATCH
    connection = duckdb.connect(str(hot_files(data)[-1][1]))
    connection.execute("DELETE FROM entries WHERE seq >= 2400")
    connection.close()
    assert "rolled-back" in {finding.kind for finding in audit(data, Asked(since=since)).report.findings}


KILLED = """
import os, signal, sys
from pathlib import Path
from ledger.audit.fsck import Asked, audit
from ledger.core.ed25519 import SigningKey
from ledger.core.note import NoteSigner
from ledger.core.report import Level
from ledger.core.verification import sign_verification, unfinished

saved = 0

def save(key, state):
    global saved
    note = sign_verification(unfinished(key, Level.EVERYTHING, state, "2026-11-21T09:30:00.000000Z"),
                             NoteSigner("ann@audit.example", SigningKey(bytes(range(32)))))
    Path(sys.argv[2]).write_bytes(note)
    saved += 1
    if saved == 2:
        os.kill(os.getpid(), signal.SIGKILL)

audit(Path(sys.argv[1]), Asked(save=save, save_stretches=1))
"""


def test_a_verification_that_was_killed_goes_on_where_it_was_and_reports_the_same(data: Path, tmp_path: Path):
    grow(data, 1, 9000)
    log = Log.open(data)
    log.append_own("log.content_erased", {"log.erased": [[2, "tool.arguments"]], "log.ground": "GDPR 17"})
    pin = log.head().note
    log.close()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(data), str(tmp_path / "record")], check=False
    )
    assert done.returncode == -signal.SIGKILL
    left = open_verification((tmp_path / "record").read_bytes(), [AUDITOR.key])
    assert (left.complete, left.size) == (False, 2 * STRETCH_ENTRIES)
    seen: list[int] = []
    report = audit(data, Asked(since=left, pins=(pin,), progress=lambda done, _: seen.append(done))).report
    assert seen[0] == 3 * STRETCH_ENTRIES
    assert report == audit(data, Asked(pins=(pin,))).report
    assert report.rests_on is None


def test_a_state_that_is_none_is_refused(data: Path):
    grow(data, 1, 3000)
    verified = audit(data, Asked())
    for member, value in (("beside", {"counts": []}), ("group", [1]), ("verifier", None)):
        since = recorded(verified._replace(state={**verified.state, member: value}))
        with pytest.raises(LedgerError) as caught:
            audit(data, Asked(since=since))
        assert caught.value.code == Code.MALFORMED_NOTE
    assert joiner.SAVE_STRETCHES * STRETCH_ENTRIES < 200_000
    assert verified.report.origin == ORIGIN


def test_only_a_folder_with_manifests_can_be_compared_with_them(data: Path):
    with pytest.raises(LedgerError) as caught:
        audit(data, Asked(level=Level.FILES))
    assert caught.value.code == Code.INVALID_PARAMETER
