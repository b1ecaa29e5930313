"""A policy over a signed checkpoint, offline: threats 8, 40, 42 and 54."""

import pytest

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory
from ledger.core.note import Cosigner, NoteSigner, parse_note
from ledger.core.policy import parse_policy
from ledger.core.quorum import verify_witnessed

LOG = NoteSigner("ledger.example/q", SigningKey(b"\x01" * 32))
NOTE = sign_checkpoint(Checkpoint("ledger.example/q", 5, b"\x05" * 32), LOG)
T = 1_800_000_000


def cosigner(number, seconds=T):
    return Cosigner(f"w{number}.example/w", SigningKey(bytes([number]) * 32), seconds)


def with_lines(*cosigners, note=NOTE):
    text = parse_note(note).text
    return note + "".join(each.line(text) for each in cosigners).encode()


def policy(quorum, logs=f"log {LOG.key}\n"):
    witnesses = "".join(f"witness W{n} {cosigner(n).key}\n" for n in (2, 3, 4))
    return parse_policy(f"{logs}{witnesses}{quorum}\n".encode())


TWO = "group G 2 W2 W3 W4\nquorum G"


def code_of(note, asked, **options):
    with pytest.raises(LedgerError) as refused:
        verify_witnessed(note, asked, KeyHistory.begin(LOG.key), **options)
    return refused.value.code


def test_a_checkpoint_that_the_quorum_cosigned_says_by_whom_and_since_when():
    note = with_lines(cosigner(2, T - 50), cosigner(4, T - 20), cosigner(3, T - 10))
    found = verify_witnessed(note, policy(TWO), KeyHistory.begin(LOG.key))
    assert found.by == ("W2", "W3", "W4", "G")
    assert found.seconds == T - 20  # of two of them: those of the last two
    assert found.what == "checkpoint cosigned by G (W2, W3, W4)"
    assert found.checkpoint.size == 5


@pytest.mark.parametrize("left", [(), (2,), (3,), (9, 2)])
def test_with_fewer_lines_the_quorum_is_not_there_whatever_else_stands_beside_them(left):
    """Threat 54: lines stripped off, or others put in their place."""
    assert code_of(with_lines(*map(cosigner, left)), policy(TWO)) == Code.NOT_WITNESSED


def test_a_line_twice_is_one_witness():
    assert (
        code_of(with_lines(cosigner(2), cosigner(2), cosigner(2, T + 1)), policy(TWO)) == Code.NOT_WITNESSED
    )


def test_a_line_of_a_known_witness_that_does_not_hold_spoils_the_checkpoint():
    lie = Cosigner("w3.example/w", SigningKey(b"\x03" * 32), T)
    wrong = lie.line("another\n5\nAAAA\n").encode()
    assert code_of(with_lines(cosigner(2), cosigner(4)) + wrong, policy(TWO)) == Code.INVALID_SIGNATURE


def test_witnesses_never_stand_in_for_the_log():
    note = NOTE[: NOTE.index("— ".encode())]
    assert (
        code_of(with_lines(cosigner(2), cosigner(3), note=NOTE)[len(NOTE) :], policy(TWO))
        == Code.MALFORMED_NOTE
    )
    unsigned = note + with_lines(cosigner(2), cosigner(3))[len(NOTE) :]
    assert code_of(unsigned, policy(TWO)) == Code.UNKNOWN_SIGNER


def test_a_policy_of_another_log_says_nothing_about_this_one():
    other = NoteSigner("other.example/q", SigningKey(b"\x0a" * 32)).key
    asked = policy(TWO, logs=f"log {other}\n")
    assert code_of(with_lines(cosigner(2), cosigner(3)), asked) == Code.UNKNOWN_SIGNER


def test_a_checkpoint_that_was_frozen_holds_for_ever_and_is_too_old():
    """Threat 8."""
    note = with_lines(cosigner(2, T), cosigner(3, T + 30))
    verify_witnessed(note, policy(TWO), KeyHistory.begin(LOG.key))
    verify_witnessed(note, policy(TWO), KeyHistory.begin(LOG.key), now=T + 600, max_age_s=600)
    assert code_of(note, policy(TWO), now=T + 601, max_age_s=600) == Code.NOT_WITNESSED
    fresh = with_lines(cosigner(2, T), cosigner(3, T + 30), cosigner(4, T + 500))
    assert verify_witnessed(fresh, policy(TWO), KeyHistory.begin(LOG.key), now=T + 610, max_age_s=600).by == (
        "W3",
        "W4",
        "G",
    )


def test_a_time_far_in_the_future_does_not_keep_a_checkpoint_young():
    note = with_lines(cosigner(2, T + 10**6), cosigner(3, T + 10**6))
    assert code_of(note, policy(TWO), now=T, max_age_s=600) == Code.NOT_WITNESSED


def test_a_policy_that_asks_for_nobody_vouches_for_nothing():
    assert verify_witnessed(NOTE, policy("quorum none"), KeyHistory.begin(LOG.key)).seconds is None
