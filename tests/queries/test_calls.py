"""Which calls only one side recorded: as the recorder writes them, and as somebody who lies does."""

import pytest

from tests.queries.told import Case, Story, case, names, of

BOB, CAROL = "bob.example/log", "carol.example/log"


def call(number, kind, recorded, peer=BOB, *, by="token:clerk", **ext):
    members = {f"call.{name}": value for name, value in ext.items()} | {"call.id": f"{number:032x}"}
    if peer is not None:
        members["call.peer"] = peer
    return {
        "id": f"{number}-{kind}-{recorded}-{ext.get('problem')}", "type": f"call.{kind}", "time": f"2026-11-21T{recorded}Z",
        "recorded": recorded, "ext": members, "by": by,
    }  # fmt: skip


def confirmed(number, recorded, entry_type="call.received", peer=BOB, **ext):
    return call(number, "confirmed", recorded, peer, receipt="verified", entry_type=entry_type, **ext)


STORY = [
    # 1: both recorded it. 2: no answer. 3: a lie came back. 4: a lie, and the truth after it. 5: just now.
    call(1, "sent", "09:00:00"), confirmed(1, "09:00:01"),
    call(2, "sent", "09:01:00"),
    call(3, "sent", "09:02:00"), call(3, "confirmed", "09:02:01", receipt="refused", problem="another-call"),
    call(4, "sent", "09:03:00"), call(4, "confirmed", "09:03:01", receipt="refused", problem="invalid-proof"),
    confirmed(4, "09:03:02", by="token:auditor"),
    # 6: they showed theirs with the call. 7: never. 8: nobody says who. 9: a lie. 10: later. 11: twice, the second by another process.
    call(6, "received", "09:10:00", receipt="verified"),
    call(7, "received", "09:11:00", receipt="none"),
    call(8, "received", "09:12:00", None, receipt="none"),
    call(9, "received", "09:13:00", receipt="refused", problem="unknown-signer"),
    call(10, "received", "09:14:00", receipt="none"), confirmed(10, "09:40:00", "call.sent"),
    call(11, "received", "09:15:00", receipt="verified"), call(11, "received", "09:16:00", receipt="refused", problem="replayed"),
    # 12, 13: theirs alone. 14: confirmed by another peer than was called. 15: the wrong one of their entries.
    confirmed(12, "09:20:00", "call.sent"), confirmed(13, "09:21:00", "call.received", CAROL),
    call(14, "sent", "09:22:00"), confirmed(14, "09:22:01", peer=CAROL),
    call(15, "sent", "09:23:00"), confirmed(15, "09:23:01", "call.sent"),
    call(16, "received", "09:24:00", receipt="refused", problem="malformed"), call(16, "received", "09:25:00", receipt="verified"),
    # 19: somebody else shows something about it.
    call(19, "sent", "09:26:00"), call(19, "confirmed", "09:26:01", CAROL, receipt="refused", problem="another-call"),
    # What is no call, or one by half.
    {"id": "n", "type": "note", "time": "2026-11-21T09:30:00Z", "recorded": "09:30:00", "ext": {"call.id": "x", "call.peer": BOB}},
    {"id": "m", "type": "call.sent", "time": "2026-11-21T09:30:00Z", "recorded": "09:30:00"},
    {"id": "o", "type": "call.sent", "time": "2026-11-21T09:30:00Z", "recorded": "09:30:00", "ext": {"test.x": 1}},
    call(5, "sent", "09:59:30"), call(17, "received", "09:59:45", receipt="none"), call(18, "sent", "10:00:00"), confirmed(18, "10:00:00"),
]  # fmt: skip

ROWS = [
    [2, BOB, "sent", "us", "missing", None],
    [3, BOB, "sent", "us", "refused", "another-call"],
    [7, BOB, "received", "us", "missing", None],
    [8, None, "received", "us", "missing", None],
    [9, BOB, "received", "us", "refused", "unknown-signer"],
    [11, BOB, "received", "us", "repeated", "replayed"],
    [12, BOB, "received", "them", "missing", None],
    [13, CAROL, "sent", "them", "missing", None],
    [14, BOB, "sent", "us", "missing", None],
    [14, CAROL, "sent", "them", "missing", None],
    [15, BOB, "sent", "us", "missing", None],
    [15, BOB, "received", "them", "missing", None],
    [16, BOB, "received", "us", "repeated", "malformed"],
    [19, BOB, "sent", "us", "missing", None],
    [5, BOB, "sent", "us", "in flight", None],
    [17, BOB, "received", "us", "in flight", None],
]
ALL = "call peer direction recorded_by state problem"


def rows(*numbers, of=ROWS):
    return [[f"{row[0]:032x}", *row[1:]] for row in of if not numbers or row[0] in numbers]


LATE = [row if row[4] != "in flight" else [*row[:4], "missing", None] for row in ROWS]
CASES = [
    case("one-sided-calls", ALL, rows()),
    case("one-sided-calls", ALL, rows(of=LATE), in_flight_s=0),
    case("one-sided-calls", ALL, [row for row in rows() if row[1] == CAROL], peer=CAROL),
    case("one-sided-calls", ALL, [], peer="dave.example/log"),
    case("one-sided-calls", ALL, rows(7, 8), since="2026-11-21T09:11:00Z", until="2026-11-21T09:13:00Z"),
    case("one-sided-calls", ALL, rows(5, 17), since="2026-11-21T09:59:00Z"),
    case(
        "calls-with-a-peer",
        "type receipt",
        [["call.sent", None], ["call.received", "none"], ["call.sent", None]],
        peer=BOB,
        since="2026-11-21T09:59:00Z",
    ),
    case("calls-with-a-peer", "type", [["call.sent"]], peer=BOB, since="2026-11-21T10:00:00Z"),
    case("calls-with-a-peer", "type", [], peer=CAROL),
]


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(*STORY)


@pytest.mark.parametrize("told", CASES, ids=names(CASES))
def test_the_answer_is_these_rows_and_no_others(story: Story, told: Case):
    assert of(story.ask(told.query, **told.given), *told.columns) == told.rows


def test_a_row_names_its_entry_and_the_action_it_is():
    story = Story({**call(1, "sent", "09:00:00"), "action_id": "act-1"})
    [row] = story.ask("one-sided-calls", in_flight_s=0)
    assert (row["seq"], row["action_id"], row["submitter"]) == (0, "act-1", "token:clerk")
