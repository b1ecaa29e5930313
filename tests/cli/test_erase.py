"""The commands of erasure and of a person's access: what is shown, asked, erased, and what stays in somebody's hand as proof."""

import json
import os
import pty
import subprocess
import zipfile

import pytest

from tests.cli.conftest import command, new_ledger, serving
from tests.cli.test_shell import read_until


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(new_ledger(tmp_path_factory.mktemp("erase"))) as ledger:
        yield ledger


def post(ledger, *names: str, user: str, **members: object) -> None:
    records = [
        {
            "id": name,
            "type": "action",
            "time": "2026-11-21T09:30:00Z",
            "request": {"user": user, "text": f"please do {name}"},
            **members,
        }
        for name in names
    ]
    done = ledger.run("post", stdin="\n".join(map(json.dumps, records)).encode())
    assert done.returncode == 0, done.stderr


def test_a_dry_run_is_the_default_where_nobody_can_be_asked_and_says_what_would_go(served):
    post(served, "dry-1", "dry-2", user="dan@example.com")
    dry = served.run("erase", "--subject", "dan@example.com", "--dry-run")
    assert (json.loads(dry.stdout)["places"], dry.returncode) == (4, 0)
    asked = served.run("erase", "--subject", "dan@example.com", "--ground", "asked")
    assert asked.returncode == 2
    assert b"request.user" in asked.stderr
    assert b"give --yes" in asked.stderr
    without = served.run("erase", "--subject", "dan@example.com", "--yes")
    assert (without.returncode, b"--ground" in without.stderr) == (2, True)
    assert json.loads(served.run("get", "dry-1").stdout)["erased"] == []


@pytest.mark.parametrize(("typed", "gone"), [("5", []), ("4", ["request.text"])])
def test_whoever_is_asked_types_how_many_go_and_another_number_erases_nothing(served, typed, gone):
    post(served, f"typed-{typed}-1", f"typed-{typed}-2", user=f"tom-{typed}@example.com")
    here, there = pty.openpty()
    asking = subprocess.Popen(
        command("erase", "--subject", f"tom-{typed}@example.com", "--ground", "asked"),
        stdin=there,
        stdout=there,
        stderr=there,
        env=served.environment(TERM="dumb", COLUMNS="120"),
        start_new_session=True,
    )
    os.close(there)
    read_until(here, b"Type 4 to erase")
    os.write(here, f"{typed}\n".encode())
    read_until(here, b"docs/erasure.md" if gone else b"nothing was erased")
    assert asking.wait(60) == (0 if gone else 2)
    os.close(here)
    found = json.loads(served.run("get", f"typed-{typed}-1").stdout)
    assert [each for each in found["erased"] if each == "request.text"] == gone


def test_the_certificate_verifies_offline_and_says_who_why_when_and_what_and_nothing_of_what_was_erased(
    served, tmp_path
):
    post(served, "cert-1", "cert-2", user="cora@example.com")
    key = json.loads(served.run("keys", "show", "--json").stdout)
    certificate = tmp_path / "certificate.zip"
    done = served.run(
        "erase",
        "--subject",
        "cora@example.com",
        "--ground",
        "request 12",
        "--yes",
        "--certificate",
        certificate,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    with zipfile.ZipFile(certificate) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    [said] = answer["told_in"]
    entry = json.loads(files[f"entries/{said:012d}/entry.json"])
    assert entry["record"]["type"] == "log.content_erased"
    ext = entry["record"]["ext"]
    assert (ext["log.requested_by"], ext["log.ground"], len(ext["log.erased"])) == (
        "token:cli",
        "request 12",
        4,
    )
    finished = json.loads(files[f"entries/{answer['done_in']:012d}/entry.json"])
    assert finished["record"]["ext"]["log.done"] == [[said, said + 1]]
    assert b"request 12" in files["report.html"]
    assert b"cora@example.com" not in certificate.read_bytes()
    offline = served._replace(url="http://127.0.0.1:9")
    verified = offline.run("verify", certificate, "--vkey", key["verifier_key"])
    assert (verified.returncode, json.loads(verified.stdout)["verdict"]) == (0, "holds")
    forged = tmp_path / "forged.zip"
    forged.write_bytes(certificate.read_bytes().replace(b"request 12", b"request 13"))
    assert offline.run("verify", forged, "--vkey", key["verifier_key"]).returncode == 1


def test_records_and_queries_go_by_the_command_and_a_hold_is_named_before_anything(served):
    post(served, "held-1", "held-2", user="hank@example.com")
    seq = json.loads(served.run("get", "held-1").stdout)["seq"]
    assert (
        served.run("hold", "place", "case-3", "--reason", "litigation", "--entries", str(seq)).returncode == 0
    )
    refused = served.run("erase", "--record", "held-1", "--record", "held-2", "--ground", "asked", "--yes")
    assert (refused.returncode, b"case-3" in refused.stderr) == (2, True)
    assert served.run("hold", "release", "case-3", "--reason", "over").returncode == 0
    sql = f"SELECT seq FROM records WHERE seq = {seq}"
    for what in (("--query", sql), ("--record", "held-2", "--member", "request.text")):
        assert served.run("erase", *what, "--ground", "asked", "--yes").returncode == 0
    for name in ("held-1", "held-2"):
        assert json.loads(served.run("get", name).stdout)["erased"] == ["request.text"]


def test_a_persons_access_request_is_answered_with_all_and_only_their_records_in_files_that_verify(
    served, tmp_path
):
    post(served, *(f"sar-{n}" for n in range(5)), user="sara@example.com")
    post(served, "sar-boss", user="boss@example.com", approval={"approver": "sara@example.com"})
    post(served, "sar-other", user="somebody@example.com")
    export = served.run(
        "subject", "export", "sara@example.com", "-o", tmp_path / "sara.zip", "-n", "4", "--about", "DSR 9"
    )
    assert export.returncode == 0, export.stderr
    told = json.loads(export.stdout)
    assert (told["entries"], [name.rpartition("/")[2] for name in told["files"]]) == (
        6,
        ["sara.zip", "sara-2.zip"],
    )
    for name in told["files"]:
        verified = served.run("verify", name)
        assert verified.returncode == 0, verified.stdout
        with zipfile.ZipFile(name) as packed:
            assert b"please do sar-" in packed.read("report.html")
    assert served.run("subject", "export", "sara@example.com", "-o", tmp_path / "sara.json").returncode == 0
    records = json.loads((tmp_path / "sara.json").read_text(encoding="utf-8"))["records"]
    assert [each["record"]["id"] for each in records] == [*(f"sar-{n}" for n in range(5)), "sar-boss"]
    assert records[0]["record"]["request"] == {"user": "sara@example.com", "text": "please do sar-0"}
    assert records[0]["receipt"].startswith("c2sp.org/tlog-proof@v1\n")
    nobody = served.run("subject", "export", "nobody@example.com", "-o", tmp_path / "nobody.zip")
    assert nobody.returncode == 2
    assert not (tmp_path / "nobody.zip").exists()


def test_who_may_not_see_persons_exports_none(served, tmp_path):
    made = served.run("token", "create", "plain-reader", "--role", "reader")
    token = made.stdout.decode().strip().split()[-1]
    refused = served.run(
        "subject", "export", "sara@example.com", "-o", tmp_path / "x.zip", AGENT_LEDGER_TOKEN=token
    )
    assert refused.returncode == 2
    assert b"contents" in refused.stderr
