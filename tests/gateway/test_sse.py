"""The same events are found however a stream is cut into pieces."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ledger.gateway import sse
from ledger.gateway.sse import Event, Events

STREAM = (
    b"\xef\xbb\xbfdata: one\n\n: a comment\r\n\r\nevent: endpoint\rdata:/m\r\rid: 7\ndata:{\ndata: }\n\nretry: 5\n\ndata\n\n"
    b"event: empty\n\ndata: last"
)
FOUND = [
    Event("message", b"one"),
    Event("endpoint", b"/m"),
    Event("message", b"{\n}"),
    Event("message", b""),
    Event("message", b"last"),
]


def test_only_the_very_beginning_has_a_byte_order_mark_however_the_stream_is_cut():
    stream = b"\n\n\xef\xbb\xbfdata: hidden\n\ndata: said\n\n"
    for size in range(1, len(stream)):
        events = Events()
        found = [event for at in range(0, len(stream), size) for event in events.feed(stream[at : at + size])]
        assert [*found, *events.end()] == [Event("message", b"said")]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_where_the_pieces_end_makes_no_difference(cuts):
    places = [0, *sorted(cuts), len(STREAM)]
    events = Events()
    found = [event for start, end in pairwise(places) for event in events.feed(STREAM[start:end])]
    assert [*found, *events.end()] == FOUND


def test_an_event_without_end_is_bounded_and_the_next_one_is_found(monkeypatch):
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1_000)
    events = Events()
    found = [event for _ in range(100) for event in events.feed(b"data: " + b"x" * 100)]
    found += [event for _ in range(100) for event in events.feed(b"x" * 50 + b"\ndata: ")]
    assert found == []
    assert len(events._rest) < 2_000
    assert list(events.feed(b"\n\ndata: after\n\n")) == [Event("message", b"after")]
    assert events.left_out == 1
