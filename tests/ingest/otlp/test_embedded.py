import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.ingest.otlp.embedded import arguments, structure

PATH = {"path": "/data/q3.csv"}
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)  # fmt: skip


@pytest.mark.parametrize(
    "sent",
    [
        PATH,
        '{"path": "/data/q3.csv"}',
        ' {"path":"/data/q3.csv"} ',
        "{'path': '/data/q3.csv'}",
        json.dumps(json.dumps(PATH)),
    ],
)
def test_arguments_are_one_value_however_a_library_writes_them(sent):
    assert arguments(sent) == PATH


@pytest.mark.parametrize(
    "bare", ["/data/q3.csv", "", "42", 42, True, None, '"quoted"', "{not json", "[", "{'a': open('x')}"]
)
def test_a_bare_value_stays_bare(bare):
    assert arguments(bare) == bare


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.lists(JSON_VALUES), st.dictionaries(st.text(), JSON_VALUES)))
def test_json_and_pythons_repr_of_a_value_are_that_value(value):
    assert structure(json.dumps(value)) == value
    assert structure(repr(value)) == value


@pytest.mark.parametrize(
    "twice",
    ['{"path": "/a", "path": "/b"}', "{'path': '/a', 'path': '/b'}", '{"x": {"path": "/a", "path": "/b"}}'],
)
def test_arguments_with_a_key_twice_stay_text_for_nobody_knows_which_one_ran(twice):
    assert arguments(twice) == twice


@pytest.mark.parametrize("value", ["{'a', 'b'}", "{1: 'a'}", "['a', ('b',)]", "{'a': 1j}", "{'a': b'x'}"])
def test_what_json_has_no_word_for_stays_text(value):
    assert structure(value) == value


def test_a_number_that_is_none_is_named():
    assert structure('{"a": NaN, "b": [Infinity]}') == {"a": "NaN", "b": ["Infinity"]}


@pytest.mark.parametrize("piece", ["'", "\\'", "''", "{'a':", "[1,", "\\", "'\\x41'", "NaN", "1+"])
def test_reading_takes_no_longer_than_the_text_is_long(piece):
    text = "{" + piece * (200_000 // len(piece))
    started = time.perf_counter()
    structure(text)
    assert time.perf_counter() - started < 2
