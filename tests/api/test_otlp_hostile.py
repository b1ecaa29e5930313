"""Hostile OTLP bodies against a real server: refused or bounded, never a 5xx, and its memory stays flat."""

import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from ledger.ingest.otlp.frames import MAX_ITEMS
from tests.api.conftest import Api
from tests.ingest.otlp import bombs
from tests.ingest.otlp.otlp_json import as_json

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
MIB = 1024 * 1024
BODY_MIB = 32
GROWTH_MIB = 6 * BODY_MIB  # of one request: the body as it arrives, in one piece, and what is made of it
WARM, ROUNDS = 3, 4  # the allocator keeps what it was given at first


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    serving = Api(tmp_path_factory.mktemp("hostile") / "data", forked=False)  # its memory is its own
    with (
        serving.client() as http
    ):  # the database keeps memory for what is written, whoever sends it: as much as this at first
        assert post(http, bombs.repeated_resource(), PROTOBUF).status_code == 200
    yield serving
    assert serving.stop() == 0
    assert "Traceback" not in serving.said()


class Memory:
    """A process's resident memory, in MiB."""

    def __init__(self, pid):
        self._folder = Path(f"/proc/{pid}")

    def now(self):
        return self._read("VmRSS")

    def peak(self):
        return self._read("VmHWM")

    def forget_peak(self):
        (self._folder / "clear_refs").write_text("5")

    def _read(self, name):
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) // 1024
        raise LookupError(name)


@pytest.fixture
def memory(server):
    if sys.platform != "linux":
        pytest.skip("memory is read from /proc")
    return Memory(server.process.pid)


def post(http, body, headers, path="/v1/traces"):
    return http.post(path, content=body, headers=headers, timeout=120)


ALL = [(name, make, PROTOBUF) for name, make in bombs.PROTOBUF_BOMBS.items()] + [
    (name, make, JSON) for name, make in bombs.JSON_BOMBS.items()
]


@pytest.mark.parametrize(
    ("name", "make", "headers"), ALL, ids=[f"{kind[2]['Content-Type']}-{kind[0]}" for kind in ALL]
)
def test_a_body_made_to_hurt_is_refused_or_bounded_and_never_a_5xx(http, memory, name, make, headers):
    body = make()
    memory.forget_peak()
    before = memory.now()
    answer = post(http, body, headers)
    assert answer.status_code in {200, 400, 413}, answer.content[:500]
    assert memory.peak() - before < GROWTH_MIB
    assert http.get("/v1/log").status_code == 200


def test_memory_is_flat_however_often_the_worst_bodies_come(http, memory):
    bodies = [
        (bombs.PROTOBUF_BOMBS["spans of many empty attributes"](), PROTOBUF),
        (bombs.PROTOBUF_BOMBS["one list of nothing"](), PROTOBUF),
        (bombs.long_attribute(10 * MIB), PROTOBUF),
    ]
    peaks = []
    for _ in range(WARM + ROUNDS):
        memory.forget_peak()
        for body, headers in bodies:
            assert post(http, body, headers).status_code < 500
        peaks.append(memory.peak())
    assert max(peaks[WARM:]) - max(peaks[:WARM]) < BODY_MIB, (
        peaks
    )  # nothing is kept until the garbage collector comes


def test_as_many_spans_as_are_taken_at_once_are_all_in_the_log_before_an_exporter_gives_up(http):
    size = http.get("/v1/log").json()["size"]
    answer = post(http, bombs.plain_spans(MAX_ITEMS, first=1_000_000), PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")
    assert http.get("/v1/log").json()["size"] - size == MAX_ITEMS
    assert (
        answer.elapsed.total_seconds() < 60
    )  # an exporter waits 10 s; on a machine with nothing else to do this takes 2


def test_one_span_more_is_refused_whole_and_told_what_to_set(http):
    size = http.get("/v1/log").json()["size"]
    answer = post(http, bombs.plain_spans(MAX_ITEMS + 1), PROTOBUF)
    assert answer.status_code == 413
    assert b"OTEL_BSP_MAX_EXPORT_BATCH_SIZE" in answer.content
    assert http.get("/v1/log").json()["size"] == size


def asked(http, sql, **parameters):
    answer = http.post("/v1/query", json={"sql": sql, "parameters": parameters})
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


@pytest.mark.parametrize("size_mib", [1, 10, 30])
def test_an_attribute_of_megabytes_costs_no_action_its_record(http, size_mib):
    answer = post(http, bombs.long_attribute(size_mib * MIB), PROTOBUF)
    assert (answer.status_code, answer.content) == (200, b"")
    sql = "SELECT count(*) FROM records WHERE trace_trace_id = $trace AND tool_name = 'big'"
    assert asked(http, sql, trace=(b"t" * 16).hex())[0][0] >= 1


def test_values_as_far_out_as_can_be_are_recorded_the_same_from_both_encodings(http):
    size = http.get("/v1/log").json()["size"]
    sent = bombs.odd_spans()
    answer = post(http, sent.SerializeToString(), PROTOBUF)
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, told.rejected_spans) == (200, 0), told.error_message
    after = http.get("/v1/log").json()["size"]
    assert after - size >= 4
    assert post(http, as_json(sent), JSON).json() == {}
    assert http.get("/v1/log").json()["size"] == after


FORGED_ID = 0xF0F0F0F0F0
FORGED = {
    "submitter": "token:a-admin",
    "log.submitter": "token:a-admin",
    "id": "mine",
    "ledger.id": "ledger:otlp:0000",
    "enduser.id": "ceo@example.com",
    "user.id": "ceo@example.com",
    "gen_ai.user": "ceo@example.com",
    "identity.principal_source": "a passport",
    "service.name": "the-other-agent",
    "source.id": "k8s",
}


def test_whoever_a_span_says_it_is_the_submitter_is_who_sent_it(server, http):
    body = bombs.request(
        b"".join(
            [
                bombs.ids(FORGED_ID),
                *(
                    bombs.field(
                        9, bombs.field(1, name.encode()) + bombs.field(2, bombs.field(1, value.encode()))
                    )
                    for name, value in {
                        "gen_ai.operation.name": "execute_tool",
                        "gen_ai.tool.name": "pay",
                        **FORGED,
                    }.items()
                ),
            ]
        )
    )
    with server.as_("writer") as sender:
        assert post(sender, body, PROTOBUF).content == b""
    rows = asked(
        http,
        "SELECT submitter, id, source_id, identity_principal_source FROM records WHERE trace_trace_id = $trace",
        trace=f"{FORGED_ID:032x}",
    )
    assert rows
    for submitter, record_id, source, said_by in rows:
        assert submitter == "token:a-writer"
        assert record_id.startswith("ledger:otlp:")
        assert record_id != FORGED["ledger.id"]
        assert source == "otlp"  # service.name is read from the resource alone
        assert said_by != "a passport"


def test_an_id_of_the_ledgers_own_cannot_be_taken_by_a_record(server):
    record = {"type": "action", "time": "2026-01-01T00:00:00Z", "id": "ledger:otlp:" + "0" * 40}
    with server.as_("writer") as sender:
        answer = sender.post("/v1/records", json=record)
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("reserved-name")
