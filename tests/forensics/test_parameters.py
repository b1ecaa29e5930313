"""Typed values from JSON, and through the pipe."""

import json
from datetime import UTC, date, datetime

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.forensics.parameters import MAX_ITEMS, MAX_PARAMETERS, from_wire, parse_parameters, to_wire

GOOD = [
    ("x", "x"),
    (1, 1),
    (-(2**63), -(2**63)),
    (1.5, 1.5),
    (True, True),
    (None, None),
    ([], []),
    (["a", None, "b"], ["a", None, "b"]),
    ([1, 2.5], [1.0, 2.5]),
    ([True, False], [True, False]),
    ({"type": "text", "value": "=x"}, "=x"),
    ({"type": "integer", "value": 7}, 7),
    ({"type": "integer", "value": "9223372036854775807"}, 2**63 - 1),
    ({"type": "integer", "value": None}, None),
    ({"type": "double", "value": 1}, 1.0),
    ({"type": "boolean", "value": False}, False),
    ({"type": "timestamp", "value": "2026-11-21T10:30:00.5+01:00"}, datetime(2026, 11, 21, 9, 30, 0, 500000, UTC)),
    ({"type": "timestamp", "value": "2026-11-21"}, datetime(2026, 11, 21, tzinfo=UTC)),
    ({"type": "date", "value": "2026-02-28"}, date(2026, 2, 28)),
    ({"type": "text[]", "value": ["a", None]}, ["a", None]),
    ({"type": "date[]", "value": ["2026-02-28"]}, [date(2026, 2, 28)]),
    ({"type": "timestamp[]", "value": ["2026-11-21T09:30:00Z"]}, [datetime(2026, 11, 21, 9, 30, tzinfo=UTC)]),
]  # fmt: skip


@pytest.mark.parametrize(("given", "meant"), GOOD)
def test_a_value_is_what_its_type_says_and_survives_the_pipe(given, meant):
    parsed = parse_parameters({"p": given})["p"]
    assert (parsed, type(parsed)) == (meant, type(meant))
    assert from_wire(json.loads(json.dumps(to_wire(parsed)))) == meant


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"type": "integer", "value": "1.0"}, "integer"),
        ({"type": "integer", "value": True}, "integer"),
        ({"type": "integer", "value": 2**63}, "integer"),
        ({"type": "double", "value": "1"}, "number"),
        ({"type": "double", "value": float("inf")}, "number"),
        ({"type": "boolean", "value": 0}, "true or false"),
        ({"type": "text", "value": 1}, "text"),
        ({"type": "timestamp", "value": "2026-11-21T09:30:00"}, "2026-11-21T09:30:00Z"),
        ({"type": "timestamp", "value": "2026-13-21T09:30:00Z"}, "a time like"),
        ({"type": "timestamp", "value": "0001-01-01T00:00:00+23:59"}, "a time like"),
        ({"type": "timestamp", "value": 1}, "a time like"),
        ({"type": "date", "value": "2026-02-30"}, "a day"),
        ({"type": "text[]", "value": "a"}, "a list"),
        ({"type": "text[]", "value": [1]}, "a list"),
        ({"type": "text[][]", "value": []}, "has the type"),
        ({"type": "blob", "value": ""}, "there are text, integer"),
        ({"type": ["text"], "value": ""}, "an object"),
        ({"value": 1}, "an object"),
        ({"type": "text", "value": "", "more": 1}, "an object"),
        ([1, "a"], "mixes"),
        ([[1]], "mixes"),
        ([{"type": "text", "value": "a"}], "mixes"),
        ([True, 1], "mixes"),
        (["a"] * (MAX_ITEMS + 1), "at most"),
        (2**63, "64 bits"),
        (float("nan"), "finite"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused_with_its_name_and_what_would_do(given, words):
    with pytest.raises(LedgerError) as refusal:
        parse_parameters({"p": given})
    assert (refusal.value.code, refusal.value.path) == (Code.INVALID_PARAMETER, "parameters.p")
    assert words in refusal.value.detail


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", "a\n", "é", "a" * 64])
def test_a_name_that_sql_could_not_say_is_refused(name):
    with pytest.raises(LedgerError, match="name"):
        parse_parameters({name: 1})


def test_too_many_parameters_are_refused():
    with pytest.raises(LedgerError, match="at most"):
        parse_parameters({f"p{n}": n for n in range(MAX_PARAMETERS + 1)})
