"""Verification from the command line: what is found, up to where it is vouched for, and the exit status."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from ledger.storage.layout import hot_path
from tests.cli.conftest import ORIGIN, ROOT, Ledger, free_port, serving


def lines(count: int) -> bytes:
    record = {
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "tool": {"name": "pay", "arguments": {"n": 1}},
    }
    return b"\n".join(json.dumps(record | {"id": f"v-{uuid4()}"}).encode() for _ in range(count))


def post(ledger: Ledger, count: int) -> None:
    posted = ledger.run("post", stdin=lines(count))
    assert posted.returncode == 0, posted.stderr


def verify(ledger: Ledger, *arguments: str | Path, status: int = 0) -> dict:
    ended = ledger.run("verify", *arguments)
    assert ended.returncode == status, (ended.stdout, ended.stderr)
    return json.loads(ended.stdout)


def machine(folder: Path) -> Ledger:
    """A ledger whose disk can be copied whole; what its user remembers stands elsewhere."""
    return Ledger(folder / "machine" / "data", f"http://127.0.0.1:{free_port()}", folder / "state")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Ledger:
    """A log of 601 entries that nobody serves, with a checkpoint, a receipt and an export of its 301 first ones. Copy it, do not change it."""
    folder = tmp_path_factory.mktemp("stopped")
    ledger = machine(folder)
    with serving(ledger):
        post(ledger, 300)
        assert ledger.run("receipt", "get", "7", "-o", folder / "receipt").returncode == 0
        exported = ledger.run("export", folder / "export")
        assert exported.returncode == 0, exported.stderr
        post(ledger, 300)
    return ledger


@pytest.fixture
def copy(stopped, tmp_path) -> Ledger:
    """Another machine with the same disk, and a user who remembers nothing."""
    shutil.copytree(stopped.data.parent.parent, tmp_path / "copy", ignore=shutil.ignore_patterns("state"))
    return machine(tmp_path / "copy")


def test_a_running_ledger_is_anchored_to_what_this_user_saw_of_it(copy):
    with serving(copy):
        first = verify(copy)
        assert set(first) == {"target", "client", "stored"}
        for report in (first["client"], first["stored"]):
            assert (report["origin"], report["size"], report["findings"]) == (ORIGIN, 601, [])
            assert report["anchored_to"] == 0
            assert "not anchored" in report["verdict"]
        assert first["client"]["own_key"]
        post(copy, 5)
        second = verify(copy)
        assert [second[name]["anchored_to"] for name in ("client", "stored")] == [601, 601]
        assert (second["client"]["size"], second["client"]["own_key"]) == (606, False)


def test_a_user_who_forgets_compares_with_what_was_kept(copy):
    folder = copy.data.parent.parent
    with serving(copy):
        kept = ("--checkpoint", folder / "export" / "checkpoint")
        report = verify(copy, *kept, "--no-remember")
        assert [report[name]["anchored_to"] for name in ("client", "stored")] == [301, 301]
        report = verify(copy, "--receipt", folder / "receipt", "--no-remember", "--no-stored")
        assert set(report) == {"target", "client"}
        assert report["client"]["anchored_to"] > 7
    assert not copy.state.exists()


def test_a_stopped_folder_is_verified_with_all_that_is_stored(copy):
    report = verify(copy, copy.data)["stored"]
    assert (report["size"], report["level"], report["findings"]) == (601, "everything", [])
    assert verify(copy, copy.data, "--processes", "2")["stored"]["root"] == report["root"]
    by_default = copy.run("verify", AGENT_LEDGER_URL="")
    assert json.loads(by_default.stdout)["stored"] == report


def test_a_head_anchor_counts_only_where_it_is_named(copy):
    elsewhere = copy.data.parent / "elsewhere"
    (copy.data.parent / "data.head").rename(elsewhere)
    settings = copy.run("verify", copy.data, AGENT_LEDGER_HEAD_ANCHOR=str(elsewhere))
    report = json.loads(settings.stdout)["stored"]
    assert [(a["what"], a["agrees"], a["outside"]) for a in report["anchors"]] == [
        (f"head anchor {elsewhere}", True, False)
    ]
    assert report["anchored_to"] == 0
    assert verify(copy, copy.data, "--head-anchor", elsewhere)["stored"]["anchored_to"] == 601


def test_a_running_ledger_is_verified_without_loading_a_database():
    program = "import sys, ledger.cli.verify\nprint([name for name in ('duckdb', 'pyarrow') if name in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert ended.stdout == "[]\n"


def test_a_folder_in_use_is_refused_in_words(copy):
    with serving(copy):
        refused = copy.run("verify", copy.data)
    assert refused.returncode == 2
    assert b"[locked]" in refused.stderr


def test_a_content_that_was_changed_on_the_disk_is_found_at_its_place(copy):
    with duckdb.connect(hot_path(copy.data, 1)) as database:
        database.execute(
            r"""UPDATE entries SET contents = regexp_replace(contents, '"([0-9a-f]{32})",.*$', '"\1",{"n":2}]]') WHERE seq = 9"""
        )
    (finding,) = verify(copy, copy.data, status=1)["stored"]["findings"]
    assert (finding["kind"], finding["seq"]) == ("altered", 9)
    with serving(copy):
        report = verify(copy, status=1)
        assert report["client"]["findings"] == [], "its tiles are as they were"
        assert [finding["seq"] for finding in report["stored"]["findings"]] == [9]


def test_an_export_verifies_offline_and_a_changed_byte_is_found(copy, tmp_path):
    export = copy.data.parent.parent / "export"
    alone = Ledger(tmp_path / "nowhere", "http://127.0.0.1:9", tmp_path / "state")
    report = verify(alone, export)["client"]
    assert (report["size"], report["findings"]) == (301, [])
    bundle = next((export / "tile" / "entries").glob("000"))
    data = bytearray(bundle.read_bytes())
    at = data.index(b'"pay"')
    data[at + 1 : at + 4] = b"PAY"
    bundle.chmod(0o600)
    bundle.write_bytes(data)
    findings = verify(alone, export, status=1)["client"]["findings"]
    assert findings[0]["seq"] == 1


def test_an_export_that_is_older_than_what_was_seen_is_no_finding(copy):
    with serving(copy):
        verify(copy)
    ended = copy.run("verify", copy.data.parent.parent / "export")
    assert ended.returncode == 0, ended.stderr
    assert b"larger size since" in ended.stderr


def test_an_older_copy_of_the_whole_machine_is_found_by_who_remembers(copy, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(copy.data.parent, older)
    with serving(copy):
        post(copy, 20)
        verify(copy)
    shutil.rmtree(copy.data.parent)
    shutil.copytree(older, copy.data.parent)
    with serving(copy):
        rolled_back = verify(copy, status=1)
        assert {finding["kind"] for finding in rolled_back["client"]["findings"]} == {"rolled-back"}
        assert "fork_proof" not in rolled_back  # both may be of one history
        assert {finding["kind"] for finding in rolled_back["stored"]["findings"]} == {"rolled-back"}
        post(copy, 40)
        forked = verify(copy, status=1)
        assert {finding["kind"] for finding in forked["client"]["findings"]} == {"forked"}
        assert verify(copy, forked["fork_proof"], status=1)["verdict"] == "forked"
        forgetful = copy.seen_by(tmp_path / "forgetful")
        assert "not anchored" in verify(forgetful)["client"]["verdict"], "without a memory nothing shows it"


def test_another_key_than_the_one_that_was_kept_is_found(copy):
    with serving(copy):
        key = json.loads(copy.run("keys", "show").stdout)["verifier_key"]
    other = "test.example/cli+" + "0" * 8 + key[key.rindex("+") :]
    assert copy.run("verify", "--vkey", other).returncode == 2
    mine = "agent.example+0e55e5b3+AdJ+6CMyGx2bCZNDaKYSTrG5aeJSIZY7iGb2ZOWyLhcO"
    assert copy.run("verify", "--vkey", mine).returncode in {1, 2}


def test_a_reader_verifies_what_it_may_read(copy, tmp_path):
    token = tmp_path / "token"
    token.write_bytes(copy.run("token", "create", "reader", "-r", "reader").stdout)
    with serving(copy):
        ended = copy.run("verify", "--token-file", token)
    assert ended.returncode == 0, ended.stderr
    assert set(json.loads(ended.stdout)) == {"target", "client"}
    assert b"role auditor" in ended.stderr


def test_what_cannot_be_verified_says_so_by_its_status(tmp_path):
    nowhere = Ledger(tmp_path / "data", "http://127.0.0.1:9", tmp_path / "state")
    assert nowhere.run("verify").returncode == 3
    assert nowhere.run("verify", tmp_path).returncode == 2


def test_on_a_terminal_the_verdict_stands_in_a_table(copy):
    ended = copy.run("verify", copy.data, TTY_COMPATIBLE="1", NO_COLOR="1", COLUMNS="120")
    assert ended.returncode == 0, ended.stderr
    assert "consistent with itself, not anchored" in ended.stdout.decode()


def test_a_verification_is_recorded_and_the_next_one_begins_from_it(copy, tmp_path):
    record = tmp_path / "record"
    verify(copy, copy.data, "--record", record)
    key = tmp_path / "copy" / "state" / "agent-ledger" / "verifier.key"
    assert key.stat().st_mode & 0o777 == 0o600
    report = verify(copy, copy.data, "--since", record)["stored"]
    assert report["rests_on"]["size"] == 601
    assert report["anchored_to"] == 601
    assert "rests on the verification record by" in " ".join(report["words"])
    exported = tmp_path / "of-export"
    verify(copy, copy.data.parent.parent / "export", "--record", exported)
    again = verify(copy, copy.data.parent.parent / "export", "--since", exported)["client"]
    assert (again["rests_on"]["size"], again["findings"]) == (301, [])


def test_somebody_elses_record_is_believed_only_when_their_key_is_given(copy, tmp_path):
    record = tmp_path / "record"
    verify(copy, copy.data, "--record", record)
    (tmp_path / "copy" / "state" / "agent-ledger" / "verifier.key").unlink()
    refused = copy.run("verify", copy.data, "--since", record)
    assert refused.returncode != 0
    assert b"signed by none of the known keys" in refused.stderr
