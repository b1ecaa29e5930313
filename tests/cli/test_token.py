"""`agent-ledger token`: at the server that runs, on the folder where none does; a secret is printed once and stored nowhere."""

import json

import pytest

from ledger.cli.folder import ensure_local_token
from ledger.log.log import Log
from ledger.trust.local import digest
from tests.cli.conftest import ORIGIN, free_port, new_ledger, serving


@pytest.fixture
def made(tmp_path):
    ledger = new_ledger(tmp_path)
    assert ledger.run("init", "--origin", ORIGIN).returncode == 0
    return ledger


def held(ledger, **environment):
    listed = ledger.run("token", "list", **environment)
    assert listed.returncode == 0, listed.stderr
    return {each["name"]: each for each in json.loads(listed.stdout)}


def test_what_is_granted_on_the_folder_is_in_force_at_the_server_and_the_other_way_round(made):
    first = made.run("token", "create", "a", "-r", "writer", "--agent", "a-*", "--expires", "1d")
    assert first.returncode == 0, first.stderr
    secret = first.stdout.decode().strip()
    assert (held(made)["a"]["by"], held(made)["a"]["credential"]["sha256"]) == (
        "folder",
        digest(secret).hex(),
    )
    with serving(made):
        assert held(made)["a"]["may"] == {"agents": ["a-*"]}
        assert "until" in held(made)["a"]
        record = {"type": "note", "time": "2026-11-21T09:30:00Z", "identity": {"agent_id": "b"}}
        refused = made.run("post", stdin=json.dumps(record).encode(), AGENT_LEDGER_TOKEN=secret)
        assert (refused.returncode, b"[claim-outside]" in refused.stderr) == (2, True)
        assert made.run("token", "create", "b", "-r", "reader").returncode == 0
        assert held(made)["b"]["by"] == "token:cli"
        assert made.run("token", "revoke", "a").returncode == 0
    assert set(held(made)) == {"cli", "b"}


def test_a_rotation_prints_another_token_and_the_first_holds_for_the_overlap(made):
    with serving(made):
        first = made.run("token", "create", "a", "-r", "reader").stdout.decode().strip()
        made_again = made.run("token", "rotate", "a", "--overlap", "1h", "--json")
        second = json.loads(made_again.stdout)["token"]
        for secret in (first, second):
            assert made.run("get", "0", AGENT_LEDGER_TOKEN=secret).returncode == 0
        third = made.run("token", "rotate", "a", "--overlap", "0s").stdout.decode().strip()
        for secret in (first, second):
            assert made.run("get", "0", AGENT_LEDGER_TOKEN=secret).returncode == 2
        assert made.run("get", "0", AGENT_LEDGER_TOKEN=third).returncode == 0
    assert made.run("token", "rotate", "a", "--overlap", "0s").returncode == 0
    assert made.run("token", "rotate", "nobody").returncode == 2


def test_whom_an_issuer_or_a_certificate_names_is_admitted_by_what_names_them(made):
    audience = (
        "--issuer",
        "https://i.example",
        "--audience",
        "ledger",
        "--claim",
        "azp=ci",
        "--claim",
        "env=prod",
    )
    assert made.run("token", "admit", "ci", "-r", "writer", *audience).returncode == 0
    assert (
        made.run("token", "admit", "pod", "-r", "writer", "--spiffe", "spiffe://a.example/pod").returncode
        == 0
    )
    assert held(made)["ci"]["credential"] == {
        "type": "jwt",
        "issuer": "https://i.example",
        "audience": "ledger",
        "claims": {"azp": "ci", "env": "prod"},
    }
    assert held(made)["pod"]["credential"] == {"type": "spiffe", "id": "spiffe://a.example/pod"}
    assert made.run("token", "rotate", "pod").returncode == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ("create", "A", "-r", "writer"),
        ("create", "cli", "-r", "writer"),
        ("create", "a", "-r", "root"),
        ("create", "a"),
        ("create", "a", "-r", "writer", "--expires", "soon"),
        ("create", "a", "-r", "writer", "--expires", "-1d"),
        ("create", "a", "-r", "writer", "--expires", "999999w"),
        ("admit", "a", "-r", "writer"),
        ("admit", "a", "-r", "writer", "--spiffe", "https://x"),
        ("admit", "a", "-r", "writer", "--issuer", "i", "--audience", "a"),
        ("admit", "a", "-r", "writer", "--issuer", "i", "--audience", "a", "--claim", "sub"),
        ("revoke", "nobody"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_refused_and_grants_nothing(made, wrong):
    refused = made.run("token", *wrong)
    assert refused.returncode == 2
    assert b"Traceback" not in refused.stderr
    assert set(held(made)) == {"cli"}


def test_this_machines_token_is_revoked_by_its_file_and_another_is_made_where_nobody_else_administers(made):
    assert made.run("token", "revoke", "cli").returncode == 0
    assert not (made.data / "cli.token").exists()
    with serving(made):
        assert set(held(made)) == {"cli"}
        assert made.run("token", "create", "root", "-r", "admin").returncode == 0
        assert made.run("token", "revoke", "cli").returncode == 0
    log = Log.open(made.data)
    try:
        assert not ensure_local_token(made.data, log)
    finally:
        log.close()
    assert not (made.data / "cli.token").exists()


def test_an_address_elsewhere_that_does_not_answer_is_not_answered_from_a_folder_here(made):
    elsewhere = f"http://ledger.invalid:{free_port()}"
    refused = made.run("token", "list", AGENT_LEDGER_URL=elsewhere, AGENT_LEDGER_TOKEN="t")
    assert refused.returncode == 3


def test_an_earlier_releases_tokens_are_taken_over_by_whichever_command_comes_first(made):
    secret = "alt_" + "s" * 43
    stored = {
        "name": "gw",
        "roles": ["reader"],
        "sha256": digest(secret).hex(),
        "created_at": "2026-11-21T09:30:00Z",
    }
    (made.data / "tokens.json").write_text(json.dumps({"format": 1, "tokens": [stored]}))
    (made.data / "tokens.json").chmod(0o600)
    with serving(made):
        assert made.run("get", "0", AGENT_LEDGER_TOKEN=secret).returncode == 0
        assert held(made)["gw"]["by"] == "folder"
    assert not (made.data / "tokens.json").exists()
