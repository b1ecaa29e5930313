"""Bodies made to hurt: few bytes that become much. Used against the decoder and against a real server."""

import json

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ledger.records.limits import BODY_BYTES

FULL = BODY_BYTES - 1024
EMPTY_ATTRIBUTE = b"\x4a\x00"  # the ninth field of a span, of no bytes


def field(number, data):
    """A length-delimited protobuf field."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def ids(number):
    return field(1, number.to_bytes(16)) + field(2, number.to_bytes(8))


def request(*spans, resource=b""):
    """A request in protobuf, of spans that are encoded already."""
    of_scope = b"".join(field(2, span) for span in spans)
    return field(1, (field(1, resource) if resource else b"") + field(2, of_scope))


def nested(levels, kind):
    """A value within lists, or mappings, within lists …; encoded by hand, since the messages refuse to."""
    value = AnyValue(string_value="deep").SerializeToString()
    for _ in range(levels):
        value = (
            field(5, field(1, value))
            if kind == "list"
            else field(6, field(1, field(1, b"k") + field(2, value)))
        )
    return field(9, field(1, b"deep") + field(2, value))


def long_attribute(size):
    span = Span(trace_id=b"t" * 16, span_id=b"s" * 8, name="execute_tool big", start_time_unix_nano=10**18)
    span.attributes.add(key="gen_ai.operation.name").value.string_value = "execute_tool"
    span.attributes.add(key="gen_ai.tool.name").value.string_value = "big"
    span.attributes.add(key="gen_ai.tool.call.arguments").value.string_value = "x" * size
    return request(span.SerializeToString())


def plain_spans(number, first=1):
    return request(*(ids(index) + field(5, b"n") for index in range(first, first + number)))


def repeated_resource():
    """One resource of megabytes over thousands of scopes: nothing of it may be done once for each."""
    pair = KeyValue(key="k", value=AnyValue(string_value="v" * 900)).SerializeToString()
    resource = field(1, field(1, pair) * 10_000)
    scopes = b"".join(field(2, field(2, ids(index))) for index in range(1, 9_001))
    return field(1, resource + scopes)


def resource_in_parts():
    """A resource that is merged from a large part and 70,000 of one byte each."""
    return field(1, field(1, b"\x12" + _varint(10 << 20) + bytes(10 << 20)) + field(1, b"") * 70_000)


def in_json(inner):
    head, tail = b'{"resourceSpans":[{"scopeSpans":[{"spans":[', b"]}]}]}"
    return head + inner + tail


def json_span(number, extra=b""):
    return b'{"traceId":"%032x","spanId":"%016x","name":"n"%b}' % (number, number, extra)


PROTOBUF_BOMBS = {
    "empty resources": lambda: b"\x0a\x00" * (FULL // 2),
    "empty scopes": lambda: field(1, b"\x12\x00" * (FULL // 2)),
    "empty spans": lambda: field(1, field(2, b"\x12\x00" * (FULL // 2 - 16))),
    "one span of empty attributes": lambda: request(ids(1) + EMPTY_ATTRIBUTE * (FULL // 2 - 32)),
    "spans of many empty attributes": lambda: request(
        *(ids(index) + EMPTY_ATTRIBUTE * 30_000 for index in range(1, 500))
    ),
    "spans of as many as are taken": lambda: request(
        *(ids(index) + EMPTY_ATTRIBUTE * 16_000 for index in range(1, 1_000))
    ),
    "one list of nothing": lambda: request(
        ids(1) + field(9, field(2, field(5, b"\x0a\x00" * (FULL // 2 - 64))))
    ),
    "unknown fields": lambda: request(ids(1) + b"\xf8\x7f\x00" * (FULL // 3 - 32)),
    "lists 10,000 deep": lambda: request(ids(1) + nested(10_000, "list")),
    "mappings 5,000 deep": lambda: request(ids(1) + nested(5_000, "mapping")),
    "a resource of megabytes over 9,000 scopes": repeated_resource,
    "a resource in 70,000 parts": resource_in_parts,
    "100,000 spans": lambda: plain_spans(100_000),
    "a length beyond the body": lambda: b"\x0a\xff\xff\xff\xff\x0f",
    "a length beyond 64 bits": lambda: b"\x0a" + b"\xff" * 10 + b"\x01",
    "a number without end": lambda: b"\xff" * 1_000_000,
    "groups": lambda: b"\x0b" * 1_000_000,
}
JSON_BOMBS = {
    "empty lists": lambda: b'{"a":[' + b"[]," * (FULL // 3 - 8) + b"[]]}",
    "empty objects": lambda: in_json(b"{}," * (FULL // 3 - 64) + b"{}"),
    "spans of empty attributes": lambda: in_json(
        b",".join(json_span(index, b',"attributes":[' + b"{}," * 15_999 + b"{}]") for index in range(1, 100))
    ),
    "100,000 spans": lambda: in_json(b",".join(json_span(index) for index in range(1, 100_001))),
    "deep": lambda: b'{"resourceSpans":' * 1_000_000,
    "deep within a span": lambda: in_json(json_span(1, b',"attributes":' + b"[" * 5_000 + b"]" * 5_000)),
    "a number of a million digits": lambda: in_json(
        json_span(1, b',"startTimeUnixNano":' + b"9" * 1_000_000)
    ),
    "a text that looks like structure": lambda: json.dumps(
        {"resourceSpans": [], "x": ",{[" * 10_000_000}
    ).encode(),
    "a text without end": lambda: b'{"' + b"," * (FULL - 8),
    "escapes": lambda: b'{"x":"' + b"\\u0000" * (FULL // 6 - 8) + b'"}',
    "keys twice in a span": lambda: in_json(json_span(1, b',"name":"other"')),
}


def odd_spans():
    """A message of spans whose values are as far out as protobuf lets them."""
    sent = ExportTraceServiceRequest()
    spans = sent.resource_spans.add().scope_spans.add().spans
    extremes = [2**63 - 1, -(2**63), 2**53 + 1, 0]
    doubles = [float("nan"), float("inf"), float("-inf"), 5e-324, -0.0]
    for number, (start, end) in enumerate([(0, 0), (2**64 - 1, 0), (1, 2**64 - 1), (2**63, 2**63)], 1):
        span = spans.add(
            trace_id=bytes(15) + bytes([number]),
            span_id=bytes(7) + bytes([number]),
            start_time_unix_nano=start,
            end_time_unix_nano=end,
            name="\x00\u202e" * 1000,
        )
        span.attributes.add(key="gen_ai.operation.name").value.string_value = "execute_tool"
        span.attributes.add(key="gen_ai.tool.name").value.string_value = "tool\x00\n" + "n" * 100_000
        for value in extremes:
            span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = value
        for value in doubles:
            span.attributes.add(key="gen_ai.request.temperature").value.double_value = value
        for key in ("", "ledger.duplicates", "submitter", "id", "k" * 100_000, "\ud7ff\U0010ffff"):
            span.attributes.add(key=key).value.string_value = "forged"
            span.attributes.add(key=key)
        span.attributes.add(key="bytes").value.bytes_value = bytes(range(256))
        span.status.code, span.kind = 77, -5
    return sent
