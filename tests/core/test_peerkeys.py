"""The keys of somebody else's log are followed from the one that was accepted, by its proof alone: what is false, older or another history changes nothing."""

import pytest

from ledger.core.ed25519 import SigningKey
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KeyHistory, format_history, parse_history, parse_steps
from ledger.core.note import NoteSigner, format_vkey
from ledger.core.peerkeys import (
    ADDED,
    FOLLOWED,
    MAX_PROOF_BYTES,
    MAX_STEP_BYTES,
    REMOVED,
    PeerKeys,
    follow,
    open_known,
)
from tests.core.test_keyhistory import LOG, ORIGIN, SECOND, SIGNER, THIEF, THIRD, Rotated, note, revoked
from tests.core.test_verify import MadeLog

KEYS = parse_history(LOG.proof, SIGNER.key)
FIRST_STEP = parse_history(format_history(SIGNER.key, LOG.receipts[:1]), SIGNER.key)
STRANGER = NoteSigner("another.example/log", SigningKey(bytes(range(6, 38))))


class Elsewhere(Rotated):
    """Another log, of another name, rotated to a key of its own."""

    def __init__(self):
        genesis = {"log.origin": STRANGER.key.name, "log.format": 1, "log.vkey": format_vkey(STRANGER.key)}
        MadeLog.__init__(self, origin=STRANGER.key.name, signer=STRANGER, genesis=genesis)
        self.receipts = []
        self.rotate(NoteSigner(STRANGER.key.name, SigningKey(bytes(range(7, 39)))))

    @property
    def proof(self):
        return format_history(STRANGER.key, self.receipts)


def accepted(key=SIGNER.key):
    return PeerKeys().after(ADDED, {"log.peer": "bob", "log.peer_log": format_vkey(key)})


def recorded(peers, proof):
    """What the log says once it has recorded what a proof adds."""
    (peer,) = peers.peers.values()
    for ext in peer.next_steps(proof):
        peers = peers.after(FOLLOWED, ext)
    return peers


def code_of(do, *arguments):
    with pytest.raises(LedgerError) as caught:
        do(*arguments)
    return caught.value.code


@pytest.mark.parametrize("known", [SIGNER, SECOND, THIRD])
def test_from_any_key_that_was_accepted_each_step_is_an_entry_and_all_of_them_are_the_proof(known):
    peers = accepted(known.key)
    (peer,) = peers.peers.values()
    steps = peer.next_steps(LOG.proof)
    assert [(ext["log.peer_key"], ext["log.peer_from"], ext["log.peer_change"]) for ext in steps] == [
        (format_vkey(SECOND.key), 3, "rotated"),
        (format_vkey(THIRD.key), 6, "rotated"),
    ]
    peers = recorded(peers, LOG.proof)
    (peer,) = peers.peers.values()
    assert peers.keys() == [KEYS]
    assert peer.proof == LOG.proof
    assert peer.next_steps(LOG.proof) == []
    more = revoked()
    (last,) = peer.next_steps(more.proof)
    assert (last["log.peer_key"], last["log.peer_from"], last["log.peer_change"]) == (
        format_vkey(SECOND.key),
        4,
        "revoked",
    )
    assert peers.after(FOLLOWED, last).keys()[0].terms[1].revoked == 4


def test_what_a_kill_left_out_is_recorded_next_time():
    peers = accepted()
    (peer,) = peers.peers.values()
    peers = peers.after(FOLLOWED, peer.next_steps(LOG.proof)[0])
    assert peers.keys() == [FIRST_STEP]
    assert recorded(peers, LOG.proof).keys() == [KEYS]


def test_steps_before_the_key_that_was_accepted_put_no_other_in_force():
    peers = accepted(THIRD.key)
    (peer,) = peers.peers.values()
    peers = peers.after(FOLLOWED, peer.next_steps(LOG.proof)[0])
    assert peers.keys() == [KeyHistory.begin(THIRD.key)]


FAKES = {
    "a thief's, who has no key of it": (format_history(THIEF.key, []), Code.UNKNOWN_SIGNER),
    "no proof": (b"{}\n", Code.MALFORMED_EVIDENCE),
    "another log's": (Elsewhere().proof, Code.UNKNOWN_SIGNER),
    "one step of it altered": (LOG.proof.replace(b"index 3", b"index 2"), Code.MALFORMED_EVIDENCE),
    "older": (format_history(SIGNER.key, LOG.receipts[:1]), Code.ROLLED_BACK),
    "of before any rotation": (format_history(SIGNER.key, []), Code.ROLLED_BACK),
    "forked by who has the first key": (Rotated(second=THIEF).proof, Code.FORKED),
    "too long": (LOG.proof + b" " * MAX_PROOF_BYTES, Code.BODY_TOO_LARGE),
}


@pytest.mark.parametrize(("proof", "code"), FAKES.values(), ids=FAKES)
def test_what_is_not_the_proof_of_that_log_or_is_older_or_another_history_is_refused(proof, code):
    peers = recorded(accepted(), LOG.proof)
    (peer,) = peers.peers.values()
    assert code_of(peer.next_steps, proof) is code
    assert code_of(follow, proof, [SIGNER.key], KEYS) is code


def test_a_revocation_is_not_taken_back_and_none_is_pushed_in_before_what_was_recorded():
    after = parse_history(revoked().proof, SIGNER.key)
    assert code_of(follow, LOG.proof, [SIGNER.key], after) is Code.ROLLED_BACK
    hidden = Rotated()
    hidden.revoke(SIGNER, 1)
    hidden.rotate(THIEF)
    receipts = [*hidden.receipts[:2], hidden.receipts[3]]  # a proof without the revocation
    peers = recorded(accepted(), format_history(SIGNER.key, receipts))
    (peer,) = peers.peers.values()
    assert code_of(peer.next_steps, hidden.proof) is Code.FORKED


def test_no_entry_puts_a_peers_key_in_force_that_is_not_proved():
    peers = accepted()
    (peer,) = peers.peers.values()
    good, second = peer.next_steps(LOG.proof)
    forged = Rotated(second=THIEF)
    thiefs = {**good, "log.peer_key": format_vkey(THIEF.key), "log.peer_first": format_vkey(THIEF.key)}
    for wrong in (
        second,  # before the first
        {**good, "log.peer_log": format_vkey(SECOND.key)},
        {**good, "log.peer_first": format_vkey(STRANGER.key)},
        {**good, "log.peer_receipt": good["log.peer_receipt"].replace("index 3", "index 4")},
        {**good, "log.peer_receipt": good["log.peer_receipt"] + "\n" * MAX_STEP_BYTES},
        {**good, "log.peer_receipt": LOG.receipt(7).decode()},
        thiefs,
        {},
    ):
        with pytest.raises(LedgerError):
            peers.after(FOLLOWED, wrong)
    peers = peers.after(FOLLOWED, good)
    forked = {**second, "log.peer_receipt": parse_steps(forged.proof)[1][1].decode()}
    for wrong in (good, forked, {**second, "log.peer_first": format_vkey(SECOND.key)}):
        with pytest.raises(LedgerError):
            peers.after(FOLLOWED, wrong)
    removed = peers.after(REMOVED, {"log.peer_log": format_vkey(SIGNER.key)})
    assert removed.keys() == []
    assert code_of(removed.after, FOLLOWED, second) is Code.NOT_FOUND


def test_a_checkpoint_is_judged_by_the_key_of_its_size_of_the_log_that_it_is_of():
    known = [STRANGER.key, parse_history(revoked().proof, SIGNER.key)]
    assert open_known(note(3, SIGNER), known).size == 3
    assert open_known(note(9, THIRD), known).origin == ORIGIN
    for size, signer in ((4, SIGNER), (9, SECOND), (5, SECOND), (3, THIEF)):  # of 5 it was revoked before
        assert code_of(open_known, note(size, signer), known) is Code.UNKNOWN_SIGNER
    assert code_of(open_known, note(3, SIGNER), [STRANGER.key]) is Code.UNKNOWN_SIGNER
