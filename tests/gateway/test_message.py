"""No message means one thing to the gateway and another to a server.

The oracle is a set of servers' readings, each as careless as some real JSON library: if any of them sees a call in what the gateway
lets pass, the gateway must have seen the same call.
"""

import contextlib
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.gateway.message import ARRANGING, TELLING, Refused, answers, parse_client

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "pay", "arguments": {"a": 1}}}


# ---- how servers may read


def last_wins(text):
    return json.loads(text)


def first_wins(text):
    return json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))


def any_case(text):
    return json.loads(text, object_pairs_hook=lambda pairs: {key.casefold(): value for key, value in pairs})


def ends_at_nul(text):
    return json.loads(
        text, object_pairs_hook=lambda pairs: {key.split("\0")[0]: value for key, value in pairs}
    )


def no_byte_order_mark(text):
    return json.loads(text.removeprefix("\ufeff"))


READINGS = (last_wins, first_wins, any_case, ends_at_nul, no_byte_order_mark)


def seen(value):
    """The calls in what a server read: method and name, as forgiving as a server might be."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and isinstance(item.get("method"), str):
            method = item["method"].strip().casefold()
            params = item.get("params")
            if method in {"tools/call", "resources/read", "prompts/get"}:
                yield method, params.get("name", params.get("uri")) if isinstance(params, dict) else None


def seen_by_servers(data):
    for line in io.TextIOWrapper(
        io.BytesIO(data), encoding="utf-8", errors="replace"
    ):  # \r ends a line here too
        for text in (line, data.decode(errors="replace")):
            for reading in READINGS:
                with contextlib.suppress(ValueError, RecursionError):
                    yield from seen(reading(text))


def passes(data):
    """What the gateway records of what it lets pass; None when it does not."""
    try:
        messages = parse_client(data, line=True)
    except Refused:
        return None
    return {(m.method, m.params.get("name", m.params.get("uri"))) for m in messages if m.acts}


def check(data):
    recorded = passes(data)
    if recorded is not None:
        assert set(seen_by_servers(data)) <= recorded, data
    return recorded


SMUGGLED = {
    "a second method": '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"pay"}}',
    "a first method": '{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"pay"}}',
    "a second name": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok","name":"pay"}}',
    "an escaped second name": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok","n\\u0061me":"pay"}}',
    "another case of method": '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"pay"}}',
    "method in another case alone": '{"jsonrpc":"2.0","id":1,"METHOD":"tools/call","params":{"name":"pay"}}',
    "another case of name": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok","Name":"pay"}}',
    "another case of params": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok"},"Params":{"name":"pay"}}',
    "another case of arguments": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok","arguments":{},"ARGUMENTS":{"x":1}}}',
    "a long s for an s": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ok","argument\u017f":{}}}',
    "a method in capitals": '{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"pay"}}',
    "a method with a space": '{"jsonrpc":"2.0","id":1,"method":"tools/call ","params":{"name":"pay"}}',
    "a method with a zero-width space": '{"jsonrpc":"2.0","id":1,"method":"tools/\u200bcall","params":{"name":"pay"}}',
    "a key that ends at a NUL": '{"jsonrpc":"2.0","id":1,"method":"ping","method\\u0000x":"tools/call","params":{"name":"pay"}}',
    "a byte order mark": "\ufeff" + json.dumps(CALL),
    "a carriage return between two messages": '{"jsonrpc":"2.0","id":1,"method":"ping","params":\r'
    + json.dumps(CALL)
    + "\r}",
    "two messages on a line": '{"jsonrpc":"2.0","id":1,"method":"ping"}' + json.dumps(CALL),
    "a call in a batch of answers": '[{"jsonrpc":"2.0","id":9,"result":{}},{"jsonrpc":"2.0","id":1,"Method":"tools/call","params":{"name":"pay"}}]',
    "a call that is an answer too": '{"jsonrpc":"2.0","id":1,"method":"tools/call","result":{},"params":{"name":"pay"}}',
    "a call without an id": '{"jsonrpc":"2.0","method":"tools/call","params":{"name":"pay"}}',
    "a call with id null": '{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"pay"}}',
    "a call with a fraction for an id": '{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"pay"}}',
    "a call with an object for an id": '{"jsonrpc":"2.0","id":{},"method":"tools/call","params":{"name":"pay"}}',
    "a call with an id that others round": '{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{"name":"pay"}}',
    "a call with parameters by place": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["pay"]}',
    "a name that is no text": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["pay"]}}',
    "a duplicate deep in the arguments": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"to":{"iban":"1","iban":"2"}}}}',
    "NaN": '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"pay","arguments":{"a":NaN}}}',
    "a comment": '{"jsonrpc":"2.0","id":1,"method":"ping"/*","method":"tools/call*/}',
    "nothing": "{}",
    "an empty batch": "[]",
    "a batch in a batch": "[[" + json.dumps(CALL) + "]]",
    "one id twice in a batch": "[" + json.dumps(CALL) + "," + json.dumps(CALL | {"id": "1"}) + "]",
    "a text": '"tools/call"',
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_a_server_might_read_otherwise_does_not_pass(name):
    assert check(SMUGGLED[name].encode()) is None


def test_text_in_another_encoding_does_not_pass():
    for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-7"):
        assert check(json.dumps(CALL).encode(encoding) if encoding != "utf-7" else b"+AHs-}") is None
    assert check(json.dumps(CALL | {"x": "é"}, ensure_ascii=False).encode("latin-1")) is None


def test_a_message_nested_too_deeply_for_some_does_not_pass():
    assert (
        check(b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}}")
        is None
    )


@pytest.mark.parametrize(
    "message",
    [
        CALL,
        CALL | {"id": "a-text"},
        CALL | {"trace": {"unknown": True}},
        [CALL, CALL | {"id": 2}],
        {"jsonrpc": "2.0", "id": 1, "method": "x/unknown", "params": [1, 2]},
        {"jsonrpc": "2.0", "id": 1, "method": "tasks/result", "params": {"taskId": "t"}},
        {"jsonrpc": "2.0", "method": "notifications/unheard-of"},
    ],
)
def test_every_request_that_does_not_merely_arrange_the_session_is_recorded(message):
    assert check(json.dumps(message).encode())


@pytest.mark.parametrize(
    "message",
    [
        *({"jsonrpc": "2.0", "id": 1, "method": method} for method in sorted(ARRANGING)),
        *({"jsonrpc": "2.0", "method": method} for method in sorted(TELLING)),
        {"jsonrpc": "2.0", "id": 4, "result": {"method": "tools/call", "params": {"name": "pay"}}},
        {"jsonrpc": "2.0", "id": "s", "error": {"code": -1, "message": "no"}},
        {"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"a": "\u2028\u0085é😀"}},
    ],
)
def test_what_arranges_the_session_passes_and_is_not_recorded(message):
    assert check(json.dumps(message, ensure_ascii=False).encode()) == set()


def test_a_telling_name_with_an_id_is_a_request_and_recorded():
    assert check(b'{"jsonrpc":"2.0","id":1,"method":"notifications/initialized"}')


KEYS = ["jsonrpc", "id", "method", "params", "Method", "metho\u0064", "method\0", "PARAMS", "result", "x"]
VALUES = st.sampled_from(
    [
        "tools/call",
        "TOOLS/CALL",
        "ping",
        "x/y",
        1,
        "1",
        None,
        {"name": "pay"},
        {"Name": "pay", "name": "ok"},
        {},
        [CALL],
        CALL,
    ]
)
PAIRS = st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=6)


@settings(max_examples=2_000, deadline=None)
@given(PAIRS, st.sampled_from([",", ",\r", ", ", ",\x85", ",\u2028"]), st.booleans())
def test_no_message_put_together_of_such_parts_hides_a_call(pairs, between, batch):
    text = "{" + between.join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in pairs) + "}"
    check((f"[{text}]" if batch else text).encode())


def test_who_waits_for_an_answer_is_told_when_a_message_is_refused():
    with pytest.raises(Refused) as refused:
        parse_client(SMUGGLED["a second name"].encode(), line=True)
    assert refused.value.ids == (1,)


# ---- what a server sends


def test_an_answer_is_found_however_it_is_written_and_what_is_not_plain_is_said_to_be():
    def read(text):
        return [(answer.id, answer.plain) for answer in answers(text.encode())]

    assert read('{"jsonrpc":"2.0","id":1,"result":{}}') == [(1, True)]
    assert read('[{"id":1,"result":{}},{"id":"b","error":{}}]') == [(1, True), ("b", True)]
    assert read('{"id":1,"result":NaN}') == [(1, False)]
    assert read('{"id":1,"result":1,"result":2}') == [(1, False)]
    assert read('{"Id":1,"Result":1}') == [(1, False)]
    assert read('\ufeff{"id":1,"result":1}') == [(1, False)]
    assert read('{"id":1,"method":"x","result":1}') == [(1, False)]
    assert read('{"id":1,"result":{},"error":{}}') == [(1, False)]
    assert read('{"id":1,"method":"ping"}') == []
    assert read("Listening on stdin") == []
    assert read("[" * 100_000) == []
