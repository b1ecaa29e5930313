"""A token's quota holds on every way in, says when to come again, and what comes again is in the log once."""

import itertools
import json
import time
import uuid

import pytest

from ledger.ingest.cloudevents import BATCHED
from ledger.trust.quota import BURST_S
from tests.api.samples import fresh
from tests.api.test_arrow import ARROW
from tests.api.test_ingest import GOOD, NDJSON
from tests.api.test_otlp import JSON, PROTOBUF, spans
from tests.ingest.arrows import stream, table
from tests.ingest.otlp.otlp_json import as_json

_numbers = itertools.count()


@pytest.fixture
def limited(server):
    """A client whose token may append one record a second; its name."""
    with server.client() as http:
        http.name = f"limited-{next(_numbers)}"
        secret = server.grant(http.name, "writer", quota={"records_per_s": 1})
        http.headers["Authorization"] = f"Bearer {secret}"
        yield http


def lines(number):
    return {"content": "\n".join(json.dumps(fresh()) for _ in range(number)), "headers": NDJSON}


def event():
    return {**GOOD["cloudevents"], "id": str(uuid.uuid4())}


def batched():
    return {
        "content": json.dumps([event() for _ in range(3)]).encode(),
        "headers": {"Content-Type": BATCHED},
    }


# path, body, and how many records it becomes
WAYS = {
    "one record": ("/v1/records", lambda: {"json": fresh()}, 1),
    "array": ("/v1/records", lambda: {"json": [fresh() for _ in range(3)]}, 3),
    "all or nothing": (
        "/v1/records",
        lambda: {"json": [fresh() for _ in range(3)], "headers": {"Prefer": "handling=strict"}},
        3,
    ),
    "NDJSON": ("/v1/records", lambda: lines(3), 3),
    "Arrow": (
        "/v1/records",
        lambda: {"content": stream(table([fresh() for _ in range(3)])), "headers": ARROW},
        3,
    ),
    "CloudEvents": ("/v1/records", batched, 3),
    "OTLP": (
        "/v1/traces",
        lambda: {"content": spans("a", "b", "c").SerializeToString(), "headers": PROTOBUF},
        3,
    ),
    "OTLP JSON": ("/v1/traces", lambda: {"content": as_json(spans("a", "b", "c")), "headers": JSON}, 3),
    **{
        name: (f"/v1/ingest/{name}", lambda body=body: {"json": body}, 1)
        for name, body in GOOD.items()
        if name != "cloudevents"
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_over_the_quota_is_refused_whole_and_taken_when_it_comes_again(server, http, limited, way):
    path, make, records = WAYS[way]
    sent = make()
    before = BURST_S - records + 1  # one too few are left
    assert limited.post("/v1/records", **lines(before)).status_code == 201
    size = http.get("/v1/log").json()["size"]
    refused = limited.post(path, **sent)
    assert refused.status_code == 429, refused.text
    assert b"quota" in refused.content
    assert refused.headers["retry-after"] == "1"
    assert http.get("/v1/log").json()["size"] == size, "a refusal takes nothing"
    counted = f'agent_ledger_throttled_total{{token="{limited.name}",code="quota-exceeded"}} 1'
    assert counted in http.get("/metrics").text
    time.sleep(1.05)
    taken = limited.post(path, **sent)
    assert taken.status_code in {200, 201}, taken.text
    grown = http.get("/v1/log").json()["size"] - size
    assert grown == records


def test_a_stable_code_names_the_refusal_and_it_is_not_the_full_queues(limited):
    assert limited.post("/v1/records", **lines(BURST_S)).status_code == 201
    refused = limited.post("/v1/records", json=fresh()).json()
    assert refused["type"] == "urn:agent-ledger:problem:quota-exceeded"
    assert refused["retry_after"] == 1
    assert limited.name in refused["detail"]


def test_sending_again_what_is_in_the_log_costs_nothing(limited):
    sent = lines(BURST_S // 2)
    assert limited.post("/v1/records", **sent).json()["appended"] == BURST_S // 2
    for _ in range(20):
        assert limited.post("/v1/records", **sent).json()["existing"] == BURST_S // 2
    assert limited.post("/v1/records", **lines(BURST_S // 2)).status_code == 201


def test_a_record_that_is_refused_costs_nothing(limited):
    for _ in range(3 * BURST_S):
        assert limited.post("/v1/records", json=fresh(time="yesterday")).status_code == 422
    assert limited.post("/v1/records", **lines(BURST_S)).status_code == 201


def test_a_token_without_a_quota_is_not_slowed_by_another_ones(server, limited):
    assert limited.post("/v1/records", **lines(100)).status_code == 201
    assert limited.post("/v1/records", json=fresh()).status_code == 429
    with server.as_("writer") as free:
        assert free.post("/v1/records", json=fresh()).status_code == 201
