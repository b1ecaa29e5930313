"""Erasure over HTTP: what was shown is what goes, or nothing does; a hold wins; the log says who asked, why, and when it was done."""

import json

import pytest

from ledger.core.entry import parse_entry
from ledger.core.note import parse_vkey
from ledger.core.receipt import verify_receipt
from tests.api.conftest import Api
from tests.api.erased import GROUND, awaited, erase

BOSS = "boss@example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    serving = Api(tmp_path_factory.mktemp("erasure") / "data")
    yield serving
    assert serving.stop() == 0


def action(name: str, user: str, **members: object) -> dict:
    return {
        "id": name,
        "type": "action",
        "time": "2026-11-21T09:30:00Z",
        "request": {"user": user, "text": f"please do {name}"},
        "tool": {"name": "send", "arguments": {"n": name}},
        **members,
    }


def post(http, *records: dict) -> list[int]:
    answer = http.post("/v1/records", json=list(records))
    assert answer.status_code == 201, answer.text
    return [each["seq"] for each in answer.json()["results"]]


def dry(http, **what: object) -> dict:
    answer = http.post("/v1/erasure", json={**what, "dry_run": True})
    assert answer.status_code == 200, answer.text
    return answer.json()


def said_since(http, size: int) -> list[str]:
    """Types of the entries from there on, but for those that tell of queries: they come when they come."""
    entries = [
        http.get(f"/v1/entries/{seq}").json()["entry"]
        for seq in range(size, http.get("/v1/log").json()["size"])
    ]
    return [entry["record"]["type"] for entry in entries if entry["record"]["type"] != "log.query_run"]


def problem(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def members(http, seq: int) -> list[str]:
    return [each["member"] for each in http.get(f"/v1/entries/{seq}").json()["contents"]]


@pytest.mark.parametrize("role", ["writer", "reader", "content-reader", "auditor"])
def test_nobody_but_an_administrator_erases_or_learns_what_would_go(server, role):
    with server.as_(role) as client:
        assert problem(client.post("/v1/erasure", json={"seqs": [0], "dry_run": True})) == (403, "forbidden")
        assert problem(client.get("/v1/erasure/1")) == (403, "forbidden")


def test_a_dry_run_says_what_would_go_and_erases_nothing(http):
    seqs = post(
        http,
        action("dry-1", "dora@example.com"),
        action("dry-2", BOSS, approval={"approver": "dora@example.com", "shown": "dora says yes"}),
        action("dry-3", BOSS, resource={"type": "mailbox", "id": "dora@example.com"}),
        action("dry-4", "else@example.com", outcome={"status": "success", "result": "told dora@example.com"}),
    )
    plan = dry(http, subject="dora@example.com")
    assert (plan["entries"], plan["contents"], plan["persons"], plan["persons_named_in"]) == (2, 5, 1, 2)
    assert plan["ranges"] == [[seqs[0], seqs[0] + 2]]
    assert plan["types"] == {"action": 2}
    assert plan["members"] == {
        "approval.approver": 1,
        "approval.shown": 1,
        "request.text": 2,
        "request.user": 1,
        "tool.arguments": 2,
    }
    assert (plan["hot"], plan["segments"], plan["holds"]) == (2, [], [])
    assert plan["first_at"] <= plan["last_at"]
    assert plan["stays"] == {"facts": 1, "contents": 1, "some": [seqs[3]]}
    assert [members(http, seq) for seq in seqs[:2]] == [
        ["request.text", "tool.arguments"],
        ["request.text", "tool.arguments", "approval.shown"],
    ]
    assert dry(http, subject="dora@example.com", as_of=plan["as_of"])["selection"] == plan["selection"]


def test_a_subject_goes_with_what_is_theirs_and_everybody_else_stays(http):
    mine, shared, other = post(
        http,
        action("sub-1", "sam@example.com"),
        action("sub-2", BOSS, identity={"agent_id": "payer", "principal": "sam@example.com"}),
        action("sub-3", BOSS),
    )
    done = erase(http, subject="sam@example.com")
    assert [members(http, seq) for seq in (mine, shared)] == [[], []]
    assert members(http, other) == ["request.text", "tool.arguments"]
    left = http.get(f"/v1/entries/{shared}").json()
    assert [json.loads(each["value"]) for each in left["persons"]] == [BOSS]
    assert left["erased"] == ["request.text", "tool.arguments", "identity.principal"]
    assert left["told_in"] == dict.fromkeys(left["erased"], done["told_in"][0])
    assert http.get(f"/v1/entries/{other}").json()["told_in"] == {}
    assert dry(http, subject="sam@example.com")["places"] == 0
    said = http.get(f"/v1/entries/{done['told_in'][0]}").json()["entry"]["record"]
    assert said["ext"]["log.requested_by"] == "token:cli"
    assert said["ext"]["log.ground"] == GROUND["ground"]
    assert "sam@example.com" not in json.dumps(said)
    finished = http.get(f"/v1/entries/{done['done_in']}").json()["entry"]["record"]
    assert finished["type"] == "log.erasure_done"
    assert finished["ext"] == {"log.done": [[done["told_in"][0], done["told_in"][-1] + 1]], "log.kept": 0}


def test_queries_that_a_person_was_looked_for_by_go_with_them(http):
    post(http, action("ask-1", "ola'o@example.com"))
    sql = "SELECT seq FROM records WHERE request_user = 'ola''o@example.com'"
    assert http.post("/v1/query", json={"sql": sql}).json()["row_count"] == 1
    assert (
        http.post(
            "/v1/query", json={"sql": "SELECT $w", "parameters": {"w": "ola'o@example.com"}}
        ).status_code
        == 200
    )
    looking = "SELECT count(*) FROM records WHERE type = 'log.query_run' AND contains(request_text, 'ola')"
    before = http.post("/v1/query", json={"sql": looking}).json()["rows"][0][0]
    assert before >= 1
    assert dry(http, subject="ola'o@example.com")["types"]["log.query_run"] >= 1
    erase(http, subject="ola'o@example.com", wait=False)
    words = (
        "SELECT request_text FROM records WHERE type = 'log.query_run' AND contains(request_text, 'ola''''o')"
    )
    assert http.post("/v1/query", json={"sql": words}).json()["rows"] == []


def test_of_a_record_and_a_query_the_contents_go_and_persons_when_asked_for(http):
    first, second, third = post(http, *(action(f"rec-{n}", "rita@example.com") for n in range(3)))
    erase(http, ids=["rec-0"], members=["tool.arguments"], wait=False)
    assert members(http, first) == ["request.text"]
    erase(http, sql=f"SELECT seq FROM records WHERE seq = {second}", wait=False)
    assert members(http, second) == []
    assert len(http.get(f"/v1/entries/{second}").json()["persons"]) == 1
    plan = dry(http, seqs=[third], take=["persons"])
    assert (plan["entries"], plan["contents"], plan["persons"], plan["persons_named_in"]) == (1, 0, 1, 3)
    erase(http, seqs=[third], take=["persons"], wait=False)
    assert [http.get(f"/v1/entries/{seq}").json()["persons"] for seq in (first, second, third)] == [
        [],
        [],
        [],
    ]
    assert members(http, third) == ["request.text", "tool.arguments"]


def test_what_came_since_stays_and_what_was_not_shown_does_not_go(http):
    [other] = post(http, action("since-0", "uwe@example.com"))
    old, *_ = post(http, action("since-1", "tina@example.com"), action("since-2", "tina@example.com"))
    sql = "SELECT seq FROM records WHERE request_user = 'tina@example.com'"
    plan = dry(http, sql=sql)
    [late] = post(http, action("since-3", "tina@example.com"))
    body = {"sql": sql, "as_of": plan["as_of"], "selection": plan["selection"], **GROUND}
    with_other = http.post("/v1/erasure", json={**body, "sql": f"{sql} OR seq = {other}"})
    assert problem(with_other) == (409, "selection-changed")
    assert members(http, old) == ["request.text", "tool.arguments"]
    assert http.post("/v1/erasure", json=body).status_code == 202
    assert members(http, old) == []
    assert members(http, late) == ["request.text", "tool.arguments"]
    assert problem(http.post("/v1/erasure", json=body)) == (409, "selection-changed")


def test_a_hold_refuses_all_of_it_by_its_name_and_is_told_before(http):
    held, free, _ = post(
        http,
        action("held-1", "hugo@example.com"),
        action("held-2", "hugo@example.com"),
        action("held-3", BOSS),
    )
    http.put("/v1/holds/case-9", json={"reason": "litigation", "ranges": [[held, held + 1]]})
    size = http.get("/v1/log").json()["size"]
    for what, of in (({"subject": "hugo@example.com"}, 1), ({"seqs": [free], "take": ["persons"]}, 0)):
        plan = dry(http, **what)
        assert plan["holds"] == [{"hold": "case-9", "reason": "litigation", "entries": of}]
        body = {**what, "as_of": plan["as_of"], "selection": plan["selection"], **GROUND}
        refused = http.post("/v1/erasure", json=body)
        assert problem(refused) == (409, "held")
        assert refused.json()["hold"] == "case-9"
    assert said_since(http, size) == []
    assert [len(members(http, seq)) for seq in (held, free)] == [2, 2]
    http.post("/v1/holds/case-9/release", json={"reason": "settled"})
    erase(http, subject="hugo@example.com", wait=False)
    assert [members(http, seq) for seq in (held, free)] == [[], []]


def test_receipts_of_before_and_new_ones_hold_and_the_log_verifies(http):
    [seq] = post(http, action("proof-1", "paul@example.com"))
    key = parse_vkey(http.get("/v1/log").json()["verifier_key"])
    before = http.get(f"/v1/entries/{seq}/receipt").content
    entry = json.dumps(
        http.get(f"/v1/entries/{seq}").json()["entry"], separators=(",", ":"), sort_keys=True
    ).encode()
    done = erase(http, subject="paul@example.com")
    for receipt in (before, http.get(f"/v1/entries/{seq}/receipt").content):
        verify_receipt(receipt, entry, [key])
    assert parse_entry(entry).seq == seq
    job = http.post("/v1/verify", json={}).headers["Location"]
    while (state := http.get(job).json())["state"] == "running":
        pass
    assert state["report"]["findings"] == []
    assert done["done_in"] > done["told_in"][-1]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"dry_run": True}, "invalid-parameter"),
        ({"subject": "x", "seqs": [1], "dry_run": True}, "invalid-parameter"),
        ({"subject": "", "dry_run": True}, "invalid-parameter"),
        ({"seqs": [0]}, "invalid-parameter"),
        ({"seqs": [0], "as_of": 1, "selection": "0" * 64}, "invalid-parameter"),
        ({"seqs": [0], "as_of": 1, "selection": "0" * 64, "ground": "asked"}, "selection-changed"),
        ({"seqs": [2**40], "dry_run": True}, "not-found"),
        ({"ids": ["nobody-has-it"], "dry_run": True}, "not-found"),
        ({"seqs": [0], "as_of": 2**40, "dry_run": True}, "invalid-parameter"),
        ({"seqs": [0], "take": ["facts"], "dry_run": True}, "invalid-parameter"),
        ({"seqs": [0], "members": ["tool.name"], "dry_run": True}, "invalid-parameter"),
        ({"sql": "DROP TABLE records", "dry_run": True}, "query-refused"),
        ({"sql": "SELECT 'x' AS seq", "dry_run": True}, "query-failed"),
        ({"sql": "SELECT seq FROM read_csv('/etc/passwd')", "dry_run": True}, "query-refused"),
    ],
)
def test_what_is_not_clear_is_refused_and_nothing_goes(http, body, code):
    size = http.get("/v1/log").json()["size"]
    assert problem(http.post("/v1/erasure", json=body))[1] == code
    assert said_since(http, size) == []


def test_an_erasure_is_looked_up_by_its_own_entries_alone(http):
    [seq] = post(http, action("look-1", "lena@example.com"))
    done = erase(http, seqs=[seq])
    state = awaited(http, done["told_in"][0])
    assert (state["seqs"], state["requested_by"], state["ground"]) == (
        done["told_in"],
        "token:cli",
        GROUND["ground"],
    )
    for other in (0, seq, done["done_in"]):
        assert problem(http.get(f"/v1/erasure/{other}")) == (404, "not-found")
