"""`serve --four-eyes`: what one administrator asks to erase goes when another one confirms it, and each step stands in the log."""

import json

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.log.log import Log
from ledger.trust.local import digest, new_secret
from ledger.upkeep import foureyes
from tests.api.conftest import Api
from tests.api.erased import GROUND, awaited
from tests.api.test_erasure import action, dry, members, post, problem


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    serving = Api(tmp_path_factory.mktemp("four") / "data", options=["--four-eyes"])
    serving.tokens["second"] = serving.grant("second", "admin")
    yield serving
    assert serving.stop() == 0


@pytest.fixture
def first(server):
    with server.client() as client:
        yield client


@pytest.fixture
def second(server):
    with server.as_("second") as client:
        yield client


def asked_for(http, **what: object) -> int:
    plan = dry(http, **what)
    body = {**what, "as_of": plan["as_of"], "selection": plan["selection"], **GROUND}
    answer = http.post("/v1/erasure", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/erasure/{answer.json()['asked_in']}/confirm"
    return answer.json()["asked_in"]


def test_nothing_goes_before_another_administrator_confirms_it_and_both_stand_in_the_log(first, second):
    [seq] = post(first, action("four-1", "fay@example.com"))
    asked = asked_for(first, subject="fay@example.com")
    assert members(first, seq) == ["request.text", "tool.arguments"]
    confirming = f"/v1/erasure/{asked}/confirm"
    assert problem(first.post(confirming, json={})) == (403, "forbidden")
    shown = second.post(confirming, json={"dry_run": True}).json()
    assert (shown["entries"], shown["requested_by"], shown["ground"]) == (1, "token:cli", GROUND["ground"])
    assert shown["chosen_by"] == {"subject": "fay@example.com"}
    assert members(first, seq) == ["request.text", "tool.arguments"]
    done = second.post(confirming, json={})
    assert done.status_code == 202, done.text
    assert members(first, seq) == []
    said = first.get(f"/v1/entries/{done.json()['told_in'][0]}").json()["entry"]["record"]["ext"]
    assert (said["log.requested_by"], said["log.confirmed_by"], said["log.asked_in"]) == (
        "token:cli",
        "token:second",
        asked,
    )
    words = first.get(f"/v1/entries/{asked}").json()
    assert (words["contents"], words["erased"]) == ([], ["request.text"])
    assert "fay@example.com" not in json.dumps(words)
    assert awaited(first, done.json()["told_in"][0])["done_in"]
    assert problem(second.post(confirming, json={})) == (404, "not-found")


def test_what_would_be_something_else_by_now_is_not_confirmed(first, second):
    one, two = post(first, action("else-1", "eva@example.com"), action("else-2", "eva@example.com"))
    wide, narrow = asked_for(first, subject="eva@example.com"), asked_for(first, seqs=[one])
    assert second.post(f"/v1/erasure/{narrow}/confirm", json={}).status_code == 202
    assert problem(second.post(f"/v1/erasure/{wide}/confirm", json={})) == (409, "selection-changed")
    assert members(first, two) == ["request.text", "tool.arguments"]


def test_a_hold_refuses_the_asking_and_one_that_came_since_refuses_the_confirming(first, second):
    seqs = post(first, action("hold-1", "hal@example.com"), action("hold-2", "hal@example.com"))
    waiting = asked_for(first, seqs=[seqs[0]])
    first.put("/v1/holds/case-1", json={"reason": "litigation", "ranges": [[seqs[0], seqs[0] + 1]]})
    plan = dry(first, subject="hal@example.com")
    body = {"subject": "hal@example.com", "as_of": plan["as_of"], "selection": plan["selection"], **GROUND}
    assert problem(first.post("/v1/erasure", json=body)) == (409, "held")
    assert problem(second.post(f"/v1/erasure/{waiting}/confirm", json={})) == (409, "held")
    assert members(first, seqs[0]) == ["request.text", "tool.arguments"]


def test_only_an_entry_in_which_it_was_asked_for_is_confirmed_and_only_by_an_administrator(
    server, first, second
):
    assert problem(second.post("/v1/erasure/0/confirm", json={})) == (404, "not-found")
    [seq] = post(first, action("admin-1", "ann@example.com"))
    asked = asked_for(first, seqs=[seq])
    for role in ("writer", "reader", "content-reader", "auditor"):
        with server.as_(role) as client:
            assert problem(client.post(f"/v1/erasure/{asked}/confirm", json={})) == (403, "forbidden")


def test_whoever_asks_cannot_make_themselves_a_second_self_to_confirm_it(server, first, second):
    """By a credential made afterwards, by another's token that they rotate to one of theirs, by one that they granted before: themselves, or through another."""
    [seq] = post(first, action("self-1", "sol@example.com"))
    server.tokens["alice"] = server.grant("alice", "admin")
    with server.as_("alice") as alice:
        for name, maker in (("self-before", "alice"), ("self-of-self", "self-before")):
            server.tokens[name] = new_secret()
            with server.as_(maker) as making:
                granted_to(making, name, server.tokens[name])
        asked = asked_for(alice, seqs=[seq])
        rotation = alice.post("/v1/keys/rotate", json={}).json()["asked_in"]
        server.tokens["self-after"], server.tokens["stolen"] = new_secret(), new_secret()
        granted_to(alice, "self-after", server.tokens["self-after"])
        other = {"type": "bearer", "sha256": digest(server.tokens["stolen"]).hex()}
        body = {"credential": other, "overlap_s": 3600}
        alice.post("/v1/access/second/rotate", json=body).raise_for_status()
    for name in ("alice", "self-before", "self-of-self", "self-after", "stolen"):
        with server.as_(name) as client:
            for confirming in (f"/v1/erasure/{asked}/confirm", f"/v1/keys/{rotation}/confirm"):
                assert problem(client.post(confirming, json={})) == (403, "forbidden"), name
    assert members(first, seq) == ["request.text", "tool.arguments"]
    assert second.post(f"/v1/erasure/{asked}/confirm", json={}).status_code == 202  # the token of before


def test_a_policy_takes_nothing_before_two_administrators_have_set_the_same(server, first, second):
    """Else it would be an erasure by one: of what a SELECT gives, at the next run."""
    [seq] = post(first, action("kept-1", "kim@example.com"))
    assert first.post("/v1/seal").status_code == 200
    path, one = "/v1/retention/policies/alone", {"removes": "contents", "select": f"SELECT {seq} AS seq"}
    run = {"policies": ["alone"]}
    for _ in range(2):  # to say it twice is not to be two
        assert first.put(path, json=one).json()["waits"]
    assert problem(first.post("/v1/retention/run", json=run)) == (403, "forbidden")
    assert [plan["policy"] for plan in first.post("/v1/retention/run", json={}).json()["plans"]] == []
    [plan] = second.post("/v1/retention/run", json={**run, "dry_run": True}).json()["plans"]
    assert (plan["entries"], members(first, seq)) == (1, ["request.text", "tool.arguments"])
    assert second.put(path, json={**one, "removes": "entries"}).json()[
        "waits"
    ]  # another one, which is theirs alone
    assert first.put(path, json=one).json()["waits"]
    server.tokens["third"] = server.grant("third", "admin")
    with server.as_("third") as young:
        assert problem(young.put(path, json=one)) == (403, "forbidden")
    held = second.put(path, json=one).json()
    assert (held["waits"], held["by"], held["confirmed_by"]) == (False, "token:cli", "token:second")
    said = first.get(f"/v1/entries/{held['seq']}").json()["entry"]["record"]["ext"]
    assert (said["log.by"], said["log.confirmed_by"]) == ("token:cli", "token:second")
    [plan] = first.post("/v1/retention/run", json=run).json()["plans"]
    assert (plan["entries"], members(first, seq)) == (1, [])
    assert first.put(path, json={**one, "after_days": 3}).json()["waits"]


def granted_to(client, name: str, secret: str) -> None:
    body = {
        "name": name,
        "roles": ["admin"],
        "credential": {"type": "bearer", "sha256": digest(secret).hex()},
    }
    client.post("/v1/access", json=body).raise_for_status()


def test_what_nobody_confirmed_in_a_week_has_lapsed(tmp_path):
    Log.create(tmp_path / "data", "ledger.example/four")
    log = Log.open(tmp_path / "data")
    selection = foureyes.Selection(1, (), frozenset(), log.removed.entries, {}, {}, "", "")
    seq = foureyes.ask(log, selection, b"{}", by="token:a", ground="asked")
    week_us = 7 * 24 * 3600 * 1_000_000
    recorded_us = foureyes.parse_time(log.head().recorded_at)
    assert foureyes.asked(log, seq, recorded_us + week_us).by == "token:a"
    with pytest.raises(LedgerError, match="lapsed") as refused:
        foureyes.asked(log, seq, recorded_us + week_us + 1)
    assert refused.value.code == Code.NOT_FOUND
    log.close()
