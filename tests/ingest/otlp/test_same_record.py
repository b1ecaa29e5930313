"""The same span is the same struct, and so the same record, whichever way it was sent: over all captures, and what no capture holds."""

import math

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ledger.ingest.otlp.decode import JSON, PROTOBUF, Signal, decode
from ledger.ingest.otlp.mapping import records_of
from ledger.ingest.otlp.spans import LogRecord
from ledger.ingest.otlp.spans import Span as SpanStruct
from tests.conftest import SHARED
from tests.ingest.otlp.otlp_json import as_json

REQUESTS = {Signal.TRACES: ExportTraceServiceRequest, Signal.LOGS: ExportLogsServiceRequest}
CAPTURES = sorted(SHARED.glob("otlp/*/*.pb"))
JSON_CAPTURES = sorted(SHARED.glob("otlp/*/[0-9]*.json"))


def signal_of(path):
    return Signal(path.name.split(".")[1])


def read(body, media_type, signal):
    request = decode(body, media_type, signal)
    slices = list(request.slices)
    assert [error for piece in slices for error in piece.refused] == []
    found = [one for piece in slices for one in (piece.spans or piece.logs)]
    assert len(found) == request.items
    return found


@pytest.mark.usefixtures("shared")
def test_every_capture_is_the_same_from_protobuf_and_from_json():
    assert len(CAPTURES) > 100
    spans = 0
    for path in CAPTURES:
        signal = signal_of(path)
        body = path.read_bytes()
        message = REQUESTS[signal].FromString(body)
        found = read(body, PROTOBUF, signal)
        from_json = read(as_json(message), JSON, signal)
        assert found == from_json, path
        assert records(found) == records(from_json)
        spans += len(found)
    assert spans > 500


def records(found):
    """What the log will hold of them, in the order of the spans."""
    spans = [one for one in found if isinstance(one, SpanStruct)]
    logs = [one for one in found if isinstance(one, LogRecord)]
    return records_of(spans, logs, "alice").records


@pytest.mark.usefixtures("shared")
def test_no_value_of_a_capture_is_lost_or_changed():
    for path in CAPTURES:
        message = REQUESTS[signal_of(path)].FromString(path.read_bytes())
        sent = [text for text in texts(MessageToDict(message)) if len(text) > 20]
        held = repr(read(path.read_bytes(), PROTOBUF, signal_of(path)))
        missing = [text for text in sent if repr(text)[1:-1] not in held]
        assert missing == [], path


def texts(value):
    """Every attribute value that is a text."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "stringValue":
                yield inner
            else:
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


@pytest.mark.usefixtures("shared")
def test_json_that_was_sent_as_json_is_read():
    paths = [path for path in JSON_CAPTURES if path.name.count(".") == 2 and "hdr" not in path.name]
    assert len(paths) == 9
    for path in paths:
        assert all(
            span.attributes and span.resource for span in read(path.read_bytes(), JSON, signal_of(path))
        )


ODD = {
    "int64": [AnyValue(int_value=2**63 - 1), AnyValue(int_value=-(2**63)), AnyValue(int_value=0)],
    "doubles": [AnyValue(double_value=value) for value in (1.0, -0.0, 5e-324, math.inf, -math.inf)],
    "bytes": [AnyValue(bytes_value=bytes(range(256))), AnyValue(bytes_value=b"")],
    "nothing": [AnyValue(), AnyValue(string_value=""), AnyValue(bool_value=False)],
    "texts": [AnyValue(string_value="\x00\u2028\U0001f600"), AnyValue(string_value='"\\')],
}


def odd_request():
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="odd")))
    of_scope = group.scope_spans.add()
    of_scope.scope.name, of_scope.scope.version = "scope", "1"
    of_scope.schema_url = "https://opentelemetry.io/schemas/1.40.0"
    of_scope.scope.attributes.append(KeyValue(key="of", value=AnyValue(string_value="scope")))
    for number, (name, values) in enumerate(ODD.items(), 1):
        span = of_scope.spans.add(
            trace_id=bytes([number]) * 16,
            span_id=bytes([number]) * 8,
            parent_span_id=bytes([number + 1]) * (8 if number % 2 else 3),
            name=name,
            kind=number,
            start_time_unix_nano=2**64 - 1,
            end_time_unix_nano=number,
            trace_state="a=b" if number == 1 else "",
            dropped_attributes_count=number,
            dropped_events_count=2**32 - 1,
            dropped_links_count=number,
        )
        span.status.code, span.status.message = number % 4, "because"
        for value in values:
            span.attributes.append(KeyValue(key=f"{name}-{len(span.attributes)}", value=value))
            span.attributes.append(KeyValue(key="again", value=value))
            nested = AnyValue()
            for twice in ("in", "in", "out"):
                nested.kvlist_value.values.append(KeyValue(key=twice, value=value))
            nested.kvlist_value.values.add(key="list").value.array_value.values.extend(values)
            span.events.add(name="event", time_unix_nano=3, dropped_attributes_count=1).attributes.append(
                KeyValue(key="nested", value=nested)
            )
        span.links.add(trace_id=b"l" * 16, span_id=b"l" * 8)
        span.links.add(trace_id=b"m" * 16, span_id=b"m" * 8, trace_state="x=y").attributes.add(
            key="why"
        ).value.string_value = "because"
        span.links.add(trace_id=b"", span_id=b"m" * 8)
    return request


def test_what_no_capture_holds_is_the_same_from_both_too():
    request = odd_request()
    spans = read(request.SerializeToString(), PROTOBUF, Signal.TRACES)
    from_json = read(as_json(request), JSON, Signal.TRACES)
    assert repr(spans) == repr(from_json)
    assert records(spans) == records(from_json)
    first = spans[0]
    assert first.attributes["int64-0"] == 2**63 - 1
    assert first.attributes["again"] == 2**63 - 1
    assert [pair["value"] for pair in first.attributes["ledger.duplicates"]] == [-(2**63), 0]
    assert first.attributes["otel.dropped_events_count"] == 2**32 - 1
    assert first.attributes["otel.trace_state"] == "a=b"
    assert first.attributes["otel.scope.attributes"] == {"of": "scope"}
    assert first.events[0].attributes["nested"]["ledger.duplicates"] == [{"key": "in", "value": 2**63 - 1}]
    assert first.flags == ("duplicate-keys", "invalid-ids")
    assert len(first.links) == 2
    assert [span.kind for span in spans] == ["internal", "server", "client", "producer", "consumer"]
    assert [span.status for span in spans] == ["ok", "error", "unset", "unset", "ok"]
    assert spans[1].parent_span_id is None


def test_a_nan_is_a_nan_from_both():
    request = odd_request()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes[0].value.double_value = math.nan
    for body, media_type in ((request.SerializeToString(), PROTOBUF), (as_json(request), JSON)):
        assert math.isnan(read(body, media_type, Signal.TRACES)[0].attributes["int64-0"])


def test_log_records_without_time_ids_or_event_are_the_same_from_both():
    request = ExportLogsServiceRequest()
    logs = request.resource_logs.add().scope_logs.add().log_records
    logs.add(observed_time_unix_nano=5, severity_number=17).body.string_value = "observed"
    logs.add(severity_text="FINE", trace_id=b"t" * 16, span_id=b"s" * 8, event_name="gen_ai.choice")
    logs.add(trace_id=b"\0" * 16, span_id=b"s" * 7, time_unix_nano=2**64 - 1, dropped_attributes_count=2)
    found = read(request.SerializeToString(), PROTOBUF, Signal.LOGS)
    assert found == read(as_json(request), JSON, Signal.LOGS)
    assert [(log.time_ns, log.severity, log.flags) for log in found] == [
        (5, "ERROR", ("observed-time",)),
        (0, "FINE", ("no-time",)),
        (2**64 - 1, "", ("invalid-ids",)),
    ]
    assert (found[2].trace_id, found[2].span_id) == (None, None)
    assert (found[1].trace_id, found[1].event_name) == ((b"t" * 16).hex(), "gen_ai.choice")


def test_the_published_messages_have_no_field_that_is_not_read():
    read_here = {
        "trace_id", "span_id", "trace_state", "parent_span_id", "name", "kind", "start_time_unix_nano", "end_time_unix_nano", "attributes",
        "dropped_attributes_count", "events", "dropped_events_count", "links", "dropped_links_count", "status",
    }  # fmt: skip
    assert set(Span.DESCRIPTOR.fields_by_name) - read_here == {"flags"}, "sampling says nothing of an action"
