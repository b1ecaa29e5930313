"""Where forms are not checked the entries that tell something are found without reading the others."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.canonical import dumps
from ledger.core.entry import Entry, format_entry, parse_entry
from ledger.core.errors import LedgerError
from ledger.core.stretch import _telling

SIGNATURE = ("k", "A" * 86 + "==")
submitters = st.sampled_from(
    ["log", "log2", "token:a", "token:b", "}", '"},"submitter":"', 'log","v":1}', "💚"]
)
made = st.builds(
    lambda seq, submitter, signature: format_entry(
        prev=bytes(range(32)),
        record=dumps({"type": "action", "x": ',"submitter":"log","v":1}'}),
        recorded_at="2026-11-21T09:30:00.123456Z",
        seq=seq,
        submitter=submitter,
        signature=signature,
    ),
    st.integers(1, 2000),
    submitters,
    st.sampled_from([None, None, SIGNATURE]),
)
cut = st.builds(lambda data, at: data[at:], made, st.integers(0, 300))
stretches = st.lists(made | made | cut | st.none() | st.just(b""), max_size=12)


def parsed(data: bytes | None) -> Entry | None:
    try:
        return parse_entry(data or b"")
    except LedgerError:
        return None


@settings(max_examples=500)
@given(stretches, st.integers(0, 5000))
def test_the_logs_own_entries_and_those_with_a_signature_are_found_whatever_is_around_them(
    entries: list[bytes | None], start: int
):
    telling = {}
    for seq, data in enumerate(entries, start):
        entry = parsed(data)
        if entry is not None and (entry.signature is not None or entry.submitter == "log"):
            telling[seq] = data
    found = dict(_telling(entries, start))
    assert telling.items() <= found.items()
    assert all(parsed(data) is None for seq, data in found.items() if seq not in telling)
