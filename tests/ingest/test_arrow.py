"""The same records, as NDJSON and as an Arrow stream, are the same records in the log."""

import json

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.core.errors import Code, LedgerError
from ledger.ingest.arrow.prepare import prepare_stream
from ledger.ingest.arrow.schema import SCHEMA
from ledger.records.columns import COLUMNS, Column
from ledger.records.limits import MAX_CONTENT_BYTES
from ledger.records.prepared import Prepared
from ledger.records.resources import schema_json
from tests.ingest.arrows import lines, stream, table
from tests.ingest.conftest import Judge, judged
from tests.records.full import full

BASE = {"type": "action", "time": "2026-11-21T09:30:00.123456Z"}
TEXTS = [
    "plain",
    "",
    "ü😀",
    'a "quoted" one',
    "C:\\temp\\x",
    "tab\there",
    "\x00",
    "\x1f\x7f\u2028",
    "x" * 129,
    "x" * 201,
    "😀" * 4096,
    "😀" * 4097,
    "task-1234567890123456789012345",
    "sk-" + "a" * 30,
    "AKIA" + "A" * 16,
    "Bearer " + "b" * 30,
    "PRIVATE+KEY+x",
    "a" * 32,
    "b" * 16,
    "c" * 64,
    "A" * 32,
    "a" * 32 + "\n",
    "ledger:otlp:1",
    "log.created",
    "com.example.thing",
    "null",
    "  ",
]
TIMES = [
    "2026-11-21T09:30:00Z",
    "2024-02-29T23:59:59.999999999Z",
    "2026-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-12-31T24:00:00Z",
    "2026-12-31T23:59:60Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2026-11-21T09:30:00+00:00",
    "2026-11-21T09:30:00.1234567890Z",
    "2026-11-21t09:30:00Z",
    "2026-11-21T09:30:00Z\n",
    "٢026-11-21T09:30:00Z",
    "",
]
NUMBERS = [0, 1, -1, 2**53 - 1, 2**53, -(2**53), 2**63 - 1, -(2**63)]
CONTENTS = [
    "null",
    "1.0",
    '"text"',
    '{"a": 1.50, "b": [1e5, {"c": "\\u0061"}]}',
    " [1] ",
    '{"a":1,"a":2}',
    '"\\ud800"',
    '{"commitment":"%s"}' % ("0" * 64),
    '{ "commitment" : "%s" }' % ("0" * 64),
    '{"commitment":"short"}',
    '{"x":{"commitment":"%s"}}' % ("0" * 64),
    "[" * 150 + "]" * 150,
    "[" * 198 + "]" * 198,
    "[" * 400 + "]" * 400,
    '"' + "x" * MAX_CONTENT_BYTES + '"',
    "1e999",
    "-0",
]
OBJECTS = [
    "{}",
    "[]",
    "null",
    "7",
    '["a"]',
    '["a",""]',
    '["a","a",1]',
    json.dumps(["s"] * 257),
    '[{"sub":"payer","iss":"https://issuer.example"}]',
    '[{"iss":"x"}]',
    '{"amount_minor":-5,"currency":"EUR"}',
    '{"currency" : "EUR", "amount_minor":5}',
    '{"amount_minor":1.5}',
    '{"row_count":-1}',
    '{"rows":1}',
    '{"id":"jti","type":"dpop","thumbprint":"sk-%s"}' % ("a" * 30),
    '{"request":"scheduled","tool":"none"}',
    '{"request":"a","request":"b"}',
    '{"com.example.x":{"n":[1,"two",true]}}',
    '{"com.example.x":1.5}',
    '{"log.x":1}',
    '{"x":1}',
    '{"com.example.deep":%s}' % ("[" * 20 + "]" * 20),
]
WITHHELD = [{"commitment": "0" * 64}, {"commitment": "short"}, {"commitment": ""}]


def values(column: Column):
    if column.path == "time":
        return st.sampled_from(TIMES)
    if column.kind == "content":
        return st.sampled_from([msgspec.Raw(text.encode()) for text in CONTENTS] + WITHHELD)
    if column.kind == "person":
        return st.sampled_from(TEXTS + WITHHELD)
    if column.json:
        return st.sampled_from([msgspec.Raw(text.encode()) for text in OBJECTS])
    if column.shape == "int64":
        return st.sampled_from(NUMBERS)
    return st.one_of(st.sampled_from([*TEXTS, *column.values]), st.text(max_size=20))


MEMBERS = [column for column in COLUMNS.values() if column.kind != "commitment"]
GOOD = {
    "time": TIMES[:2],
    "text": TEXTS[:1] + TEXTS[2:5],
    "content": [msgspec.Raw(text.encode()) for text in CONTENTS[:4]],
}


@st.composite
def records(draw):
    record = {}
    for name in draw(st.sampled_from([(), ("type",), ("time",), *[("type", "time")] * 5])):
        record[name] = BASE[name]
    chosen = draw(st.sets(st.sampled_from(MEMBERS), max_size=8))
    for column in sorted(chosen, key=MEMBERS.index):  # of two faults the first is told
        facet, _, name = column.path.rpartition(".")
        (record.setdefault(facet, {}) if facet else record)[name] = draw(values(column))
    return record


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(sent=st.lists(records(), min_size=1, max_size=6), require_facets=st.booleans())
def test_records_sent_as_ndjson_and_as_arrow_become_the_same_or_are_refused_alike(sent, require_facets):
    judge = Judge(require_facets=require_facets)
    json_way = judge.json(lines(sent))
    arrow_way = judge.arrow(stream(table(sent)))
    assert [judged(outcome) for outcome in arrow_way] == [judged(outcome) for outcome in json_way]


@pytest.mark.parametrize("column", MEMBERS, ids=lambda column: column.path)
def test_each_value_of_each_member_is_judged_alike(column, judge, same):
    """All of them at once: what is wrong with one row is nothing to the others."""
    listed = {"content": CONTENTS, "person": TEXTS}.get(column.kind, OBJECTS if column.json else TEXTS)
    listed = (
        TIMES if column.path == "time" else NUMBERS if column.shape == "int64" else [*listed, *column.values]
    )
    sent = []
    for value in listed:
        record = dict(BASE)
        facet, _, name = column.path.rpartition(".")
        (record.setdefault(facet, {}) if facet else record)[name] = (
            msgspec.Raw(value.encode()) if column.json else value
        )
        sent.append(record)
    same(judge.arrow(stream(table(sent))), judge.json(lines(sent)))


def many(count=50):
    """Full records, no two alike."""
    sent = []
    for number in range(count):
        record = full() | {"id": f"r-{number}", "action_id": f"act-{number}"}
        record["source"]["seq"] = number
        record["tool"]["facts"]["amount_minor"] = number
        sent.append(record)
    return sent


def test_a_record_with_every_member_is_read_by_column_and_not_alone(judge, same, monkeypatch):
    sent = many()
    expected = judge.json(lines(sent))
    body = stream(table(sent))
    monkeypatch.setattr("ledger.ingest.arrow.prepare.record_json", None)
    read = judge.arrow(body)
    assert [json.loads(c.value) for p in read for c in p.contents] == [
        json.loads(c.value) for p in expected for c in p.contents
    ]
    assert all(isinstance(outcome, Prepared) for outcome in read)
    assert [p.record.count(b":") for p in read] == [p.record.count(b":") for p in expected]


def variants(data):
    """The same table as other writers write it."""
    texts = [field.name for field in data.schema if field.type == pa.string()]

    def cast(kind):
        return pa.table(
            {
                name: column.cast(kind) if name in texts else column
                for name, column in zip(data.column_names, data.columns, strict=True)
            }
        )

    encoded = pa.table(
        {
            n: c.dictionary_encode() if n in texts else c
            for n, c in zip(data.column_names, data.columns, strict=True)
        }
    )
    narrow = pa.table(
        {
            n: c
            if n in texts
            else c.cast(pa.uint16())
            if pa.types.is_integer(c.type) and n != "tool_facts"
            else c
            for n, c in zip(data.column_names, data.columns, strict=True)
        }
    )
    yield "large_string", stream(cast(pa.large_string()))
    yield "string_view", stream(cast(pa.string_view()))
    yield "dictionary", stream(encoded)
    yield "dictionary in batches", stream(encoded, rows_per_batch=7)
    yield "unified dictionary of large strings", stream(cast(pa.large_string()).unify_dictionaries())
    yield "lz4", stream(data, compression="lz4")
    yield "zstd", stream(encoded, compression="zstd", rows_per_batch=20)
    yield "batches of 1", stream(data, rows_per_batch=1)
    yield "uint16", stream(narrow)
    yield "columns in another order", stream(data.select(sorted(data.column_names, reverse=True)))
    yield (
        "a null column",
        stream(
            data.append_column("trace_extra_never", pa.nulls(data.num_rows)).rename_columns(
                [*data.column_names, "request_user_commitment"]
            )
        ),
    )


def test_however_a_writer_lays_out_the_columns_the_records_are_the_same(judge, same):
    sent = many()
    data = table(sent)
    expected = judge.json(lines(sent))
    plain = [judged(outcome) for outcome in judge.arrow(stream(data))]
    assert [found[1] for found in plain] == [outcome.id for outcome in expected]
    for name, body in variants(data):
        assert [judged(outcome) for outcome in judge.arrow(body)] == plain, name


def test_lists_and_objects_may_be_nested_columns(judge):
    sent = many(3)
    data = table(sent)
    nested = {
        "identity_scopes": [["pay"], ["pay"], ["pay"]],
        "trace_derived_from": [["act-0"]] * 3,
        "identity_actors": [record["identity"]["actors"] for record in sent],
        "identity_credential": [record["identity"]["credential"] for record in sent],
        "tool_facts": [record["tool"]["facts"] for record in sent],
    }
    for name, rows in nested.items():
        index = data.column_names.index(name)
        data = data.set_column(index, name, pa.array(rows, SCHEMA.field(name).type))
    expected = judge.arrow(stream(table(sent)))
    found = judge.arrow(stream(data))
    assert [judged(outcome) for outcome in found] == [judged(outcome) for outcome in expected]


def test_a_null_within_a_struct_is_a_missing_member_and_in_a_list_it_is_refused(judge):
    data = table([BASE, BASE])
    facts = pa.array([{"currency": "EUR"}, None], SCHEMA.field("tool_facts").type)
    scopes = pa.array([["a"], ["a", None]], pa.large_list(pa.string()))
    good, bad = judge.arrow(
        stream(data.append_column("tool_facts", facts).append_column("identity_scopes", scopes))
    )
    assert b'"tool":{"facts":{"currency":"EUR"}}' in good.record
    assert (bad.code, bad.path) == (Code.INVALID_MEMBER, "identity.scopes[1]")


@pytest.mark.parametrize(
    ("unit", "text"),
    [("s", "09:30:01Z"), ("ms", "09:30:01.500Z"), ("us", "09:30:01.500000Z"), ("ns", "09:30:01.500000000Z")],
)
def test_a_timestamp_says_as_many_digits_as_its_unit_has(judge, unit, text):
    when = (
        pa.array([1_795_253_401_500_000_000])
        .cast(pa.timestamp("ns", "UTC"))
        .cast(pa.timestamp(unit, "UTC"), safe=False)
    )
    [read] = judge.arrow(stream(pa.table({"type": ["note"], "time": when})))
    assert f'"time":"2026-11-21T{text}"'.encode() in read.record


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_timestamp_outside_the_years_that_can_be_said_is_refused_for_its_record(judge, unit):
    times = pa.array([0, 2**63 - 1, -(2**63), None]).cast(pa.timestamp(unit, "UTC"))
    first, *others = judge.arrow(stream(pa.table({"type": ["note"] * 4, "time": times})))
    assert b'"time":"1970-01-01T00:00:00' in first.record
    if unit not in {"ns", "us"}:  # which do not reach so far
        assert [(error.code, error.path) for error in others[:2]] == [(Code.INVALID_MEMBER, "time")] * 2
    assert (others[2].code, others[2].path) == (Code.MISSING_MEMBER, "time")


@pytest.mark.parametrize("zone", ["UTC", "+00:00", "Etc/UTC"])
def test_the_first_and_the_last_second_that_can_be_said_are(judge, zone):
    times = pa.array([-62_135_596_800, 253_402_300_799]).cast(pa.timestamp("s", zone))
    first, last = judge.arrow(stream(pa.table({"type": ["note"] * 2, "time": times})))
    assert b'"time":"0001-01-01T00:00:00Z"' in first.record
    assert b'"time":"9999-12-31T23:59:59Z"' in last.record


def test_what_the_submitter_keeps_is_sent_as_its_commitment(judge):
    commitment = "ab" * 32
    data = table([BASE]).append_column("tool_arguments_commitment", pa.array([commitment]))
    [read] = judge.arrow(stream(data.append_column("request_user_commitment", pa.array([commitment]))))
    assert sorted(read.withheld) == ["request.user", "tool.arguments"]
    [refused] = judge.arrow(stream(data.append_column("tool_arguments", pa.array(["1"]))))
    assert (refused.code, refused.path) == (Code.INVALID_MEMBER, "tool.arguments")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        "1 2",
        '1,"type":"note"',
        '1},"policy":{"effect":"allow"',
        "[1",
        "1]",
        '"',
        "[1],[2]",
        "{",
        "nul",
    ],
)
def test_a_content_that_is_not_one_json_value_cannot_say_anything_about_its_record(judge, text):
    others = ["{}", "[1", "2]", text]
    data = table([BASE] * 5).append_column("tool_arguments", pa.array([text, *others]))
    first, good, *rest = judge.arrow(stream(data))
    assert (first.code, first.path) == (Code.MALFORMED_JSON, "tool.arguments")
    assert good.contents[0].value == b"{}"
    assert [error.code for error in rest] == [Code.MALFORMED_JSON] * 3


def test_ids_that_are_missing_are_made_and_those_of_the_ledger_refused(judge):
    data = table([BASE | {"id": 'a"b'}, BASE, BASE | {"id": "ledger:otlp:1"}])
    named, made, refused = judge.arrow(stream(data))
    assert (named.id, named.generated_id) == ('a"b', False)
    assert json.loads(named.record)["id"] == 'a"b'
    assert made.generated_id
    assert json.loads(made.record)["id"] == made.id
    assert refused.code == Code.RESERVED_NAME


def test_the_described_schema_is_the_one_that_is_taken(judge):
    described = schema_json("record.arrow.json")["schema"]["fields"]
    assert [field["name"] for field in described] == SCHEMA.names

    def kind(field):
        name = field["type"]["name"]
        if name == "struct":
            return pa.struct([pa.field(below["name"], kind(below)) for below in field["children"]])
        return (
            pa.list_(kind(field["children"][0]))
            if name == "list"
            else {"utf8": pa.string(), "int": pa.int64()}[name]
        )

    assert pa.schema([pa.field(field["name"], kind(field)) for field in described]) == SCHEMA
    rows = pa.table({"type": ["note"], "time": [BASE["time"]]})
    empty = pa.Table.from_pylist([dict.fromkeys(SCHEMA.names) | rows.to_pylist()[0]], SCHEMA)
    [read] = judge.arrow(stream(empty))
    assert isinstance(read, Prepared)


@pytest.mark.parametrize(
    ("name", "values_", "code", "said"),
    [
        ("tool_args", ["1"], Code.UNKNOWN_MEMBER, "did you mean tool_arguments?"),
        ("tool.name", ["x"], Code.UNKNOWN_MEMBER, "did you mean tool_name?"),
        ("zzz", ["x"], Code.UNKNOWN_MEMBER, "record.arrow.json"),
        ("record", ["{}"], Code.UNKNOWN_MEMBER, ""),
        ("tool_name", [1], Code.INVALID_MEMBER, "tool_name is int64"),
        ("tool_name", [b"x"], Code.INVALID_MEMBER, "binary"),
        ("source_seq", [1.0], Code.INVALID_MEMBER, "double"),
        ("source_seq", ["1"], Code.INVALID_MEMBER, "whole number"),
        ("tool_arguments", [{"a": 1}], Code.INVALID_MEMBER, "JSON as text"),
        ("identity_scopes", [[1]], Code.INVALID_MEMBER, "identity.scopes[]"),
        ("tool_facts", [{"currencies": "EUR"}], Code.UNKNOWN_MEMBER, "did you mean currency?"),
        ("tool_facts", [{}], Code.INVALID_MEMBER, ""),
    ],
)
def test_a_column_that_no_member_fits_is_refused_before_a_row_is_read(judge, name, values_, code, said):
    data = table([BASE]).append_column(name, pa.array(values_))
    with pytest.raises(LedgerError) as refused:
        judge.arrow(stream(data))
    assert refused.value.code == code
    assert said in refused.value.detail


def test_a_time_without_a_zone_is_refused(judge):
    data = pa.table({"type": ["note"], "time": pa.array([0], pa.timestamp("us"))})
    with pytest.raises(LedgerError) as refused:
        judge.arrow(stream(data))
    assert "time zone UTC" in refused.value.detail


def test_json_columns_of_duckdb_are_taken():
    data = table([BASE]).append_column("tool_arguments", pa.array(['{"a":1}'], pa.json_()))
    [read] = Judge().arrow(stream(data))
    assert read.contents[0].value == b'{"a":1}'


def test_the_persons_of_both_ways_are_the_same_persons(judge):
    sent = many(3)
    [first, *_], [second, *_] = judge.arrow(stream(table(sent))), judge.json(lines(sent))
    assert first.persons == second.persons
    assert prepare_stream(stream(table(sent)), **judge.given)[0].persons == first.persons
