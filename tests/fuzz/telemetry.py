"""OTLP, in both encodings: read alike, and whatever becomes a record is one that the log takes."""

import contextlib
import json
from collections.abc import Callable

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ledger.client.headers import Span as TraceParent
from ledger.client.headers import format_traceparent, parse_baggage, parse_traceparent
from ledger.ingest.otlp.decode import JSON, PROTOBUF, Signal, decode
from ledger.ingest.otlp.mapping import records_of
from tests.fuzz.target import Target, holds
from tests.ingest.odd import SUBMITTER, prepared
from tests.ingest.otlp.otlp_json import as_json

REQUESTS = {Signal.TRACES: ExportTraceServiceRequest, Signal.LOGS: ExportLogsServiceRequest}
TRACE, SPAN = bytes(range(16)), bytes(range(8))


def read(body: bytes, media: str, signal: Signal) -> tuple[list[bytes], int]:
    """The records of a body, and how many parts of it were refused."""
    request = decode(body, media, signal)
    records, refused, items = list[bytes](), 0, 0
    for piece in request.slices:
        refused += len(piece.refused)
        items += len(piece.spans) + len(piece.logs) + len(piece.refused)
        records += records_of(piece.spans, piece.logs, SUBMITTER).records
    holds(items == request.items, "every span is read or refused", items, request.items)
    return records, refused


def target(media: str, signal: Signal) -> Callable[[bytes], bool]:
    def run(data: bytes) -> bool:
        records, refused = read(data, media, signal)
        for record in records:
            prepared(record)
        if media == PROTOBUF and not refused:
            compare(data, signal, records)
        return bool(records)

    return run


def compare(data: bytes, signal: Signal, records: list[bytes]) -> None:
    """The same request as OTLP's JSON, made by the library that made the protobuf's code, is the same records."""
    try:
        message = REQUESTS[signal].FromString(data)
    except DecodeError:  # of what holds no span nothing is read here
        return
    with contextlib.suppress(ValueError, TypeError):  # NaN and what else JSON cannot say
        text = as_json(message)
        if b"NaN" not in text and b"Infinity" not in text:
            holds(read(text, JSON, signal) == (records, 0), "both encodings are the same records", text)


def headers(data: bytes) -> bool:
    text = data.decode("latin-1")
    found = parse_traceparent(text)
    if found is not None:
        holds(parse_traceparent(format_traceparent(found)) == found, "a span reads back", text)
        holds(isinstance(found, TraceParent) and found.trace_id != "0" * 32, "ids are not zero", text)
    members = parse_baggage(text)
    holds(
        all(name and value and value.isprintable() for name, value in members.items()),
        "baggage is clean",
        members,
    )
    return found is not None or bool(members)


def traces() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = "agents"
    scope = group.scope_spans.add()
    scope.scope.name = "opentelemetry.instrumentation.openai"
    for number, name in enumerate(("chat gpt", "execute_tool send_money")):
        span = scope.spans.add(trace_id=TRACE, span_id=bytes([number + 1]) * 8, name=name, kind=3)
        span.start_time_unix_nano, span.end_time_unix_nano = (
            1_795_167_000_000_000_000,
            1_795_167_001_000_000_000,
        )
        told = {
            "gen_ai.operation.name": name.split(" ")[0],
            "gen_ai.tool.name": "send_money",
            "gen_ai.tool.call.arguments": '{"a": 1}',
            "gen_ai.input.messages": '[{"role":"user","content":"hi"}]',
        }
        for key, value in told.items():
            span.attributes.add(key=key).value.string_value = value
        span.attributes.add(key="n").value.int_value = 2**53 + 1
        listed = span.attributes.add(key="l").value.array_value
        listed.values.add().double_value = 1.5
        listed.values.add().bytes_value = b"\x00\xff"
        span.status.code = 2
        span.events.add(name="exception", time_unix_nano=1).attributes.add(
            key="exception.message"
        ).value.string_value = "no"
    return request


def logs() -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(time_unix_nano=1_795_167_000_000_000_000, trace_id=TRACE, span_id=SPAN)
    )
    record.event_name = "gen_ai.client.inference.operation.details"
    record.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    record.body.kvlist_value.values.add(key="message").value.string_value = "hello"
    return request


PROTO = (b"\xff" * 10 + b"\x01", b"\x00", b"\x0a\x00", b"\x80\x80\x80\x80\x10", TRACE)
TEXTS = (
    b"NaN",
    b"null",
    b'"9223372036854775808"',
    b"1e400",
    b"\\ud800",
    b'"stringValue":',
    b'"intValue":',
    b'"kvlistValue":{"values":[',
    b"[" * 30,
)

TARGETS = (
    Target(
        "otlp-traces", target(PROTOBUF, Signal.TRACES), lambda: [traces().SerializeToString()], pieces=PROTO
    ),
    Target("otlp-logs", target(PROTOBUF, Signal.LOGS), lambda: [logs().SerializeToString()], pieces=PROTO),
    Target("otlp-traces-json", target(JSON, Signal.TRACES), lambda: [as_json(traces())], 8_192, TEXTS),
    Target(
        "otlp-logs-json",
        target(JSON, Signal.LOGS),
        lambda: [as_json(logs()), json.dumps({"resourceLogs": []}).encode()],
        8_192,
        TEXTS,
    ),
    Target(
        "trace-headers",
        headers,
        lambda: [
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"a=b,agent_ledger.user=%C3%A9;p=1, agent_ledger.x = y",
            b"agent_ledger.a=%00",
        ],
        1_024,
    ),
)
