"""Policies, holds and compaction over HTTP: for administrators alone, refused with a reason, and gone means 410."""

import time

import pytest

from ledger.core.note import parse_vkey
from ledger.core.receipt import verify_receipt_leaf
from tests.api.conftest import Api

ROUTES = [
    ("GET", "/v1/retention/policies"),
    ("PUT", "/v1/retention/policies/p"),
    ("DELETE", "/v1/retention/policies/p"),
    ("POST", "/v1/retention/run"),
    ("GET", "/v1/holds"),
    ("PUT", "/v1/holds/h"),
    ("POST", "/v1/holds/h/release"),
    ("POST", "/v1/compact"),
    ("GET", "/v1/compact"),
    ("GET", "/v1/objects"),
    ("POST", "/v1/objects/send"),
    ("POST", "/v1/objects/move"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    serving = Api(tmp_path_factory.mktemp("retention") / "data")
    yield serving
    assert serving.stop() == 0


def action(number: int) -> dict:
    return {
        "id": f"kept-{number:03d}",
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": f"user-{number}@example.com", "text": f"please {number}"},
        "tool": {"name": "send", "arguments": {"n": number}},
    }


@pytest.fixture(scope="module")
def sealed(server):
    """The first of thirty sealed actions' seq."""
    with server.client() as http:
        answer = http.post("/v1/records", json=[action(n) for n in range(30)])
        assert answer.status_code == 201
        assert http.post("/v1/seal").status_code == 200
        return answer.json()["results"][0]["seq"]


def problem(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


@pytest.mark.parametrize("role", ["writer", "reader", "auditor"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_but_an_administrator_decides_what_goes(server, role, method, path):
    with server.as_(role) as client:
        assert problem(client.request(method, path, json={})) == (403, "forbidden")
    with server.client() as client:
        del client.headers["Authorization"]
        assert problem(client.request(method, path, json={})) == (401, "unauthenticated")


def test_policies_are_set_listed_run_and_removed(http, sealed):
    set_ = http.put(
        "/v1/retention/policies/notes",
        json={
            "removes": "entries",
            "select": f"SELECT seq FROM records WHERE seq IN ({sealed}, {sealed + 1}, {sealed + 3})",
        },
    )
    assert set_.status_code == 200
    [listed] = http.get("/v1/retention/policies").json()["policies"]
    assert (listed["policy"], listed["removes"], listed["by"]) == ("notes", "entries", "token:cli")
    dry = http.post("/v1/retention/run", json={"dry_run": True}).json()
    [plan] = dry["plans"]
    assert plan["ranges"] == [[sealed, sealed + 2], [sealed + 3, sealed + 4]]
    assert (plan["entries"], plan["held"], plan["told_in"]) == (3, 0, [])
    assert sum(segment["entries"] for segment in plan["segments"]) == 3
    assert http.get(f"/v1/entries/{sealed}").status_code == 200
    receipt = http.get(f"/v1/entries/{sealed}/receipt").content
    [plan] = http.post("/v1/retention/run", json={"policies": ["notes"]}).json()["plans"]
    [said] = plan["told_in"]
    gone = http.get(f"/v1/entries/{sealed}")
    assert problem(gone) == (410, "retired")
    assert f"entry {sealed} was retired by policy notes, entry {said}" in gone.json()["detail"]
    assert gone.json()["retired_by"] == said
    assert http.get(f"/v1/entries/{sealed + 2}").status_code == 200
    assert problem(http.post("/v1/records", json=action(0))) == (410, "retired")
    assert problem(http.get(f"/tile/entries/000.p/{sealed + 4}")) == (410, "retired")
    tile = http.get(f"/tile/0/000.p/{sealed + 1}").content
    key = parse_vkey(http.get("/v1/log").json()["verifier_key"])
    for each in (receipt, http.get(f"/v1/entries/{sealed}/receipt").content):
        verify_receipt_leaf(each, tile[-32:], [key])
    seqs = http.post(
        "/v1/query", json={"sql": f"SELECT seq FROM records WHERE seq BETWEEN {sealed} AND {sealed + 3}"}
    )
    assert seqs.json()["rows"] == [[sealed + 2]]
    assert http.delete("/v1/retention/policies/notes").status_code == 200
    assert problem(http.delete("/v1/retention/policies/notes")) == (404, "not-found")
    assert http.get("/v1/retention/policies").json() == {"policies": []}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-parameter"),
        ({"removes": "everything", "after_days": 1}, "invalid-parameter"),
        ({"removes": "entries"}, "invalid-parameter"),
        ({"removes": "entries", "after_days": -1}, "invalid-parameter"),
        ({"removes": "entries", "after_days": 1, "more": 1}, "invalid-parameter"),
        ({"removes": "entries", "select": "DROP TABLE records"}, "query-refused"),
        ({"removes": "entries", "select": "SELECT 1 AS other"}, "query-failed"),
        ({"removes": "entries", "select": "SELECT 'x' AS seq"}, "query-failed"),
        ({"removes": "entries", "select": "SELECT seq FROM read_csv('/etc/passwd')"}, "query-refused"),
    ],
)
def test_a_policy_that_could_not_run_is_refused_when_it_is_set(http, body, code):
    answer = http.put("/v1/retention/policies/bad", json=body)
    assert problem(answer)[1] == code
    assert answer.status_code in {400, 422}
    assert http.get("/v1/retention/policies").json() == {"policies": []}


def test_a_hold_wins_over_a_policy_until_it_is_released(http, sealed):
    low = sealed + 10
    placed = http.put("/v1/holds/case-7", json={"reason": "litigation", "ranges": [[low, low + 5]]})
    assert placed.status_code == 200
    assert placed.json()["entries"] == 5
    assert problem(http.put("/v1/holds/case-7", json={"reason": "x", "ranges": [[1, 2]]})) == (
        409,
        "hold-exists",
    )
    http.put(
        "/v1/retention/policies/some",
        json={
            "removes": "contents",
            "select": f"SELECT seq FROM records WHERE seq >= {low} AND seq < {low + 10}",
        },
    )
    [plan] = http.post("/v1/retention/run", json={}).json()["plans"]
    assert (plan["entries"], plan["held"], plan["ranges"]) == (5, 5, [[low + 5, low + 10]])
    assert len(http.get(f"/v1/entries/{low}").json()["contents"]) == 2
    retired = http.get(f"/v1/entries/{low + 5}").json()
    assert retired["contents"] == []
    assert retired["erased"] == ["request.text", "tool.arguments"]
    assert retired["told_in"] == dict.fromkeys(retired["erased"], plan["told_in"][0])
    [hold] = http.get("/v1/holds").json()["holds"]
    assert (hold["hold"], hold["reason"], hold["ranges"]) == ("case-7", "litigation", [[low, low + 5]])
    assert http.post("/v1/holds/case-7/release", json={"reason": "settled"}).status_code == 200
    assert problem(http.post("/v1/holds/case-7/release", json={"reason": "again"})) == (404, "not-found")
    [plan] = http.post("/v1/retention/run", json={}).json()["plans"]
    assert plan["ranges"] == [[low, low + 5]]
    http.delete("/v1/retention/policies/some")


def test_a_hold_is_of_ranges_of_what_a_select_gives_or_of_everything(http, sealed):
    chosen = http.put(
        "/v1/holds/chosen",
        json={"reason": "r", "select": f"SELECT seq FROM records WHERE seq > {sealed + 20}"},
    )
    assert chosen.json()["ranges"][0][0] == sealed + 21
    everything = http.put("/v1/holds/all", json={"reason": "r", "everything": True})
    assert everything.json()["ranges"] == [[0, 2**53 - 1]]
    for body in (
        {"reason": "r"},
        {"reason": "r", "ranges": [[0, 1]], "everything": True},
        {"reason": "r", "ranges": [[2, 1]]},
        {"reason": "", "everything": True},
    ):
        assert problem(http.put("/v1/holds/bad", json=body)) == (422, "invalid-parameter")
    for name in ("chosen", "all"):
        http.post(f"/v1/holds/{name}/release", json={"reason": "over"})


def test_a_compaction_takes_off_the_disk_what_is_gone(http, sealed):
    begun = http.post("/v1/compact")
    assert (begun.status_code, begun.headers["Location"]) == (202, "/v1/compact")
    deadline = time.monotonic() + 60
    while (state := http.get("/v1/compact").json())["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert state["failed"] is None
    segments = http.get("/v1/segments").json()["segments"]
    assert any(segment["generation"] > 1 for segment in segments)
    [report] = [poll(http, http.post("/v1/verify", json={}).headers["Location"])]
    assert report["state"] == "finished"
    assert report["report"]["findings"] == []


def poll(http, path):
    while (state := http.get(path).json())["state"] == "running":
        time.sleep(0.05)
    return state


def test_a_server_without_an_object_store_says_so(http):
    assert problem(http.get("/v1/objects")) == (404, "not-found")
    assert problem(http.post("/v1/objects/move", json={"keep": 1})) == (404, "not-found")
