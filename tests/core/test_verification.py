"""A verification record says what was found and is believed for its signer's sake alone."""

import dataclasses

import pytest

from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.note import NoteSigner, sign_note
from ledger.core.report import Level
from ledger.core.verification import open_verification, sign_verification, unfinished, verification_of
from ledger.core.verify import Verifier
from tests.core.test_verify import SIGNER, made, stretches, verified

AT = "2026-11-21T09:30:00.123456Z"
AUDITOR = NoteSigner("ann@audit.example", SigningKey(bytes(range(2, 34))))


def record(*, complete: bool = True):
    log = made(20)
    verifier = Verifier(SIGNER.key)
    state = {"verifier": verifier.state(), "beside": {"x": [["a", 1]]}}
    if complete:
        return verification_of(verified(log), SIGNER.key, state, AT)
    for stored in stretches(log):
        verifier.add(stored)
    return unfinished(SIGNER.key, Level.ENTRIES, {"verifier": verifier.state()}, AT)


@pytest.mark.parametrize("complete", [True, False])
def test_a_record_reads_back_under_its_signers_key(complete):
    made_ = record(complete=complete)
    read = open_verification(sign_verification(made_, AUDITOR), [AUDITOR.key])
    assert read == dataclasses.replace(made_, by="ann@audit.example")
    assert read.size == 21
    rested = read.rested()
    assert (rested is not None) == complete
    if rested:
        assert rested.what == f"verification record by ann@audit.example of {AT}"
        assert (rested.size, rested.base) == (21, 0)


def test_a_record_that_nobody_trusted_signed_or_that_was_altered_is_refused():
    note = sign_verification(record(), AUDITOR)
    with pytest.raises(LedgerError) as caught:
        open_verification(note, [SIGNER.key])
    assert caught.value.code == Code.UNKNOWN_SIGNER
    with pytest.raises(LedgerError) as caught:
        open_verification(note.replace(b'"findings":0', b'"findings":1'), [AUDITOR.key])
    assert caught.value.code == Code.INVALID_SIGNATURE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("agent-ledger verification v1", "agent-ledger verification v2"),
        ("ledger.example/test\n{", "ledger.example/other\n{"),
        ('"size":21', '"size":-1'),
        ('"size":21', '"size":"21"'),
        ('"complete":true', '"complete":1'),
        ('"level":"entries"', '"level":"enough"'),
        (AT, "yesterday"),
        ('"root":"', '"root":"00'),
        ('"findings":0,', ""),
        ('"state":{', '"state":[{},{'),
    ],
)
def test_what_is_signed_and_is_no_record_is_refused(old, new):
    text = sign_verification(record(), AUDITOR).decode().rpartition("\n\n")[0] + "\n"
    assert old in text
    with pytest.raises(LedgerError) as caught:
        open_verification(sign_note(text.replace(old, new, 1), AUDITOR), [AUDITOR.key])
    assert caught.value.code in {Code.MALFORMED_NOTE, Code.MALFORMED_JSON, Code.NOT_CANONICAL}


def test_a_state_beyond_the_size_it_vouches_for_is_refused():
    made_ = dataclasses.replace(record(complete=False), size=20)
    with pytest.raises(LedgerError, match="its state is of 21 entries"):
        open_verification(sign_verification(made_, AUDITOR), [AUDITOR.key]).joined()
