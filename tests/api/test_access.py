"""Credentials over HTTP: granted, shown, rotated and revoked while the server runs, each as an entry. Threats 17, 18 and 52."""

import json
import threading
import time

import pytest

from ledger.core.ed25519 import generate
from ledger.core.text import format_base64
from ledger.trust.local import digest, new_secret
from tests.api.samples import fresh
from tests.faults.server import Server


def bearer(secret):
    return {"type": "bearer", "sha256": digest(secret).hex()}


def body(name, secret, **more):
    return {"name": name, "roles": ["writer"], "credential": bearer(secret), **more}


def problem(answer):
    return answer.json()["type"].rpartition(":")[2]


def using(server, secret):
    client = server.client()
    client.headers["Authorization"] = f"Bearer {secret}"
    return client


def test_a_grant_says_who_granted_it_and_an_auditor_reads_it_in_the_log(server, http):
    secret = new_secret()
    shown = http.post("/v1/access", json=body("told", secret, may={"agents": ["a-*"]})).json()
    assert shown["permits"] == ["log-proofs", "post"]
    with server.as_("auditor") as auditor:
        entry = auditor.get(f"/v1/entries/{shown['seq']}").json()["entry"]
    assert (entry["submitter"], entry["record"]["type"]) == ("log", "log.access_granted")
    assert entry["record"]["ext"] == {
        "log.name": "told",
        "log.roles": ["writer"],
        "log.credential": bearer(secret),
        "log.may": {"agents": ["a-*"]},
        "log.by": "token:cli",
    }
    assert secret not in json.dumps(shown)
    revoked = http.delete("/v1/access/told").json()
    entry = http.get(f"/v1/entries/{revoked['seq']}").json()["entry"]
    assert entry["record"]["ext"] == {"log.name": "told", "log.by": "token:cli"}


def test_another_admin_is_named_by_its_own_credential(server, http):
    with server.as_("admin") as admin:
        seq = admin.post("/v1/access", json=body("by-admin", new_secret())).json()["seq"]
    ext = http.get(f"/v1/entries/{seq}").json()["entry"]["record"]["ext"]
    assert ext["log.by"] == "token:a-admin"


def test_credentials_in_force_are_listed_with_this_machines_own(server, http):
    held = {each["name"]: each for each in http.get("/v1/access").json()["credentials"]}
    assert held["cli"]["credential"] == {"type": "file", "path": "cli.token"}
    assert held["a-reader"]["permits"] == ["log-proofs", "query", "read"]
    assert held["a-reader"]["by"] == "token:cli"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": "A"}, 422, "invalid-parameter"),
        ({"name": "cli"}, 422, "reserved-name"),
        ({"name": "a-writer"}, 409, "token-exists"),
        ({"roles": []}, 422, "invalid-parameter"),
        ({"roles": ["root"]}, 422, "invalid-parameter"),
        ({"credential": {"type": "bearer", "sha256": "x"}}, 422, "invalid-parameter"),
        ({"credential": {"type": "none"}}, 422, "invalid-parameter"),
        ({"expires_at": "2001-01-01T00:00:00Z"}, 422, "invalid-parameter"),
        ({"expires_at": "2999-01-01T00:00:00"}, 422, "invalid-parameter"),
        ({"expires_at": "9999-12-31T23:59:59-10:00"}, 422, "invalid-parameter"),
        ({"expires_at": "0001-01-01T00:00:00+10:00"}, 422, "invalid-parameter"),
        ({"quota": {"records_per_s": 0}}, 422, "invalid-parameter"),
        ({"may": {"people": ["ann"]}}, 422, "invalid-parameter"),
        ({"outside": "believe"}, 422, "invalid-parameter"),
        ({"more": 1}, 422, "invalid-parameter"),
    ],
)
def test_what_cannot_be_granted_is_refused_and_leaves_no_entry(http, change, status, code):
    size = http.get("/v1/log").json()["size"]
    answer = http.post("/v1/access", json=body("never", new_secret()) | change)
    assert (answer.status_code, problem(answer)) == (status, code), answer.text
    assert http.get("/v1/log").json()["size"] == size


def test_a_token_ends_when_its_grant_says(server):
    until = time.time() + 1.5
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until)) + f".{int(until % 1 * 1e6):06}Z"
    secret = server.grant("ends-soon", "writer", expires_at=text)
    with using(server, secret) as client:
        assert client.post("/v1/records", json=fresh()).status_code == 201
        time.sleep(max(0.0, until - time.time()) + 0.01)
        answer = client.post("/v1/records", json=fresh())
    assert (answer.status_code, problem(answer)) == (401, "unauthenticated")


def test_both_tokens_write_under_one_name_during_a_rotation(server, http):
    old, new = server.grant("turning", "writer"), new_secret()
    rotated = http.post("/v1/access/turning/rotate", json={"credential": bearer(new), "overlap_s": 3_600})
    assert rotated.status_code == 200, rotated.text
    for secret in (old, new):
        record = fresh()
        with using(server, secret) as client:
            assert client.post("/v1/records", json=record).status_code == 201
        entry = http.get(f"/v1/records/{record['id']}").json()["entry"]
        assert entry["submitter"] == "token:turning"
    held = [each for each in http.get("/v1/access").json()["credentials"] if each["name"] == "turning"]
    assert ["until" in each for each in held] == [True, False]
    http.delete("/v1/access/turning").raise_for_status()
    for secret in (old, new):
        with using(server, secret) as client:
            assert client.get("/v1/log").status_code == 401


def test_who_has_a_name_later_does_not_read_what_was_written_under_it_before(server, http):
    old, new = server.grant("passed-on", "writer"), new_secret()
    with using(server, old) as client:
        written = client.post("/v1/records", json=fresh()).json()["seq"]
    rotate = {"credential": bearer(new), "overlap_s": 0}
    http.post("/v1/access/passed-on/rotate", json=rotate).raise_for_status()
    with using(server, new) as client:  # the same one, with its next token
        assert client.get(f"/v1/entries/{written}/receipt?entry=true").status_code == 200
    server.revoke("passed-on")
    with using(server, server.grant("passed-on", "writer")) as client:
        own = client.post("/v1/records", json=fresh()).json()["seq"]
        assert client.get(f"/v1/entries/{own}/receipt?entry=true").status_code == 200
        assert client.get(f"/v1/entries/{written}/receipt").status_code == 200
        assert client.get(f"/v1/entries/{written}/receipt?entry=true").status_code == 403


def test_rotating_under_load_refuses_no_writer(server, http):  # threat 18
    secrets = [server.grant("loaded", "writer")]
    refused, stop = [], threading.Event()

    def write():
        with server.client() as client:
            while not stop.is_set():
                client.headers["Authorization"] = f"Bearer {secrets[-1]}"
                answer = client.post("/v1/records", json=fresh())
                if answer.status_code != 201:
                    refused.append(answer.text)

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(5):
        time.sleep(0.1)
        new = new_secret()
        rotate = {"credential": bearer(new), "overlap_s": 30}
        http.post("/v1/access/loaded/rotate", json=rotate).raise_for_status()
        secrets.append(new)
    stop.set()
    for writer in writers:
        writer.join()
    assert refused == []


def test_the_clients_view_of_this_machines_token_ends_when_an_admin_revokes_it(tmp_path):
    server = Server(tmp_path / "data")
    try:
        admin = server.grant("root", "admin")
        with using(server, admin) as client:
            assert client.delete("/v1/access/cli").status_code == 200
            assert client.delete("/v1/access/cli").status_code == 404
            assert [each["name"] for each in client.get("/v1/access").json()["credentials"]] == ["root"]
        with server.client() as client:
            assert client.get("/v1/log").status_code == 401
        assert not (server.data / "cli.token").exists()
    finally:
        server.stop()


def test_an_agents_key_is_granted_and_revoked_while_the_server_runs(http):
    public = format_base64(generate().public)
    key_id = "team/agent 7?"
    granted = http.post("/v1/agent-keys", json={"key_id": key_id, "public_key": public, "subject": "gw"})
    assert granted.status_code == 201, granted.text
    assert {"key_id": key_id, "public_key": public} in http.get("/v1/agent-keys").json()["keys"]
    entry = http.get(f"/v1/entries/{granted.json()['seq']}").json()["entry"]
    assert entry["record"]["ext"] == {
        "log.key_id": key_id,
        "log.public_key": public,
        "log.subject": "gw",
        "log.by": "token:cli",
    }
    again = http.post("/v1/agent-keys", json={"key_id": key_id, "public_key": public})
    assert (again.status_code, problem(again)) == (409, "key-exists")
    path = "/v1/agent-keys/team%2Fagent%207%3F"
    assert http.delete(path).status_code == 200
    assert (http.delete(path).status_code, http.get("/v1/agent-keys").json()["keys"]) == (404, [])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"key_id": ""}, "invalid-parameter"),
        ({"key_id": "k" * 129}, "invalid-parameter"),
        ({"key_id": "log"}, "reserved-name"),
        ({"public_key": "AAAA"}, "invalid-public-key"),
        ({"public_key": format_base64(bytes(32))}, "invalid-public-key"),
        ({"public_key": "no base64"}, "invalid-public-key"),
        ({"subject": "s" * 257}, "invalid-parameter"),
    ],
)
def test_a_key_that_must_not_be_used_is_not_granted_over_http(http, change, code):
    good = {"key_id": "agent-9", "public_key": format_base64(generate().public)}
    answer = http.post("/v1/agent-keys", json=good | change)
    assert (answer.status_code, problem(answer)) == (422, code), answer.text


def test_a_restart_forgets_no_grant_and_revives_no_revoked_one(tmp_path):
    server = Server(tmp_path / "data")
    kept, revoked = server.grant("kept", "writer"), server.grant("gone", "writer")
    server.revoke("gone")
    server.kill()
    server = Server(tmp_path / "data")
    try:
        for secret, status in ((kept, 201), (revoked, 401)):
            with using(server, secret) as client:
                assert client.post("/v1/records", json=fresh()).status_code == status
    finally:
        server.stop()


def test_a_token_of_one_log_is_worth_nothing_at_another(server, tmp_path):  # threat 35
    other = Server(tmp_path / "data", origin="other.example/log")
    try:
        secret = other.grant("tenant-b", "admin")
        with using(server, secret) as client:
            assert client.get("/v1/log").status_code == 401
        with using(other, server.tokens["admin"]) as client:
            assert client.get("/v1/log").status_code == 401
    finally:
        other.stop()
