"""The keys of a log: each signs for its own entries, and whoever knows one of them knows all by their proof."""

import json
from dataclasses import replace

import pytest

from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.joined import Joined
from ledger.core.keyhistory import KeyHistory, format_history, handovers, parse_history
from ledger.core.merkle import root_of
from ledger.core.note import Cosigner, NoteSigner, format_vkey
from ledger.core.receipt import format_receipt, parse_receipt
from ledger.core.report import Kind
from ledger.core.verify import Verifier
from tests.core.test_verify import ORIGIN, SIGNER, MadeLog, kinds, stretches, verified

SECOND = NoteSigner(ORIGIN, SigningKey(bytes(range(2, 34))))
THIRD = NoteSigner(ORIGIN, SigningKey(bytes(range(3, 35))))
THIEF = NoteSigner(ORIGIN, SigningKey(bytes(range(4, 36))))


class Rotated(MadeLog):
    """A log whose key is rotated twice, at entries 3 and 6, with what it proves of its keys."""

    def __init__(self, *, second: NoteSigner = SECOND) -> None:
        super().__init__()
        self.sign()
        self.receipts: list[bytes] = []
        for signer in (second, THIRD):
            self.action()
            self.sign()
            self.action()
            self.sign()
            self.rotate(signer)
        self.action()
        self.sign()

    def rotate(self, to: NoteSigner, *signers: NoteSigner) -> None:
        seq = self.own("log.key_rotated", {"log.vkey": format_vkey(to.key)})
        self.sign(*(signers or (self.signer, to)))
        self.signer = to
        self.prove(seq)

    def revoke(self, key: NoteSigner, start: int) -> None:
        seq = self.own("log.key_revoked", {"log.vkey": format_vkey(key.key), "log.from": start})
        self.sign()
        self.prove(seq)

    def prove(self, seq: int) -> None:
        held = parse_receipt(self.receipt(seq))
        self.receipts.append(format_receipt(replace(held, extra=self.entries[seq])))

    @property
    def proof(self) -> bytes:
        return format_history(SIGNER.key, self.receipts)


LOG = Rotated()
KEYS = parse_history(LOG.proof, SIGNER.key)


def note(size: int, *signers: NoteSigner) -> bytes:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root_of(LOG.hashes[:size])), *signers)


@pytest.mark.parametrize("known", [SIGNER, SECOND, THIRD])
def test_whoever_knows_any_key_of_the_log_knows_all_of_them(known):
    found = parse_history(LOG.proof, known.key)
    assert found.keys == (SIGNER.key, SECOND.key, THIRD.key)
    assert [(term.start, term.end) for term in found.terms] == [(0, 3), (3, 6), (6, None)]


def test_whoever_knows_another_key_is_told_so():
    with pytest.raises(LedgerError, match="none of those that the log proves"):
        parse_history(LOG.proof, THIEF.key)


@pytest.mark.parametrize(
    ("size", "signer"), [(1, SIGNER), (3, SIGNER), (4, SECOND), (6, SECOND), (7, THIRD), (8, THIRD)]
)
def test_a_checkpoint_is_signed_by_the_key_of_its_last_entry_and_by_no_other(size, signer):
    assert KEYS.open(note(size, signer)).size == size
    for other in {SIGNER, SECOND, THIRD} - {signer}:
        with pytest.raises(LedgerError, match="is signed with") as caught:
            KEYS.open(note(size, other))
        assert caught.value.code is Code.UNKNOWN_SIGNER


def test_the_old_keys_line_beside_the_new_ones_takes_nothing_away():
    assert KEYS.open(note(4, SIGNER, SECOND)).size == 4
    cosigner = Cosigner("witness.example/w", SigningKey(bytes(range(9, 41))), 1_800_000_000)
    text = note(5, SECOND).decode().partition("\n\n")[0] + "\n"
    assert KEYS.open(note(5, SECOND) + cosigner.line(text).encode()).size == 5


@pytest.mark.parametrize("signers", [(SIGNER,), (THIEF,), (SIGNER, THIRD)])
def test_a_rotation_that_both_keys_did_not_sign_proves_nothing(signers):
    log = MadeLog()
    log.sign()
    log.__class__ = Rotated
    log.receipts = []
    log.rotate(THIEF, *signers)
    with pytest.raises(LedgerError, match=r"is not signed with|signed by none"):
        parse_history(log.proof, SIGNER.key)


def test_a_thief_of_an_old_key_leads_nobody_who_knows_the_new_one_to_his():
    forged = Rotated(second=THIEF)
    assert parse_history(forged.proof, SIGNER.key).keys[1] == THIEF.key
    with pytest.raises(LedgerError, match="none of those"):
        parse_history(forged.proof, SECOND.key)


def mutations():
    value = json.loads(LOG.proof)
    first, second = value["entries"]
    other = Rotated(second=THIEF)
    yield "order", {**value, "entries": [second, first]}
    yield "twice", {**value, "entries": [first, first]}
    yield "gap", {**value, "entries": [second]}
    yield "another first", {**value, "first": format_vkey(THIEF.key)}
    yield "another log's", {**value, "entries": [first, json.loads(other.proof)["entries"][1]]}
    yield "no entry", {**value, "entries": [LOG.receipt(7).decode()]}
    yield "proof of another place", {**value, "entries": [first.replace("index 3", "index 2"), second]}
    yield "more members", {**value, "more": 1}
    yield "another version", {**value, "keys": 2}
    yield "no texts", {**value, "entries": [1]}


@pytest.mark.parametrize("value", [pytest.param(value, id=name) for name, value in mutations()])
def test_a_proof_that_was_altered_does_not_hold(value):
    with pytest.raises(LedgerError):
        parse_history(json.dumps(value).encode(), SIGNER.key)


@pytest.mark.parametrize(
    ("ext", "code"),
    [
        ({"log.vkey": format_vkey(SIGNER.key)}, Code.KEY_EXISTS),
        ({"log.vkey": format_vkey(THIRD.key)}, Code.KEY_EXISTS),
        ({"log.vkey": format_vkey(NoteSigner("another.example/log", SigningKey(bytes(32))).key)}, Code.ORIGIN_MISMATCH),
        ({"log.vkey": "no key"}, Code.MALFORMED_VERIFIER_KEY),
        ({}, Code.MALFORMED_VERIFIER_KEY),
    ],
)  # fmt: skip
def test_a_key_never_comes_back_and_is_never_another_logs(ext, code):
    with pytest.raises(LedgerError) as caught:
        KEYS.after("log.key_rotated", ext, 9)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("key", "start"), [(THIRD, 6), (THIEF, 0), (SIGNER, 4), (SECOND, 2), (SECOND, "4"), (SECOND, True)]
)
def test_only_a_key_that_was_rotated_away_is_revoked_from_one_of_its_entries_on(key, start):
    with pytest.raises(LedgerError):
        KEYS.after("log.key_revoked", {"log.vkey": format_vkey(key.key), "log.from": start}, 9)


def test_a_history_is_the_same_after_it_was_put_away():
    revoked = KEYS.after("log.key_revoked", {"log.vkey": format_vkey(SECOND.key), "log.from": 4}, 9)
    assert KeyHistory.from_json(json.loads(json.dumps(revoked.to_json()))) == revoked


# ---- revocation


def revoked() -> Rotated:
    log = Rotated()
    log.revoke(SECOND, 4)
    return log


def test_what_a_revoked_key_signs_from_that_entry_on_counts_for_nothing():
    keys = parse_history(revoked().proof, SIGNER.key)
    assert keys.open(note(4, SECOND)).size == 4
    with pytest.raises(LedgerError, match="the key was revoked"):
        keys.open(note(5, SECOND))
    assert keys.open(note(5, SECOND), own=True).size == 5
    earlier = keys.after("log.key_revoked", {"log.vkey": format_vkey(SECOND.key), "log.from": 6}, 10)
    assert earlier == keys  # a later statement takes nothing back


def test_a_log_that_revokes_an_earlier_key_is_whole():
    assert verified(revoked()).findings == ()


def test_a_checkpoint_beyond_its_range_signed_with_the_old_key_only_is_a_finding():
    report = verified(LOG, pins=[note(5, SIGNER)])
    assert kinds(report) == [("unverifiable", None)]
    assert "signs for the entries from 0 to 2 alone" in report.findings[0].detail
    assert report.anchored_to == 0


def test_what_a_revoked_key_signed_anchors_nothing():
    log = revoked()
    assert verified(log, pins=[note(5, SECOND)]).anchored_to == 0
    assert verified(log, pins=[note(4, SECOND)]).anchored_to == 4
    assert verified(log, pins=[note(5, SECOND)]).findings == ()


def test_nobody_revokes_the_evidence_against_himself():
    """A key is revoked from before a checkpoint that somebody has: that it contradicts the log is told all the same."""
    other = sign_checkpoint(Checkpoint(ORIGIN, 5, bytes(32)), SECOND)
    report = verified(revoked(), pins=[other])
    assert [finding.kind for finding in report.findings] == [Kind.FORKED]


# ---- verification


@pytest.mark.parametrize("known", [SIGNER, SECOND, THIRD])
def test_a_log_is_verified_by_any_key_it_had(known):
    assert verified(LOG, known=known.key, pins=[note(5, SECOND), note(8, THIRD)]).findings == ()


def test_a_log_that_never_had_the_key_given_is_another():
    report = verified(LOG, known=THIEF.key)
    assert kinds(report) == [("altered", 0)]
    assert "none of those that the log had" in report.findings[0].detail


def test_tiles_without_checkpoints_follow_rotations_by_what_both_keys_signed():
    bare = MadeLog()
    bare.entries, bare.hashes, bare.notes = LOG.entries, LOG.hashes, {}
    for given, found in ((handovers(LOG.proof), []), ((), [("altered", 7)])):
        verifier = Verifier(SIGNER.key, handovers=given)
        for stored in stretches(bare):
            verifier.add(stored)
        verifier.end_with(LOG.notes[7])
        assert kinds(verifier.finish()) == found


def test_a_record_of_a_verification_goes_on_across_a_rotation():
    verifier = Verifier(SIGNER.key)
    for stored in stretches(LOG):
        verifier.add(stored)
    assert verifier.history == KEYS
    state = json.loads(json.dumps(verifier.state()))
    assert Joined.from_json(state).history == KEYS
    del state["history"]
    assert Joined.from_json({**state, "all_log_keys": [format_vkey(SIGNER.key)]}).history == KeyHistory.begin(
        SIGNER.key
    )
