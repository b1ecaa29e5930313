"""An agent that counts two things under one number, or tells them out of order: all of it is kept as it was signed, and named. Threats 12 and 15."""

import uuid

import pytest

from ledger.client.keyfile import AgentKey
from tests.api.test_claims import sealed_by


@pytest.fixture
def agent(server, http, tmp_path):
    """Says notes under numbers of its own, each signed with its key; every agent is a source by itself."""
    key = AgentKey.create(tmp_path / "key", f"agent-{uuid.uuid4()}")
    public = {"key_id": key.key_id, "public_key": key.public_key}
    http.post("/v1/agent-keys", json=public).raise_for_status()
    origin = http.get("/v1/log").json()["origin"]

    def say(number, text, identifier=None):
        record = {
            "id": identifier or f"said-{uuid.uuid4()}",
            "type": "note",
            "time": "2026-11-21T09:30:00Z",
            "source": {"id": key.key_id, "seq": number},
            "ext": {"test.text": text},
        }
        return http.post("/v1/records", json=sealed_by(key, origin, record))

    say.key = key
    return say


def found(http, source):
    answer = http.post("/v1/queries/gaps-in-a-source", json={"parameters": {"source_id": source}}).json()
    names = [column["name"] for column in answer["columns"]]
    rows = [dict(zip(names, row, strict=True)) for row in answer["rows"]]
    return [[row[name] for name in ("kind", "first_number", "last_number", "count", "seq")] for row in rows]


def stored(http, seq):
    entry = http.get(f"/v1/entries/{seq}").json()["entry"]
    return entry["record"]["source"]["seq"], entry["record"]["ext"]["test.text"], entry["signature"]["key"]


def test_two_signed_bodies_under_one_number_are_both_kept_as_evidence_and_named(http, agent):
    answers = [agent(1, "first"), agent(2, "paid 10 to bob"), agent(2, "paid 10 to eve"), agent(3, "last")]
    assert [answer.status_code for answer in answers] == [201] * 4
    seqs = [answer.json()["seq"] for answer in answers]
    key = agent.key.key_id
    assert stored(http, seqs[1]) == (2, "paid 10 to bob", key)
    assert stored(http, seqs[2]) == (2, "paid 10 to eve", key)
    assert found(http, key) == [["repeated", 2, 2, 2, seqs[2]]]


def test_two_bodies_under_one_id_are_one_record_the_second_is_refused(http, agent):
    name = f"said-{uuid.uuid4()}"
    first, second = agent(1, "yes", name), agent(1, "no", name)
    assert (first.status_code, second.status_code) == (201, 409)
    assert http.get(f"/v1/records/{name}").json()["entry"]["record"]["ext"] == {"test.text": "yes"}
    assert found(http, agent.key.key_id) == []


def test_what_comes_out_of_order_stands_where_it_arrived_and_is_named_and_a_number_that_never_came_too(
    http, agent
):
    seqs = [agent(number, f"{number}").json()["seq"] for number in (1, 5, 3, 4)]
    assert seqs == sorted(seqs)
    assert [stored(http, seq)[0] for seq in seqs] == [1, 5, 3, 4]
    assert found(http, agent.key.key_id) == [
        ["missing", 2, 2, 1, seqs[2]],
        ["late", 3, 3, 2, seqs[2]],
        ["late", 4, 4, 1, seqs[3]],
    ]
