"""How contents stand in the database: one text, in one spelling, read alike one by one and many at a time."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.records.prepared import Disclosed
from ledger.storage.contents import format_contents, parse_columns, parse_contents

values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)
contents = st.lists(
    st.builds(
        Disclosed,
        st.sampled_from(["tool.arguments", "request.text", "outcome.result"]),
        st.binary(min_size=16, max_size=16),
        values.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace")),
    ),
    max_size=4,
)


def by_row(columns):
    flat = list(zip(columns.members, columns.salts, columns.values, strict=True))
    return [
        [Disclosed(*item) for item in flat[low:high]]
        for low, high in zip(columns.ends, columns.ends[1:], strict=False)
    ]


@given(st.lists(contents, max_size=5))
def test_what_is_written_reads_back_byte_for_byte(rows):
    texts = [format_contents(row) for row in rows]
    assert [parse_contents(text.decode()) for text in texts] == rows
    assert by_row(parse_columns(texts)) == rows


GOOD = format_contents([Disclosed("tool.arguments", bytes(range(16)), b'{"a": 1}')]).decode()


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace(",", ", ", 1),
        GOOD + " ",
        "\n" + GOOD,
        GOOD.replace("0a", "0A"),
        GOOD.replace("0a0b", "0a 0b"),
        GOOD.replace("tool", "\\u0074ool"),
        GOOD.replace('"tool.arguments",', ""),
        GOOD[:-1],
        GOOD[:-1] + ",[]]",
        GOOD + "," + GOOD,
        "",
        "null",
        "{}",
        "[ ]",
        "[[]]",
    ],
)
def test_any_other_spelling_is_refused_by_both_ways_of_reading(text):
    with pytest.raises(ValueError, match=r"not|hex"):
        parse_contents(text)
    for beside in ([], [b"[]"], [GOOD.encode(), b"[]"]):
        with pytest.raises(ValueError, match=r"not|hex"):
            parse_columns([*beside, text.encode()])


@pytest.mark.parametrize("salt", ["", "00", "00" * 15, "00" * 17, "0" * 31])
def test_a_salt_of_another_length_is_refused_in_both_ways_of_reading(salt):
    text = f'[["tool.arguments","{salt}",1]]'
    with pytest.raises(ValueError):
        parse_contents(text)
    with pytest.raises(ValueError):
        parse_columns([text.encode()])
