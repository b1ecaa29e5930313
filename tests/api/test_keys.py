"""The log's keys over HTTP: rotated and revoked by administrators, by two of them with `--four-eyes`, and followed by anyone."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from ledger.core.entry import parse_entry
from ledger.core.keyhistory import parse_history
from ledger.core.note import parse_vkey
from ledger.core.receipt import parse_receipt, verify_receipt
from ledger.log.log import Log
from ledger.trust import logkeys
from ledger.trust.roles import Role
from tests.api.conftest import Api

SELECT = "SELECT count(*) AS n FROM records WHERE type = 'action'"


@pytest.fixture(scope="module")
def careful(tmp_path_factory):
    serving = Api(tmp_path_factory.mktemp("careful") / "data", options=["--four-eyes"])
    yield serving
    assert serving.stop() == 0


def as_name(server, name):
    client = server.client()
    client.headers["Authorization"] = f"Bearer {server.grant(name, 'admin')}"
    return client


def action(name):
    return {"id": name, "type": "action", "time": "2026-11-21T09:30:00Z", "tool": {"name": "send"}}


def test_rotation_and_what_follows_it(server, http):
    """Before and after: receipts, queries, evidence, verification, a seal; by the first key and by the newest."""
    log = http.get("/v1/log").json()
    first = parse_vkey(log["verifier_key"])
    old = http.post("/v1/records", json=action("before")).json()["seq"]
    receipts = [(old, http.get(f"/v1/entries/{old}/receipt").content)]
    asked = http.post("/v1/query", json={"sql": SELECT}).json()
    for number in range(2):
        done = http.post("/v1/keys/rotate", json={"reason": "as every year"}).json()
        new = http.post("/v1/records", json=action(f"after-{number}")).json()["seq"]
        receipts.append((new, http.get(f"/v1/entries/{new}/receipt").content))
        assert http.post("/v1/query", json={"sql": SELECT}).json()["rows"] != asked["rows"]
        assert http.post("/v1/seal").status_code in {200, 202}
    now = http.get("/v1/log").json()
    assert (now["verifier_key"], now["current_key"]) == (log["verifier_key"], done["current_key"])
    proof = http.get("/v1/keys").json()["proof"].encode()
    for known in (first, parse_vkey(now["current_key"])):
        keys = parse_history(proof, known)
        for seq, receipt in receipts:
            entry = server_entry(http, seq)
            keys.open(parse_receipt(receipt).checkpoint_note)
            assert verify_receipt(receipt, entry, keys.keys, log["origin"])
    rotated = parse_entry(server_entry(http, done["seq"]))
    assert rotated.members["ext"] == {
        "log.by": rotated.members["ext"]["log.by"],
        "log.reason": "as every year",
        "log.vkey": done["current_key"],
    }


def server_entry(http, seq):
    from ledger.core import canonical  # noqa: PLC0415

    return canonical.dumps(http.get(f"/v1/entries/{seq}").json()["entry"])


def test_the_next_key_is_told_before_it_is_in_force(server, http):
    fresh = http.post("/v1/keys/next").json()["verifier_key"]
    assert http.post("/v1/keys/next", json={}).json()["verifier_key"] == fresh
    assert http.post("/v1/keys/rotate").json()["current_key"] == fresh


def test_an_earlier_key_is_revoked_from_an_entry_on(server, http):
    http.post("/v1/keys/rotate").raise_for_status()
    earlier = http.get("/v1/keys").json()["keys"][-2]
    body = {"verifier_key": earlier["verifier_key"], "from": earlier["from"], "reason": "sold with a disk"}
    http.post("/v1/keys/revoke", json=body).raise_for_status()
    shown = http.get("/v1/keys").json()["keys"][-2]
    assert (shown["revoked_from"], shown["to"]) == (earlier["from"], earlier["to"])


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"from": 10**9}, 422, "invalid-parameter"),
        ({"from": -1}, 422, "invalid-parameter"),
        ({"verifier_key": "nothing"}, 400, "malformed-verifier-key"),
        ({"current": True}, 422, "invalid-parameter"),
        ({"more": 1}, 422, "invalid-parameter"),
        ({"reason": "x" * 2001}, 422, "invalid-parameter"),
    ],
)
def test_what_cannot_be_revoked_is_refused_with_why(server, http, change, status, code):
    http.post("/v1/keys/rotate").raise_for_status()
    *_, earlier, current = http.get("/v1/keys").json()["keys"]
    body = {"verifier_key": earlier["verifier_key"], "from": earlier["from"]}
    if change.pop("current", False):
        body["verifier_key"] = current["verifier_key"]
    refused = http.post("/v1/keys/revoke", json={**body, **change})
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (status, code)


@pytest.mark.parametrize("role", [role.value for role in Role])
def test_everybody_let_in_follows_the_keys_and_administrators_alone_change_them(server, role):
    with server.as_(role) as client:
        seen = client.get("/v1/keys").status_code
        changed = client.post("/v1/keys/rotate").status_code
        assert client.post("/v1/keys/next").status_code == changed
    assert seen == 200
    assert changed == (200 if role == "admin" else 403)


# ---- four eyes


def test_what_one_administrator_asks_for_another_one_does(careful):
    with careful.client() as first, as_name(careful, "second") as second:
        before = first.get("/v1/log").json()["current_key"]
        asked = first.post("/v1/keys/rotate", json={"reason": "as every year"})
        assert asked.status_code == 202
        seq, fresh = asked.json()["asked_in"], asked.json()["verifier_key"]
        assert asked.headers["Location"] == f"/v1/keys/{seq}/confirm"
        assert first.get("/v1/log").json()["current_key"] == before
        assert first.post(f"/v1/keys/{seq}/confirm").status_code == 403
        done = second.post(f"/v1/keys/{seq}/confirm")
        assert (done.status_code, done.json()["current_key"]) == (200, fresh)
        ext = second.get(f"/v1/entries/{done.json()['seq']}").json()["entry"]["record"]["ext"]
        assert (ext["log.asked_in"], ext["log.confirmed_by"]) == (seq, "token:second")
        assert ext["log.by"] != ext["log.confirmed_by"]
        assert second.post(f"/v1/keys/{seq}/confirm").status_code == 404  # it is done


def test_a_revocation_waits_for_another_one_too(careful):
    with careful.client() as first, as_name(careful, "third") as other:
        seq = first.post("/v1/keys/rotate").json()["asked_in"]
        other.post(f"/v1/keys/{seq}/confirm").raise_for_status()
        earlier = first.get("/v1/keys").json()["keys"][-2]
        body = {"verifier_key": earlier["verifier_key"], "from": earlier["to"] + 1}
        seq = first.post("/v1/keys/revoke", json=body).json()["asked_in"]
        assert first.get("/v1/keys").json()["keys"][-2]["revoked_from"] is None
        other.post(f"/v1/keys/{seq}/confirm").raise_for_status()
        assert first.get("/v1/keys").json()["keys"][-2]["revoked_from"] == body["from"]
        assert other.post(f"/v1/keys/{seq}/confirm").status_code == 404


def test_two_confirmations_at_once_rotate_once(careful):
    """Else the second one would put a key in force that nobody was shown."""
    with careful.client() as first, as_name(careful, "fourth") as other:
        asked = first.post("/v1/keys/rotate").json()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: other.post(f"/v1/keys/{asked['asked_in']}/confirm"), range(8)))
        assert sorted({answer.status_code for answer in answers} - {404, 409}) == [200]
        assert [answer.status_code for answer in answers].count(200) == 1
        assert first.get("/v1/log").json()["current_key"] == asked["verifier_key"]


def test_an_entry_in_which_nobody_asked_is_not_confirmed(careful):
    with careful.client() as client:
        assert client.post("/v1/keys/0/confirm").status_code == 404


def test_what_was_asked_for_lapses_and_another_next_key_is_not_what_was_asked_for(tmp_path):
    Log.create(tmp_path / "data", "ledger.example/keys")
    log = Log.open(tmp_path / "data")
    try:
        seq = logkeys.ask(log, logkeys.Change("why"), by="token:a").seq
        recorded_us = logkeys.parse_time(log.head().recorded_at)
        week_us = logkeys.LAPSES_DAYS * 24 * 3600 * 1_000_000
        waiting = logkeys.asked(log, seq, recorded_us + week_us)
        assert (waiting.by, waiting.change) == ("token:a", logkeys.Change("why"))
        with pytest.raises(Exception, match="has lapsed"):
            logkeys.asked(log, seq, recorded_us + week_us + 1)
        (tmp_path / "data" / "log.key.next").unlink()
        with pytest.raises(Exception, match="ask anew"):
            logkeys.confirm(log, waiting, by="token:b", granted_by=None)
    finally:
        log.close()
