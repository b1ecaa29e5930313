"""What a hostile sender makes of a good message, and what a dialect owes whatever it is sent."""

import copy
import json

from hypothesis import strategies as st

from ledger.core.entry import MAX_ENTRY_BYTES
from ledger.core.errors import LedgerError
from ledger.log.persons import Persons
from ledger.records.prepare import prepare

SUBMITTER = "token:sender"
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["", "\ud800", "\u202e\x1b[31m", "Bearer " + "a" * 40, "x" * 5_000, "😀" * 1_200, 10**400, -1, 2**63]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()):
    """The path of every member and item of a JSON value."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in below:
        yield (*path, key)
        yield from places(member, (*path, key))


@st.composite
def odd(draw, *examples):
    """One of the examples, some of its members replaced by anything at all, or taken out."""
    value = copy.deepcopy(draw(st.sampled_from(examples)))
    for path in draw(st.lists(st.sampled_from(list(places(value))), min_size=1, max_size=3, unique=True)):
        holder = value
        try:
            for step in path[:-1]:
                holder = holder[step]
            if draw(st.booleans()) and draw(st.booleans()):
                del holder[path[-1]]
            else:
                holder[path[-1]] = draw(JSON_VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took it away
    return json.dumps(value).encode()


def prepared(record, submitter=SUBMITTER):
    """A dialect's record as the log would take it."""
    item = prepare(
        record,
        submitter=submitter,
        persons=Persons(lambda _: None),
        origin="o",
        agent_key=lambda _: None,
        reserved_ids=True,
    )
    assert len(item.record) < MAX_ENTRY_BYTES or len(record) > MAX_ENTRY_BYTES
    return item


def kept(read, body, **options):
    """What any body must come to: records that the log takes, and refusals that say where. The records; None where all was refused."""
    try:
        reading = read(body, submitter=SUBMITTER, **options)
    except LedgerError:
        return None
    assert all(refusal.path for refusal in reading.refused)
    for record in reading.records:
        prepared(record)
    return [json.loads(record) for record in reading.records]


def records(read, value, **options):
    """The records of a good body, which every one of is taken."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    reading = read(body, submitter=SUBMITTER, **options)
    assert reading.refused == []
    for record in reading.records:
        prepared(record)
    return [json.loads(record) for record in reading.records]
