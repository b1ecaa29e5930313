"""For whom a credential may speak: held on every way in, refused or flagged, never believed. Threats 35 and 56."""

import itertools
import json
import uuid

import pytest
from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.v1.event import CloudEvent

from ledger.client.keyfile import AgentKey
from ledger.core.entry import record_signing_input
from tests.api.samples import fresh
from tests.api.test_arrow import ARROW
from tests.api.test_ingest import NDJSON
from tests.api.test_otlp import PROTOBUF, only, spans
from tests.ingest.arrows import stream, table

_numbers = itertools.count()
MAY = {"agents": ["finance-*", "Finance Bot"], "sources": ["sdk-1"], "tenants": ["acme"]}


@pytest.fixture
def bound(server):
    """Makes a client whose credential may speak for few."""
    clients = []

    def make(**more):
        name = f"bound-{next(_numbers)}"
        secret = server.grant(name, "writer", **{"may": MAY, **more})
        client = server.client()
        clients.append(client)
        client.name, client.headers["Authorization"] = name, f"Bearer {secret}"
        return client

    yield make
    for client in clients:
        client.close()


def code(answer):
    return answer.json()["type"].rpartition(":")[2]


@pytest.mark.parametrize(
    ("claim", "outside"),
    [
        ({}, None),
        ({"identity": {"agent_id": "finance-7", "agent_name": "Finance Bot"}}, None),
        ({"identity": {"agent_id": "finance-"}}, None),
        ({"source": {"id": "sdk-1"}, "resource": {"id": "r", "tenant": "acme"}}, None),
        ({"identity": {"principal": "somebody@example.com"}}, None),
        ({"identity": {"agent_id": "finance"}}, "identity.agent_id"),
        ({"identity": {"agent_id": "Finance-7"}}, "identity.agent_id"),
        ({"identity": {"agent_id": "ceo"}}, "identity.agent_id"),
        ({"identity": {"agent_id": "x-finance-7"}}, "identity.agent_id"),
        ({"identity": {"agent_id": "finance-7", "agent_name": "CEO"}}, "identity.agent_name"),
        ({"identity": {"agent_name": "Finance Bot "}}, "identity.agent_name"),
        ({"source": {"id": "sdk-11"}}, "source.id"),
        ({"resource": {"tenant": "other"}}, "resource.tenant"),
    ],
)
def test_a_claim_is_within_what_was_granted_or_refused_by_its_member(bound, http, claim, outside):
    record = fresh(**claim)
    with bound() as client:
        answer = client.post("/v1/records", json=record)
    if outside is None:
        assert answer.status_code == 201, answer.text
    else:
        assert (answer.status_code, code(answer), answer.json()["path"]) == (403, "claim-outside", outside)
        assert http.get(f"/v1/records/{record['id']}").status_code == 404


def test_who_may_speak_for_no_source_claims_none(bound):
    client = bound(may={"sources": []})
    assert client.post("/v1/records", json=fresh(source={"id": "s"})).status_code == 403
    assert client.post("/v1/records", json=fresh(identity={"agent_id": "anybody"})).status_code == 201


def test_one_claim_outside_is_refused_alone_and_with_prefer_strict_all_are(bound, http):
    good, bad = fresh(identity={"agent_id": "finance-1"}), fresh(identity={"agent_id": "ceo"})
    last = fresh()
    client = bound()
    strict = client.post("/v1/records", json=[good, bad, last], headers={"Prefer": "handling=strict"})
    assert (strict.status_code, code(strict)) == (403, "claim-outside")
    assert http.get(f"/v1/records/{good['id']}").status_code == 404
    answer = client.post("/v1/records", json=[good, bad, last])
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [each.get("id") for each in results] == [good["id"], None, last["id"]]
    assert (results[1]["record"], results[1]["status"]) == (1, 403)
    assert client.post("/v1/records", json=[bad, bad]).status_code == 207


def as_event(record):
    message = to_structured_event(
        CloudEvent({"type": "ledger.record", "source": "/sdk", "id": str(uuid.uuid4())}, record)
    )
    return {"content": message.body, "headers": dict(message.headers)}


def traced(agent):
    request = spans("pay")
    only(request)[0].attributes.add(key="gen_ai.agent.id").value.string_value = agent
    return request


WAYS = {
    "JSON": lambda agent: ("/v1/records", {"json": fresh(identity={"agent_id": agent})}),
    "NDJSON": lambda agent: (
        "/v1/records",
        {"content": json.dumps(fresh(identity={"agent_id": agent})), "headers": NDJSON},
    ),
    "a large batch": lambda agent: (
        "/v1/records",
        {"json": [fresh(identity={"agent_id": agent}) for _ in range(300)]},
    ),
    "Arrow": lambda agent: (
        "/v1/records",
        {"content": stream(table([fresh(identity={"agent_id": agent})])), "headers": ARROW},
    ),
    "CloudEvents": lambda agent: ("/v1/records", as_event(fresh(identity={"agent_id": agent}))),
    "OTLP": lambda agent: (
        "/v1/traces",
        {"content": traced(agent).SerializeToString(), "headers": PROTOBUF},
    ),
    "a dialect": lambda agent: (
        "/v1/ingest/cloudevents",
        as_event(fresh(identity={"agent_id": agent})),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_in_goes_round_it(bound, http, way):
    client = bound(may={"agents": ["finance-*"]})
    path, sent = WAYS[way]("ceo")
    size = http.get("/v1/log").json()["size"]
    answer = client.post(path, **sent)
    assert b"claim-outside" in answer.content or b"may not speak" in answer.content, answer.text
    assert http.get("/v1/log").json()["size"] == size
    path, sent = WAYS[way]("finance-1")
    assert client.post(path, **sent).status_code == 201 or way == "OTLP"
    assert http.get("/v1/log").json()["size"] > size


def sealed_by(key, origin, record):
    canonical = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
    signature = key.sign(record_signing_input(origin, canonical))
    return {"record": record, "signature": {"key": key.key_id, "sig": signature}}


def test_an_agents_own_signature_does_not_widen_what_its_sender_may_say(bound, http, tmp_path):
    key = AgentKey.create(tmp_path / "key", "claims-agent")
    public = {"key_id": key.key_id, "public_key": key.public_key}
    http.post("/v1/agent-keys", json=public).raise_for_status()
    origin = http.get("/v1/log").json()["origin"]
    record = {"id": f"s-{uuid.uuid4()}", "type": "note", "time": "2026-11-21T09:30:00Z"}
    outside = sealed_by(key, origin, {**record, "identity": {"agent_id": "ceo"}})
    answer = bound().post("/v1/records", json=outside)
    assert (answer.status_code, code(answer)) == (403, "claim-outside")
    flagged = bound(outside="flag").post("/v1/records", json=outside)
    assert flagged.status_code == 201, flagged.text
    stored = http.get(f"/v1/records/{record['id']}").json()["entry"]
    assert stored["signature"]["key"] == key.key_id
    assert "ext" not in stored["record"]


# -- recorded with a flag ----------------------------------------------------------------------------------------------


def flags(http, record):
    answer = http.post("/v1/queries/claims-outside", json={}).json()
    names = [column["name"] for column in answer["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in answer["rows"]]
    seq = http.get(f"/v1/records/{record['id']}").json()["seq"]
    return [row for row in rows if row["seq"] == seq]


def test_what_is_flagged_is_recorded_as_it_was_sent_and_the_log_says_beside_it_what_is_not_to_be_believed(
    bound, http
):
    client = bound(outside="flag")
    record = fresh(identity={"agent_id": "ceo"}, source={"id": "sdk-2"}, resource={"tenant": "acme"})
    answer = client.post("/v1/records", json=record)
    assert answer.status_code == 201
    assert http.get(f"/v1/records/{record['id']}").json()["entry"]["record"]["identity"]["agent_id"] == "ceo"
    found = flags(http, record)
    assert [(row["member"], row["claimed"]) for row in found] == [
        ("identity.agent_id", "ceo"),
        ("source.id", "sdk-2"),
    ]
    assert {row["submitter"] for row in found} == {f"token:{client.name}"}
    again = client.post("/v1/records", json=record)
    assert (again.status_code, again.json()["seq"]) == (200, answer.json()["seq"])
    assert flags(http, record) == found, "a retry is flagged once"


def test_what_is_within_is_not_flagged(bound, http):
    record = fresh(identity={"agent_id": "finance-1"})
    assert bound(outside="flag").post("/v1/records", json=record).status_code == 201
    assert flags(http, record) == []


def test_a_submitter_can_neither_say_nor_deny_that_a_claim_is_outside(bound):
    client = bound(outside="flag")
    for own in ({"ext": {"log.outside": []}}, {"type": "log.claim_outside"}):
        assert client.post("/v1/records", json=fresh(**own)).status_code == 422


def test_nobody_learns_by_anothers_id_what_their_record_says(bound):
    """Threat 37: who may only write guesses at contents under an id that somebody else used; right and wrong guesses get one answer."""
    owner, guesser = bound(may=None), bound(may=None)
    record = fresh() | {"request": {"text": "approved", "user": "ann@example.com"}}
    assert owner.post("/v1/records", json=record).status_code == 201
    answers = [
        guesser.post("/v1/records", json=guess)
        for guess in (record, record | {"request": {"text": "denied", "user": "ann@example.com"}})
    ]
    assert [(each.status_code, code(each)) for each in answers] == [(409, "id-conflict")] * 2
    assert len({each.json()["detail"] for each in answers}) == 1
    assert owner.post("/v1/records", json=record).json()["existing"]
    again = [record | {"id": f"{record['id']}-2"}] * 2
    batch = owner.post("/v1/records", json=again)
    assert batch.json()["existing"] == 1
