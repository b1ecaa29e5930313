"""Sealed records: the agent signs them, the ledger checks them, and what is withheld can be shown later and found true."""

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.client import AgentKey, Ledger, ProblemError, Spool
from ledger.core.entry import commitment
from ledger.core.errors import LedgerError
from tests.client.conftest import entries, stages, token
from tests.faults.server import ROOT, Server

ORIGIN = "test.example/sealed"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A log that was granted an agent's key, that key's file, and the log's verifier key."""
    folder = tmp_path_factory.mktemp("sealed")
    key = AgentKey.create(folder / "agent.key", "agent-1")
    Server(folder / "data", origin=ORIGIN).stop()
    grant = ["keys", "grant", key.key_id, key.public_key, "--data", str(folder / "data")]
    subprocess.run([sys.executable, "-m", "ledger.cli", *grant], cwd=ROOT, check=True, timeout=60)
    server = Server(folder / "data", origin=ORIGIN)
    yield server, folder / "agent.key", server.client().get("/v1/log").json()["verifier_key"]
    server.stop()


def test_records_are_signed_by_the_agents_key_and_read_like_any_other(sealed):
    server, path, vkey = sealed
    with (
        Ledger(server.url, token(server), key=AgentKey(path), verifier_key=vkey) as ledger,
        ledger.context(request={"user": "ann", "text": "zahl \u00fcber"}, identity={"principal": "ann"}),
        ledger.action(
            "pay", arguments={"to": "\u00e9\U0001f600", "n": 1.5}, ext={"com.example.x": ["\u20ac", 2]}
        ) as act,
    ):
        act.approve(approver="bob", shown="pay?")
        act.result = [1, None]
    told = stages(server, act.id)
    assert told["action.intent"]["tool"]["arguments"] == {"to": "\u00e9\U0001f600", "n": 1.5}
    assert told["action.intent"]["request"] == {"user": "ann", "text": "zahl \u00fcber"}
    assert told["action.outcome"]["outcome"]["result"] == [1, None]
    ids = {kind: record["id"] for kind, record in stages(server, act.id).items()}
    stored = server.client().get(f"/v1/records/{ids['action.intent']}").json()
    assert stored["entry"]["signature"]["key"] == "agent-1"
    request, identity = stored["entry"]["record"]["request"], stored["entry"]["record"]["identity"]
    assert request["user"] == identity["principal"]  # one person, one commitment
    approval = told["action.approval"]["approval"]
    assert approval["arguments_commitment"] == stored["entry"]["record"]["tool"]["arguments"]


def test_what_is_withheld_stays_here_and_opens_its_commitment(sealed):
    server, path, vkey = sealed
    key = AgentKey(path)
    with (
        Ledger(
            server.url, token(server), key=key, verifier_key=vkey, disclose={"tool.arguments", "request.user"}
        ) as ledger,
        ledger.action("pay", arguments={"n": 1}, request={"user": "eve", "text": "secret"}) as act,
    ):
        act.result = "hidden"
    ids = {kind: record["id"] for kind, record in stages(server, act.id).items()}
    stored = server.client().get(f"/v1/records/{ids['action.intent']}").json()
    assert stored["withheld"] == ["request.text"]
    assert [content["member"] for content in stored["contents"]] == ["tool.arguments"]
    lines = Path(f"{path}.withheld").read_text().splitlines()
    kept = {(line["id"], line["member"]): line for line in map(json.loads, lines)}
    assert Path(f"{path}.withheld").stat().st_mode & 0o777 == 0o600
    line = kept[ids["action.intent"], "request.text"]
    assert line["value"] == '"secret"'
    opened = commitment(bytes.fromhex(line["salt"]), line["value"].encode()).hex()
    assert opened == stored["entry"]["record"]["request"]["text"]
    assert (ids["action.outcome"], "outcome.result") in kept


def test_sealed_records_go_through_the_spool_as_they_were_signed(sealed, tmp_path):
    server, path, vkey = sealed
    before = len(entries(server))
    with (
        Ledger(
            "http://127.0.0.1:9",
            "t",
            key=AgentKey(path),
            verifier_key=vkey,
            away=Spool(tmp_path / "s"),
            timeout_s=0.3,
        ) as ledger,
        ledger.action("offline", arguments=[1]),
    ):
        pass
    with Ledger(
        server.url, token(server), key=AgentKey(path), verifier_key=vkey, away=Spool(tmp_path / "s")
    ) as ledger:
        ledger.flush(20)
    assert [record["type"] for record in entries(server)][before:] == ["action.intent", "action.outcome"]


def test_a_key_that_the_log_does_not_know_records_nothing(sealed, tmp_path):
    server, _, vkey = sealed
    stranger = AgentKey.create(tmp_path / "k", "agent-1")
    with (
        pytest.raises(ProblemError) as refused,
        Ledger(server.url, token(server), key=stranger, verifier_key=vkey) as ledger,
    ):
        ledger.action("pay").start()
    assert refused.value.code == "invalid-signature"


def test_a_key_needs_the_name_of_its_log(tmp_path):
    key = AgentKey.create(tmp_path / "k", "a")
    with pytest.raises(ValueError, match="give its verifier_key"):
        Ledger(key=key)
    with pytest.raises(ValueError, match="give one"):
        Ledger(disclose={"tool.arguments"})


def test_the_key_file_is_its_owners_alone_and_is_never_overwritten(tmp_path):
    AgentKey.create(tmp_path / "k", "a")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    with pytest.raises(LedgerError, match="never overwritten"):
        AgentKey.create(tmp_path / "k", "b")
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(LedgerError, match="treat it as stolen"):
        AgentKey(tmp_path / "k")
    with pytest.raises(LedgerError, match="cannot be read"):
        AgentKey(tmp_path / "none")
    (tmp_path / "bad").write_text("{}\n")
    (tmp_path / "bad").chmod(0o600)
    with pytest.raises(LedgerError, match="malformed"):
        AgentKey(tmp_path / "bad")


def test_a_person_has_one_salt_that_lasts_until_it_is_forgotten(tmp_path):
    key = AgentKey.create(tmp_path / "k", "a")
    salts = {who: key.salt_of(who) for who in ("ann", "bob\n", "\u00e9")}
    again = AgentKey(tmp_path / "k")
    assert {who: again.salt_of(who) for who in salts} == salts
    assert len(set(salts.values())) == 3
    assert key.forget("ann")
    assert not key.forget("ann")
    assert again.salt_of("ann") != salts["ann"]
    assert again.salt_of("bob\n") == salts["bob\n"]
    assert salts["ann"].hex() not in (tmp_path / "k").read_text()


def test_a_line_that_a_crash_tore_from_the_key_file_does_no_harm(tmp_path):
    key = AgentKey.create(tmp_path / "k", "a")
    salt = key.salt_of("ann")
    with (tmp_path / "k").open("a") as stream:
        stream.write('{"person": "bob", "sal')
    again = AgentKey(tmp_path / "k")
    assert again.salt_of("ann") == salt
    bob = again.salt_of("bob")
    assert AgentKey(tmp_path / "k").salt_of("bob") == bob


def salts_of(path: str) -> list[str]:
    key = AgentKey(path)
    return [key.salt_of(f"person-{n}").hex() for n in range(30)]


def test_processes_that_meet_a_person_at_once_agree_on_the_salt(tmp_path):
    AgentKey.create(tmp_path / "k", "a")
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        first, second, third = pool.map(salts_of, [str(tmp_path / "k")] * 3)
    assert first == second == third
