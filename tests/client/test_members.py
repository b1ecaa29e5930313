"""What an agent's code passes on is recorded, whatever it is; what the code decides is checked where it is written."""

import dataclasses
import datetime as dt
import enum
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.client.members import cleaned, content_of
from ledger.core.errors import FormatError
from ledger.records.check import check_record, decode_record
from ledger.records.commit import commit_contents
from ledger.records.secrets import refuse_secrets


@dataclasses.dataclass
class Point:
    x: int
    y: "Point | None" = None


class Colour(enum.Enum):
    RED = "red"


class Struct(msgspec.Struct):
    name: str


class Model:
    """As pydantic's models are asked for what they hold."""

    def model_dump(self):
        return {"kind": Colour.RED, "at": dt.date(2026, 11, 21)}


class Hostile:
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Colour.RED, "red"),
        (Struct("n"), {"name": "n"}),
        (Model(), {"kind": "red", "at": "2026-11-21"}),
        ({1: (2, 3), "s": frozenset({4})}, {"1": [2, 3], "s": [4]}),
        (b"\x00\xff", {"base64": "AP8="}),
        (math.inf, "inf"),
        (2**60, str(2**60)),
        ("\ud800", "?"),
        (Hostile(), "<Hostile>"),
        ("a" * 2_000_000, {"ledger.too_large": {"bytes": 2_000_002}}),
    ],
)
def test_an_object_is_kept_by_what_it_holds(value, kept):
    assert json.loads(content_of(value)) == kept


def test_an_object_that_holds_itself_ends():
    around: list = []
    around += [around, around]
    assert json.loads(content_of(around)) == {"ledger.too_large": {"values": 100_000}}
    deep: list = []
    for _ in range(200):
        deep = [deep]
    assert b"ledger.too_deep" in content_of(deep)


def test_a_content_is_as_it_was_when_it_was_given():
    arguments = {"to": ["ann"]}
    made = cleaned({"type": "action.intent", "tool": {"arguments": arguments}})
    arguments["to"].append("eve")
    assert bytes(made["tool"]["arguments"]) == b'{"to":["ann"]}'


@pytest.mark.parametrize(
    ("record", "path"),
    [
        ({"tool": {"nme": "x"}}, "tool.nme"),
        ({"tools": {"name": "x"}}, "tools"),
        ({"tool": "x"}, "tool"),
        ({"tool": {"effect": "destroy"}}, "tool.effect"),
        ({"outcome": {"duration_ns": -1}}, "outcome.duration_ns"),
        ({"request": {"user": ""}}, "request.user"),
        ({"request": {"user": ["ann"]}}, "request.user"),
    ],
)
def test_a_mistake_is_named_where_it_is_made(record, path):
    with pytest.raises(FormatError) as error:
        cleaned({"type": "note", **record})
    assert error.value.path == path


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    name=st.text(st.characters()), value=JSON, extra=JSON, actors=st.lists(st.text(min_size=1), max_size=3)
)
def test_whatever_is_passed_on_the_ledger_takes_it(name, value, extra, actors):
    made = cleaned(
        {
            "type": "action.intent",
            "time": "2026-11-21T09:30:00Z",
            "id": "x",
            "tool": {"name": name, "arguments": value},
            "resource": {"name": "sk-" + "a" * 40, "id": name},
            "outcome": {"result": value, "error_type": name},
            "trace": {"derived_from": actors},
            "ext": {"com.example.x": extra},
        }
    )
    made = {key: member for key, member in made.items() if member not in ({}, [], "")}
    record = decode_record(msgspec.json.encode(made))
    check_record(record, require_facets=False)
    commit_contents(record)
    refuse_secrets(msgspec.json.encode(record))


def test_facts_that_are_nested_too_deeply_are_cut_where_the_ledger_would_refuse_them():
    deep: object = "x"
    for _ in range(40):
        deep = {"a": [deep]}
    made = cleaned({"type": "note", "time": "2026-11-21T09:30:00Z", "ext": {"com.example.x": deep}})
    record = decode_record(msgspec.json.encode(made))
    check_record(record, require_facets=False)
    assert "…".encode() in bytes(record.ext)
