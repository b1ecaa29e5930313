"""What others write, posted as they write it to a real server: recorded once, joined, refused with a path, never a 5xx."""

import json
import uuid

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from ledger.api.ingest import Dialect
from ledger.ingest.cloudevents import BATCHED
from tests.ingest import test_agt, test_hermes, test_kubernetes, test_ogp, test_openclaw

NDJSON = {"Content-Type": "application/x-ndjson"}
GOOD = {
    "agt": test_agt.GOVERNANCE,
    "hermes": test_hermes.MEANT,
    "kubernetes": test_kubernetes.events(test_kubernetes.EXEC),
    "ogp": json.loads(test_ogp.signed(test_ogp.MESSAGE)),
    "openclaw": test_openclaw.MEANT,
    "cloudevents": {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "type": "com.example.x",
        "time": "2026-11-21T09:30:00Z",
    },
}


def rows(http, sql, **parameters):
    answer = http.post("/v1/query", json={"sql": sql, "parameters": parameters}).json()
    return [
        dict(zip([column["name"] for column in answer["columns"]], row, strict=True))
        for row in answer["rows"]
    ]


def event(**attributes):
    attributes = {"type": "com.example.note", "source": "/sdk", "id": str(uuid.uuid4()), **attributes}
    return CloudEvent(attributes, {"text": "grüße", "n": [1, None]})


@pytest.mark.parametrize("path", ["/v1/records", "/v1/ingest/cloudevents"])
@pytest.mark.parametrize("write", [to_binary_event, to_structured_event])
def test_a_standard_sender_of_cloudevents_posts_to_either_path(http, path, write):
    sent = event(subject="Größe 1", traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
    message = write(sent)
    first = http.post(path, content=message.body, headers=message.headers)
    again = http.post(path, content=message.body, headers=message.headers)
    assert (first.status_code, first.json()["appended"]) == (201, 1)
    assert (again.status_code, again.json()["existing"]) == (200, 1)
    [row] = rows(http, "SELECT * FROM records WHERE ext->>'cloudevents.id' = $id", id=sent.get_id())
    assert (row["type"], row["source_id"], row["resource_id"]) == ("com.example.note", "/sdk", "Größe 1")
    assert (row["trace_trace_id"], row["trace_parent_span_id"]) == ("a" * 32, "b" * 16)
    assert json.loads(row["source_original"])["data"] == sent.get_data()


def test_the_modes_of_one_event_are_one_record(http):
    sent = event(datacontenttype="application/json")
    structured, binary = to_structured_event(sent), to_binary_event(sent)
    batch = {"content": b"[%b,%b]" % (structured.body, structured.body), "headers": {"Content-Type": BATCHED}}
    told = [
        http.post("/v1/records", content=structured.body, headers=structured.headers).json(),
        http.post("/v1/records", content=binary.body, headers=binary.headers).json(),
        http.post("/v1/records", **batch).json(),
    ]
    assert [(answer["appended"], answer["existing"]) for answer in told] == [(1, 0), (0, 1), (0, 2)]
    assert http.post("/v1/records", content="[]", headers={"Content-Type": BATCHED}).json()["appended"] == 0


def test_a_record_of_ours_comes_as_an_event_and_cannot_take_an_id_of_the_dialects(http):
    record = {"id": f"ce-{uuid.uuid4()}", "type": "note", "time": "2026-11-21T09:30:00Z"}

    def post(data):
        message = to_structured_event(CloudEvent({"type": "ledger.record", "source": "/sdk"}, data))
        return http.post("/v1/records", content=message.body, headers=message.headers)

    assert post(record).json()["appended"] == 1
    assert post(record).json()["existing"] == 1
    assert post({**record, "type": "heartbeat"}).json()["type"].endswith("id-conflict")
    taken = post({**record, "id": "ledger:kubernetes:" + "0" * 40})
    assert (taken.status_code, taken.json()["type"]) == (422, "urn:agent-ledger:problem:reserved-name")
    assert len(rows(http, "SELECT 1 AS one FROM records WHERE id = $id", id=record["id"])) == 1


def test_a_header_of_binary_mode_that_comes_twice_is_refused(http):
    message = to_binary_event(event())
    headers = [*message.headers.items(), ("ce-id", "other")]
    answer = http.post("/v1/records", content=message.body, headers=headers)
    assert (answer.status_code, answer.json()["path"]) == (422, "id")


def test_what_hermes_says_of_a_call_is_one_action_with_four_facets_and_the_approval(http):
    fired = [
        test_hermes.ASKED,
        test_hermes.ANSWERED,
        test_hermes.MEANT,
        test_hermes.WAITED,
        test_hermes.CHOSE,
        test_hermes.RAN,
    ]
    for payload in [*fired, *fired]:
        assert http.post("/v1/ingest/hermes", json=payload).status_code in {200, 201}
    [row] = rows(http, "SELECT * FROM actions WHERE source_id = 'hermes'")
    assert row["stages"] == ["action.intent", "action.decision", "action.approval", "action.outcome"]
    assert row["facets_missing"] == ["resource"]
    assert json.loads(row["request_text"]) == "Clean up, please"
    assert row["request_user"] == row["identity_principal"] == "+49 151 2345678"
    assert row["decision_response_model"] == "claude-sonnet-4-6-1"
    assert (row["approval_outcome"], row["outcome_status"], row["execution"]) == (
        "approved",
        "success",
        "observed",
    )


def test_what_openclaw_says_of_a_call_is_one_action(http):
    fired = [
        test_openclaw.BEGAN,
        test_openclaw.PROMPTED,
        test_openclaw.ANSWERED,
        test_openclaw.MEANT,
        test_openclaw.RAN,
    ]
    assert http.post("/v1/ingest/openclaw", json=fired).json()["appended"] == 5
    assert http.post("/v1/ingest/openclaw", json=fired).json()["existing"] == 5
    [row] = rows(http, "SELECT * FROM actions WHERE source_id = 'openclaw'")
    assert row["stages"] == ["action.intent", "action.outcome"]
    assert row["facets_missing"] == ["resource"]
    assert json.loads(row["request_text"]) == "Clean up, please"
    assert (row["identity_agent_id"], row["decision_response_model"]) == ("main", "gpt-5-0901")


def test_a_kubernetes_request_is_one_action_and_a_changed_event_is_kept_beside_it(http):
    audit_id = str(uuid.uuid4())
    done = {**test_kubernetes.EXEC, "auditID": audit_id}
    begun = {**done, "stage": "RequestReceived", "stageTimestamp": done["requestReceivedTimestamp"]}
    del begun["responseStatus"], begun["responseObject"], begun["annotations"]
    assert (
        http.post("/v1/ingest/kubernetes", json=test_kubernetes.events(begun, done)).json()["appended"] == 2
    )
    again = http.post("/v1/ingest/kubernetes", json=test_kubernetes.events(begun, done))
    assert (again.status_code, again.json()["existing"]) == (200, 2)
    [row] = rows(http, "SELECT * FROM actions WHERE action_id = $id", id=audit_id)
    assert row["stages"] == ["action.intent", "action.outcome"]
    assert (row["tool_effect"], row["resource_id"], row["identity_principal"]) == (
        "execute",
        "finance/db-0",
        "alice@example.com",
    )
    changed = test_kubernetes.events({**done, "verb": "get"})
    assert http.post("/v1/ingest/kubernetes", json=changed).json()["appended"] == 1
    assert http.post("/v1/ingest/kubernetes", json=changed).json()["existing"] == 1
    found = rows(http, "SELECT id FROM records WHERE action_id = $id ORDER BY seq", id=audit_id)
    assert found[2]["id"] == found[1]["id"] + "~2"
    [row] = rows(http, "SELECT conflicts FROM actions WHERE action_id = $id", id=audit_id)
    assert row["conflicts"] == ["id"]  # one id, two contents


def test_agts_decision_is_the_same_record_by_either_path(http):
    exported = [{**test_agt.CLOUDEVENT, "id": str(uuid.uuid4())}]
    assert http.post("/v1/ingest/agt", json=exported).json()["appended"] == 1
    headers = {"Content-Type": BATCHED}
    assert http.post("/v1/records", content=json.dumps(exported), headers=headers).json()["existing"] == 1
    [row] = rows(http, "SELECT * FROM actions WHERE ext->>'agt.event_id' = $id", id=exported[0]["id"])
    assert (row["policy_effect"], row["tool_name"], row["execution"]) == (
        "deny",
        "transfer_funds",
        "not_observed",
    )


def test_a_federation_message_and_its_verdict_are_one_action_and_its_bytes_are_kept(http):
    body = test_ogp.signed({**test_ogp.MESSAGE, "nonce": str(uuid.uuid4())})
    headers = {"Content-Type": "application/json"}
    answer = http.post("/v1/ingest/ogp", content=body, headers=headers, params={"status": 403})
    assert answer.json()["appended"] == 2
    again = http.post("/v1/ingest/ogp", content=body, headers=headers, params={"status": 403})
    assert again.json()["existing"] == 2
    [row] = rows(http, "SELECT * FROM actions WHERE source_id = 'ogp'")
    assert (row["policy_effect"], row["policy_rule"], row["outcome_status"]) == ("deny", "scope", "denied")
    assert json.loads(row["source_original"]) == {"encoding": "utf-8", "body": body.decode()}
    assert http.post("/v1/ingest/ogp", content=body, params={"status": 99}).status_code == 422


def test_who_sent_it_is_who_authenticated_and_senders_do_not_share_ids(server, http):
    payload = {**test_hermes.MEANT, "session_id": "forged", "submitter": "log"}
    assert http.post("/v1/ingest/hermes", json=payload).status_code == 201
    with server.as_("writer") as other:
        assert other.post("/v1/ingest/hermes", json=payload).status_code == 201
    found = rows(http, "SELECT submitter FROM records WHERE request_conversation_id = 'forged'")
    assert sorted(row["submitter"] for row in found) == sorted({row["submitter"] for row in found})
    assert len(found) == 2
    assert "log" not in {row["submitter"] for row in found}


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_dialect_needs_the_permission_to_write(server, dialect):
    with server.as_("reader") as reader:
        assert reader.post(f"/v1/ingest/{dialect}", json=GOOD[dialect]).status_code == 403


@pytest.mark.parametrize("dialect", list(Dialect))
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[[]]",
        b"\xff",
        b'"\\ud800"',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[{},{},7]",
    ],
)
def test_a_body_that_says_nothing_is_refused_or_empty_and_never_breaks(http, dialect, body):
    for headers in ({"Content-Type": "application/json"}, NDJSON, {"ce-specversion": "1.0"}):
        answer = http.post(f"/v1/ingest/{dialect}", content=body, headers=headers)
        assert answer.status_code in {200, 400, 413, 415, 422}, answer.text
        assert answer.status_code == 200 or answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_good_body_with_a_bomb_in_it_is_taken_or_refused(http, dialect):
    for bomb in (
        {"deep": json.loads("[" * 150 + "]" * 150)},
        {"long": "x" * 3_000_000},
        {"wide": [[]] * 300_000},
    ):
        value = json.loads(json.dumps(GOOD[dialect]))
        inner = value.get("items", [value])[0]
        holder = next((inner[n] for n in ("message", "extra", "event", "attributes") if n in inner), inner)
        holder["bomb"] = bomb
        answer = http.post(f"/v1/ingest/{dialect}", json=value)
        assert answer.status_code in {200, 201, 413}, answer.text


def test_some_refused_is_207_with_their_paths_and_all_refused_is_a_problem(http):
    good = {**test_agt.GOVERNANCE, "event_id": str(uuid.uuid4())}
    some = http.post("/v1/ingest/agt", json=[good, {**good, "kind": 7}])
    assert some.status_code == 207
    assert (some.json()["appended"], some.json()["refused"]) == (1, 1)
    assert some.json()["problems"][0]["path"] == "[1].kind"
    whole = http.post("/v1/ingest/agt", json=[{**good, "kind": 7}, 8])
    assert (whole.status_code, whole.json()["path"], whole.json()["refused"]) == (422, "[0].kind", 2)


@pytest.mark.parametrize(
    ("dialect", "headers", "status"),
    [
        ("hermes", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("cloudevents", {"Content-Type": "text/plain"}, 415),
        ("nothing", {"Content-Type": "application/json"}, 422),
    ],
)
def test_what_is_not_read_here_is_said(http, dialect, headers, status):
    answer = http.post(f"/v1/ingest/{dialect}", content=b"{}", headers=headers)
    assert answer.status_code == status
    assert answer.json()["detail"]
