import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import Code, LedgerError
from ledger.ingest.cloudevents import BATCHED, OTHER, STRUCTURED, read
from tests.ingest.odd import SUBMITTER, odd, prepared

NOW = 1_795_167_000_000_000_000
EVENT = {
    "specversion": "1.0",
    "id": "A234-1234-1234",
    "source": "/mycontext",
    "type": "com.example.someevent",
    "time": "2026-11-21T09:30:00.5+01:00",
    "subject": "cloudevents/spec/pull/123",
    "datacontenttype": "application/json",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "comexampleextension": 7,
    "data": {"who": "alice@example.com", "n": [1.5, None]},
}
RECORD = b'{"type":"note","time":"2026-11-21T09:30:00Z","id":"mine","request":{"text": 1.50}}'


def events(value, media_type=STRUCTURED, headers=None):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read(body, media_type=media_type, headers=headers or {}, submitter=SUBMITTER, received_ns=NOW)


def one(value, *args):
    found = events(value, *args)
    assert (found.own.records, found.foreign.refused) == ([], [])
    [record] = found.foreign.records
    prepared(record)
    return json.loads(record)


def test_a_foreign_event_keeps_its_type_and_time_and_its_data_is_a_content():
    record = one(EVENT)
    assert record["type"] == "com.example.someevent"
    assert record["time"] == "2026-11-21T08:30:00.500000000Z"
    assert record["source"]["id"] == "/mycontext"
    assert record["source"]["original"] == {
        "datacontenttype": "application/json",
        "comexampleextension": 7,
        "data": EVENT["data"],
    }
    assert record["resource"] == {"id": EVENT["subject"]}
    assert record["trace"] == {
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "parent_span_id": "b7ad6b7169203331",
    }
    assert b"alice" not in prepared(json.dumps(record).encode()).record


def test_the_three_modes_of_one_event_are_the_same_record():
    headers = {name: str(value) for name, value in EVENT.items() if name not in {"data", "datacontenttype"}}
    structured = one({**EVENT, "comexampleextension": "7"})
    assert one([{**EVENT, "comexampleextension": "7"}], BATCHED) == structured
    assert one(json.dumps(EVENT["data"]).encode(), "application/json", headers) == structured


def test_an_event_is_known_by_source_and_id_within_its_sender():
    first = one(EVENT)["id"]
    assert one({**EVENT, "data": 2})["id"] == first
    assert one({**EVENT, "id": "other"})["id"] != first
    assert one({**EVENT, "source": "/other"})["id"] != first
    theirs = read(
        json.dumps(EVENT).encode(), media_type=STRUCTURED, headers={}, submitter="x", received_ns=NOW
    )
    assert json.loads(theirs.foreign.records[0])["id"] != first


@pytest.mark.parametrize(
    ("event_type", "expected"),
    [
        ("com.github.pull_request.opened", "com.github.pull_request.opened"),
        ("com.example.SomeEvent", OTHER),
        ("action", OTHER),
        ("action.outcome", OTHER),
        ("log.init", OTHER),
        ("agt.policy_check", OTHER),
        ("x", OTHER),
        ("a." + "b" * 300, OTHER),
    ],
)
def test_a_foreign_event_does_not_become_an_action(event_type, expected):
    record = one({**EVENT, "type": event_type})
    assert record["type"] == expected
    assert record["ext"]["cloudevents.type"] == event_type


def test_an_event_may_carry_a_record_of_ours_whose_bytes_stay_as_they_are():
    envelope = json.dumps({**EVENT, "type": "ledger.record", "data": 0}).encode()
    in_json = envelope.replace(b'"data": 0', b'"data": ' + RECORD)
    in_base64 = {
        **EVENT,
        "type": "ledger.record",
        "data": None,
        "data_base64": base64.b64encode(RECORD).decode(),
    }
    del in_base64["data"]
    headers = {**{name: EVENT[name] for name in ("specversion", "id", "source")}, "type": "ledger.record"}
    for found in (events(in_json), events(in_base64), events(RECORD, "application/json", headers)):
        assert found.own.records == [RECORD]
        assert found.foreign.records == []


def test_a_record_without_an_id_is_known_by_its_events():
    data = {"type": "note", "time": "2026-11-21T09:30:00Z"}
    record = one({**EVENT, "type": "ledger.record", "data": data})
    assert record == {**data, "id": one(EVENT)["id"]}


@pytest.mark.parametrize("data", [None, 7, [], "x"])
def test_an_event_that_says_it_carries_a_record_and_does_not_is_refused(data):
    with pytest.raises(LedgerError) as refused:
        events({**EVENT, "type": "ledger.record", "data": data})
    assert refused.value.path == "data"


@pytest.mark.parametrize(
    ("body", "media_type", "kept"),
    [
        (b'{"a": 1}', "application/vnd.x+json", {"data": {"a": 1}}),
        (b"{", "application/json", {"data_base64": "ew=="}),
        ("grüße".encode(), "text/plain", {"data": "grüße"}),
        (b"<a/>", "application/xml", {"data": "<a/>"}),
        (b"\xff", "text/plain", {"data_base64": "/w=="}),
        (b"\x00\x01", "application/octet-stream", {"data_base64": "AAE="}),
        (b"", "application/json", {}),
    ],
)
def test_the_data_of_binary_mode_is_kept_as_what_it_is(body, media_type, kept):
    headers = {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "type": "com.example.x",
        "subject": "Euro%20%E2%82%AC",
    }
    record = one(body, media_type, headers)
    assert record["source"]["original"] == {"datacontenttype": media_type, **kept}
    assert record["resource"]["id"] == "Euro €"


def test_an_event_without_a_time_has_that_of_its_receipt_and_says_so():
    record = one({name: value for name, value in EVENT.items() if name != "time"})
    assert record["time"] == "2026-11-20T09:30:00.000000000Z"
    assert "of receipt" in record["ext"]["cloudevents.time"]


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"specversion": "0.3"}, Code.INVALID_MEMBER, "specversion"),
        ({"id": ""}, Code.MISSING_MEMBER, "id"),
        ({"source": 7}, Code.MISSING_MEMBER, "source"),
        ({"type": None}, Code.MISSING_MEMBER, "type"),
        ({"time": "yesterday"}, Code.INVALID_MEMBER, "time"),
    ],
)
def test_what_is_no_event_is_refused_and_in_a_batch_alone(change, code, path):
    with pytest.raises(LedgerError) as refused:
        events({**EVENT, **change})
    assert (refused.value.code, refused.value.path) == (code, path)
    batch = events([EVENT, {**EVENT, **change}, EVENT], BATCHED)
    assert len(batch.foreign.records) == 2
    assert [(error.code, error.path) for error in batch.foreign.refused] == [(code, f"[1].{path}")]


def test_an_empty_batch_holds_nothing():
    assert events(b" [ ]".replace(b" ]", b"]"), BATCHED).foreign.records == []


def test_an_event_with_a_duplicate_key_or_a_lone_surrogate_is_read_and_says_so():
    twice = json.dumps(EVENT).encode().replace(b'"n": [', b'"who": "bob", "n": [')
    assert one(twice)["ext"]["json.odd"] == "duplicate-key"
    assert one({**EVENT, "data": "\ud800"})["ext"]["json.odd"] == "invalid-text"


@given(odd(EVENT, [EVENT], {**EVENT, "type": "ledger.record", "data": json.loads(RECORD)}))
def test_whatever_an_event_holds_it_becomes_a_record_or_is_refused_with_its_path(body):
    try:
        found = events(body)
    except LedgerError:
        return
    assert all(error.path for error in found.foreign.refused)
    for record in found.foreign.records:
        if b"source" in record:  # a record the sender wrote is for `prepare` to judge
            prepared(record)


@given(
    st.dictionaries(st.text(max_size=12), st.text(max_size=40)), st.binary(max_size=40), st.text(max_size=20)
)
def test_whatever_stands_in_the_headers_of_binary_mode(headers, body, media_type):
    sent = {"specversion": "1.0", "id": "1", "source": "/s", "type": "com.example.x", **headers}
    try:
        found = events(body, media_type, sent)
    except LedgerError:
        return
    for record in found.foreign.records:
        prepared(record)
