"""What a peer's log says of a call: believed under the peer's key, for this call alone, whatever else is shown."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import canonical
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.crossing import (
    MAX_RECEIPT_BYTES,
    MAX_TOLD_CHARACTERS,
    RECEIVED,
    SENT,
    Doubt,
    EntryName,
    Expected,
    Told,
    doubt,
    format_told,
    open_said,
    parse_told,
)
from ledger.core.ed25519 import SigningKey
from ledger.core.entry import format_entry
from ledger.core.errors import Code, FormatError, LedgerError
from ledger.core.merkle import leaf_hash, root_of
from ledger.core.note import NoteSigner
from ledger.core.receipt import Receipt, format_receipt

ALICE, BOB = (
    NoteSigner(f"{name}.example/log", SigningKey(name[:1].encode() * 32)) for name in ("alice", "bob")
)
CALL, MESSAGE, LEAF = "0" * 31 + "1", "ab" * 32, "cd" * 32
NAMES = {"call.entry_seq": 7, "call.entry_leaf": LEAF}
SAID = {"call.id": CALL, "call.peer": ALICE.key.name, "call.message": MESSAGE, **NAMES}
EXPECTED = Expected(RECEIVED, CALL, ALICE.key.name, BOB.key.name, MESSAGE, EntryName(7, LEAF))


def entry(ext=SAID, kind=RECEIVED, seq=1):
    record = canonical.dumps({"ext": ext, "id": "x", "time": "2026-11-21T09:30:00Z", "type": kind})
    at = "2026-11-21T09:30:00.000000Z"
    return format_entry(prev=b"\x01" * 32, record=record, recorded_at=at, seq=seq, submitter="token:t")


def receipt(data, signer=BOB, *, index=1, extra=True):
    leaves = [b"\x02" * 32, leaf_hash(data)]
    note = sign_checkpoint(Checkpoint(signer.key.name, 2, root_of(leaves)), signer)
    return format_receipt(Receipt(index, (leaves[0],), note, data if extra else None))


def test_what_a_peer_recorded_is_known_by_its_receipt_alone():
    said = open_said(receipt(entry()), [BOB.key])
    assert said.log == BOB.key.name
    assert said.entry == EntryName(1, leaf_hash(entry()).hex())
    assert said.names == EntryName(7, LEAF)
    assert doubt(said, EXPECTED) is None


CHANGES = [
    (Doubt.ANOTHER_TYPE, {"type": SENT}, {}),
    (Doubt.ANOTHER_LOG, {"log": "carol.example/log"}, {}),
    (Doubt.ANOTHER_PEER, {}, {"call.peer": "carol.example/log"}),
    (Doubt.ANOTHER_CALL, {}, {"call.id": "0" * 31 + "2"}),
    (Doubt.ANOTHER_MESSAGE, {}, {"call.message": "ff" * 32}),
    (Doubt.ANOTHER_ENTRY, {}, {"call.entry_seq": 8}),
    (Doubt.ANOTHER_ENTRY, {}, {"call.entry_leaf": "ee" * 32}),
]


@pytest.mark.parametrize(("found", "expected", "ext"), CHANGES, ids=[str(n) for n in range(len(CHANGES))])
def test_a_true_entry_about_something_else_is_not_taken_for_this_call(found, expected, ext):
    said = open_said(receipt(entry(SAID | ext)), [BOB.key])
    assert doubt(said, EXPECTED._replace(**expected)) is found


def test_an_entry_that_names_none_of_ours_may_have_been_written_before_our_receipt_came():
    without = {name: value for name, value in SAID.items() if name not in NAMES}
    assert doubt(open_said(receipt(entry(without)), [BOB.key]), EXPECTED) is None


def test_a_receipt_under_no_peers_key_is_refused():
    impostor = NoteSigner(BOB.key.name, SigningKey(b"m" * 32))
    for signer, keys in ((BOB, [ALICE.key]), (impostor, [BOB.key]), (BOB, [])):
        with pytest.raises(LedgerError) as refused:
            open_said(receipt(entry(), signer), keys)
        assert refused.value.code in {Code.UNKNOWN_SIGNER, Code.INVALID_SIGNATURE}


def test_a_receipt_with_another_entry_in_it_or_none_or_at_another_place_is_refused():
    whole = receipt(entry())
    swapped = whole.replace(
        base64.b64encode(entry()), base64.b64encode(entry(SAID | {"call.message": "0" * 64}))
    )
    assert swapped != whole
    for wrong in (
        swapped,
        receipt(entry(), extra=False),
        receipt(entry(), index=0),
        receipt(entry(seq=9)),
        receipt(entry(kind="note")),
        receipt(entry(SAID | {"call.id": "1"})),
        receipt(entry({"test.call": "1"})),
        whole + b"\n" * MAX_RECEIPT_BYTES,
        b"",
    ):
        with pytest.raises(LedgerError):
            open_said(wrong, [BOB.key])


def test_a_receipt_with_any_byte_changed_is_refused():
    whole = receipt(entry())
    for position in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[position] ^= 1
        with pytest.raises(LedgerError):
            open_said(bytes(changed), [BOB.key])


def test_what_goes_along_reads_back():
    for told in (Told(CALL, "a.example/log"), Told(CALL, "é" * 20, b"\x05" * 16, receipt(entry()))):
        text = format_told(told)
        assert parse_told(text) == told
        assert text.isascii()
        assert text.isprintable()


def _text(members):
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode()


GOOD = {"call": CALL, "log": "a.example/log", "salt": "00" * 16, "receipt": "x"}


@pytest.mark.parametrize(
    "wrong",
    [{"call": 1}, {"call": CALL[1:]}, {"call": CALL + "\n"}, {"log": ""}, {"log": "a\nb"}, {"log": "a" * 501}, {"salt": "0"}, {"salt": 1},
     {"receipt": 1}, {"receipt": "\ud800"}],
    ids=str,
)  # fmt: skip
def test_what_goes_along_and_is_not_as_it_must_be_is_refused(wrong):
    assert parse_told(_text(GOOD)).call == CALL
    with pytest.raises(FormatError):
        parse_told(_text(GOOD | wrong))


@given(st.one_of(st.text(), st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode())))
def test_whatever_goes_along_is_read_or_refused_and_never_anything_else(text):
    try:
        parse_told(text)
    except FormatError:
        return


def test_what_goes_along_is_bounded():
    for text in ("A" * (MAX_TOLD_CHARACTERS + 4), _text([[]] * 2000), "[" * 8000, _text("x")):
        with pytest.raises(FormatError):
            parse_told(text)
    deep = base64.urlsafe_b64encode(b"[" * 9000).decode()
    with pytest.raises(FormatError):
        parse_told(deep)
