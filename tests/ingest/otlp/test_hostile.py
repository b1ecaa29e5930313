"""What a hostile sender writes into OTLP is refused or bounded; nothing else than a refusal ever comes out of reading it."""

import json
import random
import re
import tracemalloc

import pytest
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from ledger.core.errors import Code, LedgerError
from ledger.ingest.otlp.as_json import MAX_JSON_VALUES
from ledger.ingest.otlp.decode import JSON, MAX_BODY_VALUES, PROTOBUF, SLICE_ITEMS, Signal, decode
from ledger.ingest.otlp.frames import MAX_ITEMS
from ledger.ingest.otlp.item import MAX_RESOURCE_BYTES, MAX_VALUES
from ledger.ingest.otlp.mapping import records_of
from ledger.ingest.otlp.spans import Event, LogRecord, Span
from ledger.records.limits import BODY_BYTES, MAX_CONTENT_BYTES, MAX_RECORD_BYTES
from tests.conftest import SHARED
from tests.ingest.otlp import bombs
from tests.ingest.otlp.otlp_json import as_json
from tests.project.tree import ROOT

MIB = 1024 * 1024


def slices(body, media_type=PROTOBUF, signal=Signal.TRACES):
    return list(decode(body, media_type, signal).slices)


def spans(body, media_type=PROTOBUF):
    return [span for piece in slices(body, media_type) for span in piece.spans]


def codes(body, media_type=PROTOBUF):
    return [error.code for piece in slices(body, media_type) for error in piece.refused]


def refusal(body, media_type=PROTOBUF):
    with pytest.raises(LedgerError) as caught:
        decode(body, media_type, Signal.TRACES)
    return caught.value.code


@pytest.mark.parametrize(
    "name", ["empty resources", "empty scopes", "empty spans", "100,000 spans", "groups"]
)
def test_a_body_of_too_many_parts_is_refused_before_anything_is_built(name):
    body = bombs.PROTOBUF_BOMBS[name]()
    tracemalloc.start()
    try:
        assert refusal(body) in {Code.TOO_MANY_RECORDS, Code.MALFORMED_PROTOBUF}
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "tag",
    [
        b"\x00",
        b"\x01",
        b"\x05",
        b"\x07",
        b"\x82\x80\x80\x80\x10",
        b"\x8a\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    ],
)
def test_a_field_that_no_message_can_have_is_refused(tag):
    """The library that made the messages refuses it too: nothing may be read here that is no protobuf elsewhere."""
    body = bombs.request(bombs.ids(1)) + tag + bytes(8)
    with pytest.raises(DecodeError):
        ExportTraceServiceRequest.FromString(body)
    assert refusal(body) == Code.MALFORMED_PROTOBUF


@pytest.mark.parametrize("name", ["one span of empty attributes", "one list of nothing", "unknown fields"])
def test_a_span_of_nothing_but_parts_is_refused(name):
    assert codes(bombs.PROTOBUF_BOMBS[name]()) == [Code.TOO_MANY_RECORDS]


def test_a_span_of_more_values_than_are_taken_is_refused_alone():
    body = bombs.request(
        bombs.ids(1) + bombs.EMPTY_ATTRIBUTE * MAX_VALUES,
        bombs.ids(2) + bombs.EMPTY_ATTRIBUTE * (MAX_VALUES + 1),
        bombs.ids(3),
    )
    assert [span.span_id[-1] for span in spans(body)] == ["1", "3"]
    assert codes(body) == [Code.RECORD_TOO_LARGE]


def test_spans_beyond_the_values_of_one_body_are_refused():
    body = bombs.PROTOBUF_BOMBS["spans of as many as are taken"]()
    taken = len(spans(body))
    assert taken == -(-MAX_BODY_VALUES // 16_000)
    assert set(codes(body)) == {Code.BODY_TOO_LARGE}


@pytest.mark.parametrize("kind", ["list", "mapping"])
def test_nesting_is_taken_as_deep_as_protobuf_does_and_refused_beyond(kind):
    assert len(spans(bombs.request(bombs.ids(1) + bombs.nested(30, kind)))) == 1
    assert codes(bombs.request(bombs.ids(1) + bombs.nested(5_000, kind), bombs.ids(2))) == [
        Code.MALFORMED_PROTOBUF
    ]


def test_text_that_is_not_utf8_costs_only_its_span():
    body = bombs.request(bombs.ids(1) + bombs.field(5, b"\xff"), bombs.ids(2))
    assert codes(body) == [Code.MALFORMED_PROTOBUF]
    assert len(spans(body)) == 1


def test_a_resource_that_cannot_be_read_costs_no_span():
    [span] = spans(bombs.request(bombs.ids(1), resource=bombs.field(1, b"\xff\xff\xff")))
    assert (span.resource, span.flags) == ({}, ("resource-unreadable",))


@pytest.mark.parametrize("name", ["a resource of megabytes over 9,000 scopes", "a resource in 70,000 parts"])
def test_a_resource_is_read_once_and_cut_to_what_a_record_can_repeat(name):
    body = bombs.PROTOBUF_BOMBS[name]()
    for span in spans(body)[:3]:
        assert len(repr(span.resource)) < 2 * MAX_RESOURCE_BYTES


def test_a_cut_resource_says_so_and_is_cut_alike_in_both_encodings():
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    for number in range(100):
        group.resource.attributes.add(key=f"k{number}").value.string_value = "v" * 400
    group.scope_spans.add().spans.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    [span] = spans(request.SerializeToString())
    assert spans(as_json(request), JSON) == [span]
    assert span.flags == ("resource-cut",)
    assert 0 < len(span.resource) < 100


def test_a_body_comes_in_slices_so_that_its_spans_are_never_all_in_memory():
    found = slices(bombs.plain_spans(MAX_ITEMS))
    assert {len(piece.spans) for piece in found} == {SLICE_ITEMS}
    large = bombs.request(*(bombs.ids(number) + bombs.field(5, b"n" * 400_000) for number in range(1, 9)))
    assert [len(piece.spans) for piece in slices(large)] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("name", "code"),
    {
        "empty lists": Code.BODY_TOO_LARGE,
        "empty objects": Code.BODY_TOO_LARGE,
        "100,000 spans": Code.TOO_MANY_RECORDS,
        "deep": Code.TOO_DEEP,
        "deep within a span": Code.TOO_DEEP,
        "a number of a million digits": Code.MALFORMED_JSON,
        "a text without end": Code.BODY_TOO_LARGE,
        "keys twice in a span": Code.DUPLICATE_KEY,
    }.items(),
)
def test_json_made_to_hurt_is_refused(name, code):
    assert refusal(bombs.JSON_BOMBS[name](), JSON) == code


def test_commas_within_texts_are_not_taken_for_values():
    assert slices(bombs.JSON_BOMBS["a text that looks like structure"](), JSON) == []


@pytest.mark.parametrize(
    ("value", "read", "odd"),
    [
        ('{"intValue":"9223372036854775807"}', 2**63 - 1, False),
        ('{"intValue":-9223372036854775808}', -(2**63), False),
        ('{"intValue":"9223372036854775808"}', "9223372036854775808", True),
        ('{"intValue":9223372036854775808}', "9223372036854775808", True),
        ('{"intValue":' + "9" * 4_000 + "}", "9" * 4_000, True),
        ('{"intValue":1.0}', 1, False),
        ('{"intValue":"one"}', "one", True),
        ('{"intValue":true}', True, True),
        ('{"doubleValue":1}', 1.0, False),
        ('{"doubleValue":"-Infinity"}', float("-inf"), False),
        ('{"doubleValue":"1e3"}', 1000.0, False),
        ('{"doubleValue":"1_0"}', "1_0", True),
        ('{"doubleValue":' + "9" * 400 + "}", "9" * 400, True),
        ('{"bytesValue":"-_8="}', b"\xfb\xff", False),
        ('{"bytesValue":"?"}', "?", True),
        ('{"boolValue":"true"}', "true", True),
        ('{"stringValue":{"a":[1]}}', '{"a": [1]}', True),
        ('{"arrayValue":{"values":[{"intValue":1},null,{}]}}', [1, None, None], False),
        ('{"arrayValue":[1]}', "[1]", True),
        ('{"kvlistValue":7}', 7, True),
        ('{"unknownValue":7}', None, False),
        ('"bare"', "bare", True),
        ("null", None, False),
        ("{}", None, False),
    ],
)
def test_values_that_protobuf_cannot_say_are_kept_as_they_were_sent_and_flagged(value, read, odd):
    [span] = spans(
        bombs.in_json(bombs.json_span(1, b',"attributes":[{"key":"k","value":%b}]' % value.encode())), JSON
    )
    assert span.attributes == {"k": read}
    assert type(span.attributes["k"]) is type(read)
    assert (span.flags == ("invalid-values",)) is odd


@pytest.mark.parametrize(
    "members",
    [
        '"traceId":5',
        '"traceId":"XX"',
        '"traceId":"00000000000000000000000000000000"',
        '"traceId":"L+8tYxseVKivZPf+B3uYAA=="',
        '"name":5',
        '"startTimeUnixNano":-1',
        '"startTimeUnixNano":"18446744073709551616"',
        '"startTimeUnixNano":"now"',
        '"attributes":{}',
        '"attributes":[5]',
        '"attributes":[{"key":5}]',
        '"attributes":[{"key":"k","value":{"intValue":1,"stringValue":"1"}}]',
        '"events":[[]]',
        '"links":"x"',
        '"status":[]',
        '"droppedLinksCount":4294967296',
    ],
)
def test_a_span_whose_members_are_of_another_type_is_refused_alone(members):
    ids = {"traceId": "a" * 32, "spanId": "b" * 16}
    own = json.dumps({name: value for name, value in ids.items() if f'"{name}"' not in members})
    body = bombs.in_json(f"{own[:-1]},{members}}}".encode() + b"," + bombs.json_span(2))
    assert codes(body, JSON)[0] in {Code.MALFORMED_JSON, Code.INVALID_MEMBER}
    assert len(spans(body, JSON)) == 1


def test_enumerations_are_understood_by_name_too_since_an_error_would_be_lost():
    more = b',"kind":"SPAN_KIND_CLIENT","status":{"code":"STATUS_CODE_ERROR"}'
    [span] = spans(bombs.in_json(bombs.json_span(1, more)), JSON)
    assert (span.kind, span.status) == ("client", "error")


def test_members_with_unknown_names_are_ignored():
    more = b',"newField":{"a":[1]},"trace_id":"5","Name":"other"'
    assert spans(bombs.in_json(bombs.json_span(1, more)), JSON) == spans(
        bombs.in_json(bombs.json_span(1)), JSON
    )


def test_what_is_as_far_out_as_protobuf_lets_it_becomes_records():
    found = spans(bombs.odd_spans().SerializeToString())
    assert repr(found) == repr(spans(as_json(bombs.odd_spans()), JSON))
    reading = records_of(found, [], "alice")
    assert len(reading.records) >= len(found) == 4
    assert reading.refused == []
    assert max(map(len, reading.records)) < MAX_RECORD_BYTES


def mutated(seed, bodies):
    """A capture with some of its bytes changed, taken out, doubled, or another capture's."""
    chance = random.Random(seed)
    body = bytearray(chance.choice(bodies))
    for _ in range(chance.choice([1, 1, 2, 5, 20])):
        at, other = chance.randrange(len(body)), chance.choice(bodies)
        size = chance.choice([1, 1, 1, 4, 40])
        body[at : at + chance.choice([0, size])] = chance.choice(
            [bytes([chance.randrange(256)]) * size, other[at : at + size], b"", body[at : at + size] * 2]
        )
    return bytes(body)


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize(("pattern", "media_type"), [("*/*.traces.pb", PROTOBUF), ("*/*.traces.json", JSON)])
def test_a_capture_with_changed_bytes_is_read_or_refused_and_nothing_else(pattern, media_type):
    bodies = [path.read_bytes() for path in sorted(SHARED.glob(f"otlp/{pattern}"))]
    read = refused = 0
    for seed in range(1_500):
        try:
            for piece in slices(mutated(seed, bodies), media_type):
                refused += len(piece.refused)
                read += len(records_of(piece.spans, piece.logs, "alice").records)
        except LedgerError:
            refused += 1
    assert read > 100
    assert refused > 100


NESTED: list = []
for _ in range(300):
    NESTED = [NESTED]
VALUES = [
    "[" * 200_000,
    '{"a":' * 100_000,
    "[" * 90_000 + "]" * 90_000,
    "-" * 100_000 + "1",
    "not " * 50_000 + "1",
    "(" * 150 + ")" * 150,
    "{'a': " * 95 + "1" + "}" * 95,
    "9" * 100_000,
    "1e999999",
    "\0",
    "",
    "x" * 2_000_000,
    2**63 - 1,
    -(2**63),
    float("nan"),
    True,
    None,
    b"\xff" * 100,
    [None, 1, "x", [], {}],
    {"a": {"b": [1]}},
    NESTED,
    '[1,null,"x",[[]],{"role":5,"parts":7,"tool_calls":{"x":1},"content":[null]}]',
    '[{"role":"assistant","parts":[null,1,{"type":"tool_call","id":{},"name":[],"arguments":null},{"type":7}]}]',
    '[{"role":"assistant","tool_calls":[null,5,{"function":5,"id":[]}],"content":{"a":1}}]',
    '"\\ud800"',
    '[{"role":"assistant","parts":['
    + ",".join(f'{{"type":"tool_call","id":"{number}","name":"t"}}' for number in range(5_000))
    + "]}]",
]


def captured():
    """One span or log record of the captures for each name of an attribute in them, numbers in names aside."""
    by_name: dict[str, Span | LogRecord] = {}
    for path in sorted(SHARED.glob("otlp/*/*.pb")):
        signal = Signal(path.name.split(".")[1])
        for piece in slices(path.read_bytes(), PROTOBUF, signal):
            for one in piece.spans or piece.logs:
                events = getattr(one, "events", ())
                for name in [*one.attributes, *(name for event in events for name in event.attributes)]:
                    by_name.setdefault(f"{signal}:{re.sub('[0-9]+', 'N', name)}", (name, one))
    return by_name


def with_value(one, name, value):
    changed = one._replace(attributes={**one.attributes, name: value})
    if isinstance(changed, LogRecord):
        return changed._replace(body=value)
    events = [
        Event(event.name, event.time_ns, {**event.attributes, name: value}) for event in changed.events[:3]
    ]
    return changed._replace(events=tuple(events))


@pytest.mark.usefixtures("shared")
def test_no_value_of_any_attribute_keeps_a_span_from_becoming_records():
    found = captured()
    assert len(found) > 200
    for at, (name, one) in enumerate(found.values()):
        for value in VALUES[at % 3 :: 3]:  # each name meets a third of them
            odd = with_value(one, name, value)
            reading = records_of([odd], [], "a") if isinstance(odd, Span) else records_of([], [odd], "a")
            assert reading.records or reading.dropped, (name, str(value)[:40])
            assert max(map(len, reading.records), default=0) < MAX_RECORD_BYTES


def test_the_page_says_the_limits_that_are_kept():
    page = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
    limits = dict(re.findall(r"^\| ([^|]+) \| ([0-9,]+(?: [KM]iB)?)[^|]* \| [^|]+ \|$", page, re.MULTILINE))
    assert limits == {
        "a body, decompressed (gzip, zstd)": f"{BODY_BYTES // MIB} MiB",
        "spans or log records of a body": f"{MAX_ITEMS:,}",
        "attributes, list items and members of a body": f"{MAX_BODY_VALUES:,}",
        "the same of one span": f"{MAX_VALUES:,}",
        "a resource": f"{MAX_RESOURCE_BYTES // 1024} KiB",
        "one content": f"{MAX_CONTENT_BYTES // MIB} MiB",
    }
    assert f"in JSON {MAX_JSON_VALUES:,} " in page


def test_every_flag_is_named_on_the_page():
    page = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ledger/ingest/otlp").glob("*.py"))
    flags = set(re.findall(r'flags\.add\(\s*"([a-z-]+)"', source)) | {"observed-time", "resource-unreadable"}
    assert len(flags) >= 6
    assert [flag for flag in flags if f"`{flag}`" not in page] == []
