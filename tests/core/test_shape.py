"""What a known shape matches is what the parser accepts, read in the same way; what it does not match the parser decides."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.canonical import dumps
from ledger.core.entry import GENESIS_PREV, MAX_ENTRY_BYTES, format_entry, parse_entry
from ledger.core.errors import FormatError
from ledger.core.shape import FREE_LESSONS, MAX_SHAPES, MET_BEFORE, Shapes

WANTED = (("id",), ("request.text", "tool.arguments"))
PREV = bytes(range(32))
RECORD = {
    "ext": {"a": None, "b": [True, -12, "x"], "c": {"d": []}},
    "id": "rec-1",
    "request": {"text": "0af9", "user": "Zoë"},
    "tool": {"amount": 17},
    "type": "action",
}
TIME = "2026-11-21T09:30:00.123456Z"

texts = st.text(max_size=6)
keys = st.sampled_from(["id", "type", "request", "text", "request.text", "ext", "log.x", "a-b", "z"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=10,
)
records = st.dictionaries(keys, values, max_size=5).map(lambda record: {"type": "action", **record})


def entry(
    record: Any = RECORD, seq: int = 7, prev: bytes = PREV, submitter: str = "token:t", **more: Any
) -> bytes:
    more = {"recorded_at": TIME, **more}
    return format_entry(prev=prev, record=dumps(record), seq=seq, submitter=submitter, **more)


def taught(*entries: bytes) -> Shapes:
    shapes = Shapes(*WANTED)
    for data in entries:
        for _ in range(MET_BEFORE):
            shapes.learn(data, parse_entry(data))
    return shapes


def agree(shapes: Shapes, data: bytes) -> bool:
    """Whether a shape was known; then the parser must say the same."""
    seen = shapes.read(data)
    if seen is None:
        return False
    parsed = parse_entry(data)  # raises when it is refused
    assert seen == shapes.seen(parsed)
    assert parsed.signature is None
    assert parsed.submitter != "log"
    assert not str(parsed.members["type"]).startswith("log.")
    assert not any(key.startswith("log.") for key in parsed.members.get("ext", {}))  # type: ignore[union-attr]
    return True


def other(value: Any, draw: st.DataObject) -> Any:
    """A value of the same shape."""
    if isinstance(value, dict):
        return {key: other(member, draw) for key, member in value.items()}
    if isinstance(value, list):
        return [other(item, draw) for item in value]
    if isinstance(value, str):
        return draw.draw(texts)
    if isinstance(value, bool):
        return draw.draw(st.booleans())
    return None if value is None else draw.draw(st.integers(-(2**53) + 1, 2**53 - 1))


def test_entries_of_a_shape_are_known_once_it_was_met_often_enough():
    shapes = Shapes(*WANTED)
    data = entry()
    for _ in range(MET_BEFORE):
        assert not agree(shapes, data)
        shapes.learn(data, parse_entry(data))
    assert agree(shapes, data)
    changed = {
        **RECORD,
        "id": "",
        "tool": {"amount": -(10**15) + 1},
        "request": {"text": "1", "user": "x" * 500},
    }
    assert agree(shapes, entry(changed, seq=10**15 - 1, prev=bytes(31) + b"\1", submitter="💚"))


def test_what_is_asked_for_is_told():
    seen = taught(entry()).read(entry())
    assert seen is not None
    assert seen.told == ((("id",), ("rec-1",)), (("request.text",), ("0af9",)))
    assert (seen.seq, seen.recorded_at, seen.submitter, seen.signer) == (7, TIME, "token:t", None)


def test_a_key_with_a_dot_is_not_taken_for_a_member_of_a_facet():
    data = entry({"request.text": "other", "type": "action"})
    seen = taught(data).read(data)
    assert seen is not None
    assert seen.told == (((), ()), ((), ()))


@given(records, st.data())
def test_whatever_the_record_the_parser_says_the_same(record: dict, draw: st.DataObject):
    data = entry(record)
    shapes = taught(data)
    agree(shapes, data)
    agree(shapes, entry(other(record, draw), seq=draw.draw(st.integers(1, 2**53 - 1))))


@settings(max_examples=300)
@given(records, st.data())
def test_mutated_bytes_of_a_known_shape_are_known_only_where_the_parser_accepts_them(
    record: dict, draw: st.DataObject
):
    data = bytearray(entry(record))
    shapes = taught(bytes(data))
    for _ in range(draw.draw(st.integers(1, 3))):
        at = draw.draw(st.integers(0, len(data) - 1))
        cut = draw.draw(st.integers(0, 2))
        data[at : at + cut] = draw.draw(
            st.binary(max_size=2) | st.sampled_from([b'"', b"\\", b" ", b"-0", b"1.0"])
        )
    agree(shapes, bytes(data))


def test_every_byte_changed_or_taken_out_or_put_in_is_judged_as_the_parser_judges_it():
    data = entry()
    shapes = taught(data)
    known = 0
    for at in range(len(data)):
        for cut, bytes_ in ((0, b'"\\ 0-.e\0\x1f\x7f\x80\xff,:{}[]log\n'), (1, range(256))):
            for byte in bytes_:
                known += agree(shapes, data[:at] + bytes([byte]) + data[at + cut :])
        known += agree(shapes, data[:at] + data[at + 1 :])
    assert known > len(data)


@pytest.mark.parametrize(
    "text",
    [
        b'"amount":-0',
        b'"amount":01',
        b'"amount":1.0',
        b'"amount":1e3',
        b'"amount":9007199254740993',
        b'"amount":true',
        b'"amount":"17"',
        b'"amount": 17',
        b'"amount":17,"amount":17',
        b'"amount":NaN',
    ],
)
def test_a_number_that_is_not_plain_is_left_to_the_parser(text: bytes):
    data = entry()
    assert not agree(taught(data), data.replace(b'"amount":17', text))


@pytest.mark.parametrize(
    "more",
    [
        {"submitter": "log"},
        {"record": {**RECORD, "type": "log.created"}},
        {"record": {**RECORD, "ext": {**RECORD["ext"], "log.x": 1}}},
        {"signature": ("k", "A" * 86 + "==")},
        {"recorded_at": "2026-13-21T09:30:00.123456Z"},
        {"seq": 10**15},
        {"submitter": 'a"b'},
    ],
)
def test_what_is_not_common_is_left_to_the_parser(more: dict):
    shapes = taught(entry())
    data = entry(**more)
    assert shapes.read(data) is None
    try:
        for _ in range(MET_BEFORE):
            shapes.learn(data, parse_entry(data))
    except FormatError:
        return
    assert not agree(shapes, data) or more == {"seq": 10**15}


def test_only_entry_0_begins_with_zeros():
    shapes = taught(entry())
    assert shapes.read(entry(prev=GENESIS_PREV)) is None
    assert shapes.read(entry(seq=0)) is None
    assert shapes.read(entry(seq=0, prev=GENESIS_PREV)) is None


def test_an_entry_that_is_too_long_is_left_to_the_parser():
    shapes = taught(entry())
    room = MAX_ENTRY_BYTES - len(entry({**RECORD, "id": ""}))
    assert agree(shapes, entry({**RECORD, "id": "x" * room}))
    long = entry({**RECORD, "id": "x" * room}).replace(b'"id":"x', b'"id":"xx')
    assert shapes.read(long) is None


def test_a_member_asked_for_that_is_not_text_makes_no_shape():
    for value in ({"a": 1}, ["a"], 1, None, True):
        data = entry({"id": value, "type": "action"})
        assert taught(data).read(data) is None


def test_however_many_shapes_there_are_few_are_kept_and_learning_ends():
    shapes, kept = Shapes(*WANTED), []
    for number in range(FREE_LESSONS + MET_BEFORE):
        data = entry({f"k{number // MET_BEFORE:05d}": 1, "type": "action"})
        shapes.learn(data, parse_entry(data))
        kept.append(sum(map(len, shapes._known.values())))
    assert 0 < max(kept) <= MAX_SHAPES
    assert taught(entry()).read(entry()) is not None
    for _ in range(MET_BEFORE):
        shapes.learn(entry(), parse_entry(entry()))
    assert shapes.read(entry()) is None
