import json

import duckdb
import msgspec
import pyarrow as pa

from ledger.records import generate
from ledger.records.columns import column_name
from ledger.records.members import MEMBERS
from ledger.records.model import Record
from ledger.records.resources import schema_text
from tests.records.full import full


def test_the_generated_files_are_what_the_model_says():
    assert generate.main(["--check"]) == 0


def test_the_schema_marks_every_member_with_its_kind():
    schema = json.loads(schema_text("record.schema.json"))
    kinds = {}
    for name, definition in schema["$defs"].items():
        for member, described in definition.get("properties", {}).items():
            if "x-kind" in described:
                kinds[f"{name}.{member}"] = described["x-kind"]
    assert len(kinds) == len(MEMBERS)
    assert kinds["Tool.arguments"] == "content"
    assert kinds["Request.user"] == "person"


def test_every_member_becomes_a_column_with_the_value_that_was_sent(submit):
    prepared = submit(full())
    entry = (
        b'{"prev":"00","record":%b,"recorded_at":"2026-11-21T09:30:01.000000Z","seq":0,"submitter":"token:t","v":1}'
        % prepared.record
    )
    entries = pa.table(
        {
            "seq": pa.array([0], pa.uint64()),
            "hash": [bytes(32)],
            "entry": [entry.decode()],
            "contents": [[{"member": c.member, "value": c.value.decode()} for c in prepared.contents]],
        }
    )
    persons = pa.table(
        {
            "commitment": [p.commitment for p in {p.commitment: p for p in prepared.persons}.values()],
            "value": [p.value.decode() for p in {p.commitment: p for p in prepared.persons}.values()],
        }
    )
    with duckdb.connect() as connection:
        connection.register("entries", entries)
        connection.register("persons", persons)
        table = connection.execute(schema_text("projection.sql")).to_arrow_table()
    row = {name: table[name][0].as_py() for name in table.column_names if name not in {"time", "recorded_at"}}
    sent = msgspec.to_builtins(msgspec.json.decode(json.dumps(full()), type=dict))
    for member in MEMBERS:
        if member.path in {"time", "absent"}:
            continue
        expected = sent
        for name in member.path.split("."):
            expected = expected[name]
        found = row[column_name(member.path)]
        if member.kind == "content" or (member.type in {"list", "object"} and member.kind == "fact"):
            found = json.loads(found)
        assert found == expected, member.path
    assert row["facets_missing"] == []
    assert row["submitter"] == "token:t"
    assert Record.__struct_fields__
