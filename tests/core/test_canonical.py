"""Canonical JSON against two other encoders, and threats 24 to 29."""

import json
import time

import msgspec
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core import canonical
from ledger.core.errors import Code, FormatError, LedgerError

MAX = 2**53 - 1
SORTED = msgspec.json.Encoder(order="sorted")
AWKWARD = [
    *range(0x180),
    *(
        0x2028,
        0x2029,
        0x202E,
        0x200B,
        0x00AD,
        0x0301,
        0x030A,
        0x212B,
        0x20AC,
        0xFB33,
        0xFEFF,
        0xFFFD,
        0xFFFE,
        0xFFFF,
    ),
    *(0xD7FF, 0xE000, 0x10000, 0x1F602, 0x1FFFE, 0x10FFFE, 0x10FFFF),
]

texts = st.text(max_size=12)
keys = st.text("abcXYZ019_.:/-", min_size=1, max_size=6)
scalars = st.none() | st.booleans() | st.integers(-MAX, MAX) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def depth(value: object) -> int:
    if isinstance(value, dict | list):
        children = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, children), default=0)
    return 0


def refusal_of(data: bytes) -> FormatError:
    """What both readers say. The strict one must refuse for the same reason."""
    with pytest.raises(FormatError) as loose:
        canonical.loads(data)
    with pytest.raises(FormatError) as strict:
        canonical.parse_canonical(data)
    assert (strict.value.code, strict.value.path) == (loose.value.code, loose.value.path)
    return loose.value


# ---- the judges


@pytest.mark.parametrize("code_point", AWKWARD, ids=hex)
def test_every_code_point_is_written_as_rfc8785_and_msgspec_write_it(code_point):
    for value in (chr(code_point), f"a{chr(code_point)}b", [chr(code_point) * 2]):
        data = canonical.dumps(value)
        assert data == rfc8785.dumps(value) == SORTED.encode(value)
        assert canonical.parse_canonical(data) == value


@given(values.filter(lambda value: depth(value) <= 16))
def test_every_value_is_written_as_rfc8785_and_msgspec_write_it_and_reads_back(value):
    data = canonical.dumps(value)
    assert data == rfc8785.dumps(value) == SORTED.encode(value)
    assert canonical.parse_canonical(data) == value
    assert canonical.dumps(canonical.loads(data)) == data


@st.composite
def json_texts(draw, level: int = 0) -> str:
    """JSON that is nearly canonical: now and then a space, an escape, a wrong order, a duplicate, a bad number."""

    def space() -> str:
        return draw(st.sampled_from(["", "", "", "", "", " ", "\n", "\t", "\r"]))

    def string() -> str:
        return '"' + "".join(draw(st.lists(st.sampled_from(STRING_PIECES), max_size=3))) + '"'

    kind = draw(st.sampled_from(["object", "object", "array", "string", "other"]))
    if kind == "object" and level < 3:
        names = draw(st.lists(st.sampled_from(KEY_PIECES), max_size=4))
        if draw(st.integers(0, 3)):
            names = sorted(set(names))
        parts = [f'{space()}"{name}"{space()}:{space()}{draw(json_texts(level + 1))}' for name in names]
        return "{" + ",".join(parts) + space() + "}"
    if kind == "array" and level < 3:
        return "[" + ",".join(draw(st.lists(json_texts(level + 1), max_size=3))) + space() + "]"
    return string() if kind in ("object", "array", "string") else draw(st.sampled_from(OTHER_PIECES))


STRING_PIECES = [
    "a",
    "é",
    ":",
    ",",
    "{",
    " ",
    "😀",
    "\x7f",
    "\\n",
    "\\u000a",
    "\\u0061",
    "\\/",
    '\\"',
    "\\\\",
    "\n",
    "\\ud800",
]
KEY_PIECES = ["a", "b", "A", "z.y", "a:", ":", "\\u0061", "é", " ", "", "k" * 128, "k" * 129]
OTHER_PIECES = [
    "0",
    "-0",
    "17",
    "-1",
    str(MAX),
    str(-MAX),
    str(MAX + 1),
    str(-MAX - 1),
    "1.0",
    "1e2",
    "true",
    "null",
    "NaN",
]


def is_canonical(data: bytes) -> bool:
    """The slow definition: strict parse, key by key, and the same bytes from `rfc8785`."""

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in pairs}) != len(pairs) or not all(
            1 <= len(key) <= 128 and set(key) <= KEY_ALPHABET for key, _ in pairs
        ):
            raise ValueError(pairs)
        return dict(pairs)

    def no(text: str) -> None:
        raise ValueError(text)

    try:
        value = json.loads(data.decode(), object_pairs_hook=members, parse_float=no, parse_constant=no)
        return rfc8785.dumps(value) == data
    except (ValueError, rfc8785.CanonicalizationError):
        return False


KEY_ALPHABET = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:/-")


@settings(max_examples=500)
@given(json_texts())
def test_what_is_accepted_is_exactly_what_the_slow_definition_accepts(text):
    """Threat 29: canon(parse(x)) == x for every accepted x, and nothing else is accepted."""
    data = text.encode()
    try:
        value = canonical.parse_canonical(data)
    except FormatError:
        assert not is_canonical(data)
    else:
        assert is_canonical(data)
        assert canonical.dumps(value) == data == rfc8785.dumps(value)


@given(values, st.data())
def test_one_byte_more_less_or_other_is_refused_or_reads_as_another_value(value, data):
    good = canonical.dumps(value)
    at = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.binary(min_size=0, max_size=2))
    changed = good[:at] + byte + good[at + 1 :]
    try:
        read = canonical.parse_canonical(changed)
    except FormatError:
        return
    assert canonical.dumps(read) == changed


def test_records_with_spaces_escapes_and_colons_in_strings_are_canonical_too():
    for value in ({"a": ":"}, {"a": '":"'}, {"a": " b "}, {"a": ":b", "c": ["a\\", "\n", ":"]}, {":": ":"}):
        assert canonical.parse_canonical(canonical.dumps(value)) == value


# ---- threat 24: duplicate keys


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ('{"a":1,"a":2}', "a"),
        ('{"a":1,"a":1}', "a"),
        ('{"a":1,"\\u0061":2}', "a"),
        ('{"x":{"y":[{"z":{"a":1,"b":2,"a":3}}]}}', "x.y[0].z.a"),
        ('{"a":":","a":":"}', "a"),
        ('{"a":{},"a":{}}', "a"),
    ],
)
def test_duplicate_keys_are_refused_with_their_path(text, path):
    refusal = refusal_of(text.encode())
    assert (refusal.code, refusal.path) == (Code.DUPLICATE_KEY, path)


def test_a_duplicate_hidden_by_a_string_that_looks_like_a_key_is_refused():
    """The fast way counts `":`: a value that begins with a colon must not make up for a key that was dropped."""
    for text in ('{"a":":1","a":2}', '{"a":1,"a":":"}', '{"a":[":"],"a":":"}'):
        assert refusal_of(text.encode()).code == Code.DUPLICATE_KEY


# ---- threats 25 and 26: Unicode


def test_strings_are_never_normalized():
    nfc, nfd = "\u00e9", "e\u0301"
    data = canonical.dumps([nfc, nfd])
    assert data == b'["\xc3\xa9","e\xcc\x81"]'
    assert canonical.parse_canonical(data) == [nfc, nfd]
    assert canonical.parse_canonical(canonical.dumps("\u202e")) == "\u202e"


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("é", "\\xe9"),
        ("e\u0301", "\\u0301"),
        ("", "''"),
        ("a b", "a b"),
        ("a" * 129, "aaa"),
        ("\x00", "\\x00"),
    ],
)
def test_keys_outside_the_alphabet_are_refused(key, shown):
    refusal = refusal_of(json.dumps({"x": {key: 1}}, ensure_ascii=False, separators=(",", ":")).encode())
    assert (refusal.code, refusal.path) == (Code.INVALID_KEY, "x")
    assert shown in refusal.detail
    with pytest.raises(LedgerError):
        canonical.dumps({key: 1})


@pytest.mark.parametrize("text", [r'"\ud800"', r'"\udfff"', r'"\udc00\ud800"', r'["a",{"b":"\ud83d"}]'])
def test_lone_surrogates_are_refused_in_values(text):
    assert refusal_of(text.encode()).code == Code.INVALID_TEXT


def test_lone_surrogates_are_refused_in_keys():
    assert refusal_of(rb'{"\ud800":1}').code == Code.INVALID_KEY


@pytest.mark.parametrize(
    "data",
    [
        b'"\xff"',
        b'"\xc0\xaf"',  # overlong slash
        b'"\xe0\x80\xaf"',
        b'"\xed\xa0\x80"',  # CESU-8: a surrogate on its own
        b'"\xed\xa0\xbd\xed\xb8\x82"',  # CESU-8: a pair
        b'"\xf4\x90\x80\x80"',  # beyond U+10FFFF
        b'"\xe2\x82',  # cut off
        '"a"'.encode("utf-16"),
    ],
)
def test_bytes_that_are_not_utf_8_are_refused_with_their_position(data):
    refusal = refusal_of(data)
    assert refusal.code == Code.INVALID_TEXT
    assert isinstance(refusal.members["position"], int)


def test_a_byte_order_mark_is_refused():
    assert refusal_of(b"\xef\xbb\xbf{}").code == Code.MALFORMED_JSON


# ---- threat 27: numbers


NUMBERS = ["1.0", "1e2", "1E400", "-1e-7", "0.1", "-0", "-0.0", "NaN", "Infinity", "-Infinity"]
BIG_NUMBERS = [str(MAX + 1), str(-MAX - 1), "9" * 17, "9" * 5000, "-" + "9" * 5000, "1" + "0" * 1_000_000]


@pytest.mark.parametrize("number", NUMBERS + BIG_NUMBERS, ids=lambda number: number[:20])
def test_numbers_outside_the_narrowed_form_are_refused_with_their_path(number):
    started = time.monotonic()
    refusal = refusal_of(f'{{"a":[0,{number}]}}'.encode())
    assert (refusal.code, refusal.path) == (Code.INVALID_NUMBER, "a[1]")
    assert len(refusal.detail) < 250
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("text", ["01", "+1", "1.", ".5", "0x10", "1_000", "\u0661", "--1", "1a"])
def test_text_that_is_no_json_number_is_refused(text):
    assert refusal_of(f"[{text}]".encode()).code == Code.MALFORMED_JSON


@pytest.mark.parametrize("number", [0, 1, -1, MAX, -MAX, 2**31, -(2**31)])
def test_integers_within_53_bits_are_kept(number):
    assert canonical.dumps(number) == str(number).encode()
    assert canonical.parse_canonical(str(number).encode()) == number


# ---- threat 28: depth


def test_depth_16_is_accepted_and_17_refused_with_its_path():
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        inner = "0" if opening != "[" else ""
        assert canonical.parse_canonical((opening * 16 + inner + closing * 16).encode()) is not None
        refusal = refusal_of((opening * 17 + inner + closing * 17).encode())
        assert refusal.code == Code.TOO_DEEP
        assert refusal.path


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_a_hundred_thousand_brackets_are_refused_at_once(opening):
    data = opening.encode() * 100_000
    started = time.monotonic()
    assert refusal_of(data).code in (Code.TOO_DEEP, Code.MALFORMED_JSON)
    assert time.monotonic() - started < 0.1


# ---- what else is refused


SPACED = ['{"a": 1}', '{"a":1} ', ' {"a":1}', "[1,\n2]", '{"a":1}\n', "[\t]", "[\r]", "{ }"]
UNSORTED = ['{"b":1,"a":2}', '{"A":1,"a":2,"B":3}', '[{"a":{"c":":","b":1}}]']
ESCAPED = [
    '["\\u0061"]',
    '["\\/"]',
    '"\\u000a"',
    '["\\u001F"]',
    '["\\u00e9"]',
    '"\\ud83d\\ude02"',
    '{"\\u0061":1}',
]


@pytest.mark.parametrize("text", SPACED + UNSORTED + ESCAPED)
def test_json_that_is_not_canonical_is_read_by_loads_alone(text):
    canonical.loads(text.encode())
    with pytest.raises(FormatError) as refusal:
        canonical.parse_canonical(text.encode())
    assert refusal.value.code == Code.NOT_CANONICAL


@pytest.mark.parametrize(
    "text", ["", " ", "{", '{"a":1', "{a:1}", "{'a':1}", "[1,]", '{"a":1,}', "nul", "1 2", '"\n"', "[1]]"]
)
def test_text_that_is_not_json_is_refused_with_its_position(text):
    refusal = refusal_of(text.encode())
    assert refusal.code == Code.MALFORMED_JSON
    assert isinstance(refusal.members["position"], int)


@pytest.mark.parametrize(
    "value",
    [1.0, float("nan"), b"", {1: 2}, {None: 1}, {True: 1}, (1,), {"a": {1}}, MAX + 1, "\ud800", object()],
)
def test_a_value_without_canonical_form_is_refused_with_its_path(value):
    for path, around in (("a", {"a": value}), ("a[1]", {"a": [0, value]})):
        with pytest.raises(LedgerError) as refusal:
            canonical.dumps(around)
        assert refusal.value.code == Code.INVALID_MEMBER
        assert refusal.value.path is not None
        assert refusal.value.path.startswith(path)


def test_the_memory_of_good_keys_stays_bounded_whatever_comes_in():
    for index in range(3000):
        canonical.parse_canonical(b'{"k%d":1}' % index)
    canonical.parse_canonical(canonical.dumps({f"k{index}": index for index in range(100)}))
    assert len(canonical._GOOD_SHAPES) <= canonical._MAX_SHAPES
    assert all(len(shape) <= canonical._MAX_SHAPE_KEYS for shape in canonical._GOOD_SHAPES)
