"""What the command line takes for records."""

import io
import json

import pytest

from ledger.cli.exits import CommandError
from ledger.cli.posting import batches
from ledger.cli.reading import parse_assignment, record_of, records_in


def read(text: bytes) -> list[bytes]:
    return list(records_in(io.BytesIO(text), "here"))


@pytest.mark.parametrize(
    ("text", "records"),
    [
        (b"", []),
        (b"\n \n", []),
        (b'{"a":1}', [b'{"a":1}']),
        (b'{"a":1}\n\n{"b": 2}\n', [b'{"a":1}', b'{"b": 2}']),
        (b'{\n "a": 1\n}\n', [b'{\n "a": 1\n}']),
        (b'[{"a":1.50}, {"b" : 2}]', [b'{"a":1.50}', b'{"b" : 2}']),
        (b'[\n{"a":1},\n{"b":2}\n]\n', [b'{"a":1}', b'{"b":2}']),
        (b"[]", []),
        (b"nonsense", [b"nonsense"]),
    ],
)
def test_records_are_cut_apart_and_stay_the_bytes_they_are(text, records):
    assert read(text) == records


def test_an_array_that_does_not_parse_is_named_by_its_file():
    with pytest.raises(CommandError, match="here: not a JSON array"):
        read(b'[{"a":1},')


def test_a_record_of_fields_is_an_action_of_now_and_keeps_dots_below_ext():
    record = json.loads(
        record_of(
            [
                "tool.name=pay",
                'tool.arguments:={"to": "x=y"}',
                "tool.facts.amount_minor:=5",
                "ext.com.example.n=1",
            ]
        )
    )
    assert record.pop("time").endswith("Z")
    assert record == {
        "type": "action",
        "tool": {"name": "pay", "arguments": {"to": "x=y"}, "facts": {"amount_minor": 5}},
        "ext": {"com.example.n": "1"},
    }


@pytest.mark.parametrize("text", ["name", "=value", ":=1", "a:=nonsense"])
def test_an_assignment_that_is_none_is_refused(text):
    with pytest.raises(CommandError, match="--param"):
        parse_assignment(text, "--param")


def test_a_field_below_a_text_is_refused():
    with pytest.raises(CommandError, match="has a value of its own"):
        record_of(["tool=x", "tool.name=y"])


def test_batches_are_bounded_by_number_and_by_bytes_and_keep_the_order():
    records = [b"x" * size for size in (1, 1, 1, 9, 9, 30, 1)]
    assert [list(map(len, batch)) for batch in batches(records, limit=2, limit_bytes=10)] == [
        [1, 1],
        [1, 9],
        [9],
        [30],
        [1],
    ]
