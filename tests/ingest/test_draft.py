import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import Code, LedgerError
from ledger.ingest.draft import Draft, content, count, fact, person, record_id, time_text
from ledger.records.limits import MAX_CONTENT_BYTES
from ledger.records.prepare import prepare
from ledger.records.prepared import Person
from ledger.records.secrets import mask, refuse_secrets

ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary()
    | st.text()
    | st.characters(codec=None),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


class Persons:
    def person(self, value):
        return Person("a" * 64, b"s" * 16, value, "log")


def prepared(data, **options):
    return prepare(
        data, submitter="token:t", persons=Persons(), origin="o", agent_key=lambda _: None, **options
    )


@given(ANY, ANY, ANY, ANY, ANY)
def test_a_draft_of_any_values_is_a_record_that_is_taken(name, user, tokens, arguments, ext):
    draft = Draft("action", 0, record_id("otlp", "token:t", "x"))
    draft.put("tool.name", name).person("request.user", user).count("outcome.duration_ns", tokens)
    draft.content("tool.arguments", arguments).ext("otel.scope", ext)
    item = prepared(draft.bytes(), reserved_ids=True)
    for disclosed in item.contents:
        json.loads(disclosed.value)


def test_ids_of_dialects_are_refused_from_everybody_else():
    record = Draft("action", 0, record_id("otlp", "token:t", "x")).bytes()
    with pytest.raises(LedgerError) as refused:
        prepared(record)
    assert refused.value.code == Code.RESERVED_NAME
    sealed = b'{"record":%b}' % record
    with pytest.raises(LedgerError) as refused:
        prepared(sealed, reserved_ids=True)
    assert refused.value.code == Code.RESERVED_NAME


def test_an_id_depends_on_each_part_and_where_it_ends():
    ids = {
        record_id("otlp", "a", "bc"),
        record_id("otlp", "ab", "c"),
        record_id("otlp", "a", "b", "c"),
        record_id("k8s", "a", "bc"),
    }
    assert len(ids) == 4
    assert record_id("otlp", "a", "bc") in ids


@pytest.mark.parametrize(
    ("unix_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000000Z"),
        (1_795_248_000_123_456_789, "2026-11-21T08:00:00.123456789Z"),
        (-5, "1970-01-01T00:00:00.000000000Z"),
        (2**64, "2554-07-21T23:34:33.709551616Z"),
        (2**80, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_times_are_told_to_the_nanosecond_and_stay_within_what_a_record_holds(unix_ns, text):
    assert time_text(unix_ns) == text


def test_a_fact_is_one_bounded_line_without_secrets():
    assert fact(" read\nfile\x00 ") == "read file"
    assert fact("x" * 5_000) == "x" * 999 + "…"
    assert fact(True) == "true"
    assert fact(2**70) == str(2**70)
    assert fact("") is fact("\n") is fact(None) is fact([1]) is fact(1.5) is None
    key = "sk-" + "a" * 30
    assert fact(f"call with {key}") == "call with [masked: an API key]"


@given(st.text())
def test_what_is_masked_is_never_refused_for_a_secret(text):
    key = "AKIA" + "A" * 16
    refuse_secrets(json.dumps({"tool": {"name": mask(f"{text} {key} Bearer {'a' * 30} {text}")}}).encode())


def test_numbers_are_counts_however_they_are_sent_and_nothing_else_is():
    assert [count(value) for value in (3, "3", 3.0, 0)] == [3, 3, 3, 0]
    assert [count(value) for value in (-1, True, "x", 1.5, 2**60, float("nan"), float("inf"), None, "٣")] == [
        None
    ] * 9


def test_a_content_says_everything_that_json_cannot():
    assert json.loads(content({"n": float("nan"), "big": 2**60, "b": b"\x00\xff", "s": "\ud800", 1: (2,)})) == {
        "n": "nan", "big": str(2**60), "b": {"base64": "AP8="}, "s": "?", "1": [2],
    }  # fmt: skip
    deep: list = []
    for _ in range(sys.getrecursionlimit() * 2):
        deep = [deep]
    assert len(content(deep)) < 5_000


def test_a_content_too_large_to_keep_says_how_large_it_was():
    assert json.loads(content("x" * MAX_CONTENT_BYTES)) == {
        "ledger.too_large": {"bytes": MAX_CONTENT_BYTES + 2}
    }


def test_a_person_is_named_as_sent_or_not_at_all():
    assert person("alice@example.com") == "alice@example.com"
    assert person(42) == "42"
    assert person("") is person("x" * 513) is person(["a"]) is person(True) is None
