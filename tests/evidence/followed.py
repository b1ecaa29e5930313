"""Files with entries of calls, whose peer has rotated its log's key: which receipts of his hold then, and which do not."""

from dataclasses import replace

from ledger.core import canonical, ed25519
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.evidence import ENTRY, entry_file
from ledger.core.keyhistory import format_history
from ledger.core.merkle import root_of
from ledger.core.note import NoteSigner, format_vkey
from ledger.core.peerkeys import FOLLOWED, Peer
from ledger.core.receipt import format_receipt, parse_receipt
from tests.core.test_keyhistory import Rotated
from tests.core.test_verify import MadeLog
from tests.evidence.crossed import BOB, GOOD, ours, peer
from tests.evidence.crossed import SAID as CALLED
from tests.evidence.signed import Signed

NEXT = NoteSigner(BOB.key.name, ed25519.SigningKey(bytes(range(8, 40))))


class Bobs(Rotated):
    """bob's log: entry 3 is a rotation, entry 4 of a call, entry 5 revokes the first key from entry 1 on."""

    def __init__(self):
        genesis = {"log.origin": BOB.key.name, "log.format": 1, "log.vkey": format_vkey(BOB.key)}
        MadeLog.__init__(self, origin=BOB.key.name, signer=BOB, genesis=genesis)
        self.receipts = []
        self.action()
        self.action()
        self.rotate(NEXT)
        record = {"ext": CALLED, "id": "x", "time": "2026-11-21T09:30:00Z", "type": "call.received"}
        self.call = self.append(record, "token:bob")
        self.sign()
        self.kept = replace(parse_receipt(self.receipt(self.call)), extra=self.entries[self.call])
        root = root_of(self.hashes)
        self.out_of_force = replace(
            self.kept, checkpoint_note=sign_checkpoint(Checkpoint(self.origin, 5, root), BOB)
        )
        self.revoke(BOB, 1)

    @property
    def proof(self):
        return format_history(BOB.key, self.receipts)


LOG = Bobs()


def steps(pinned=BOB.key):
    """Entries that follow his keys from one of them."""
    return [_step(ext) for ext in Peer("bob", pinned).next_steps(LOG.proof)]


def _step(ext, **changed):
    record = {"ext": ext | changed, "id": FOLLOWED, "time": "2026-11-21T09:30:00Z", "type": FOLLOWED}
    return {"record": canonical.dumps(record), "submitter": "log", "ext": ext}


def called(receipt, **changed):
    """Our entry, which keeps his receipt."""
    kept = {"receipt": format_receipt(receipt).decode()}
    return ours(kept, entry=receipt.extra, **{"call.entry_seq": LOG.call} | changed)


def wrong(seq):
    return {("peer", entry_file(seq, ENTRY))}


def entries(*given):
    return tuple({name: value for name, value in each.items() if name != "ext"} for each in given)


ROTATED, REVOKED = steps()
PEER, AFTER, OLD = peer(), called(LOG.kept), ours(GOOD)
ALTERED = _step(
    ROTATED["ext"], **{"log.peer_receipt": ROTATED["ext"]["log.peer_receipt"].replace("index 3", "index 4")}
)
CASES = [
    Signed("signed with the key that was followed", entries(PEER, ROTATED, AFTER), set(), 1, 0),
    Signed("signed with the key before, when it was in force", entries(PEER, ROTATED, OLD, AFTER), set(), 2, 0),
    Signed("signed with the key before, afterwards", entries(PEER, ROTATED, called(LOG.out_of_force)), wrong(2), 0, 0),
    Signed("not followed", entries(PEER, AFTER), wrong(1), 0, 0),
    Signed("followed behind it", entries(PEER, AFTER, ROTATED), wrong(1), 0, 0),
    Signed("signed with a key that was revoked", entries(PEER, ROTATED, REVOKED, OLD, AFTER), wrong(3), 1, 0),
    Signed("revoked behind it", entries(PEER, ROTATED, OLD, REVOKED), set(), 1, 0),
    Signed("the revocation alone", entries(PEER, REVOKED, AFTER), wrong(2), 0, 0),
    Signed("a step that was altered", entries(PEER, ALTERED, AFTER), wrong(2), 0, 0),
    Signed("a step twice", entries(PEER, ROTATED, ROTATED, AFTER), set(), 1, 0),
    Signed("a step from another first key", entries(PEER, _step(ROTATED["ext"], **{"log.peer_first": format_vkey(NEXT.key)}), AFTER), wrong(2), 0, 0),
    Signed("a step that is none", entries(PEER, _step({"log.peer_log": format_vkey(BOB.key)}), AFTER), wrong(2), 0, 0),
    Signed("a step too long", entries(PEER, _step(ROTATED["ext"], **{"log.peer_receipt": ROTATED["ext"]["log.peer_receipt"] + "\n" * 20_000}), AFTER), wrong(2), 0, 0),
    Signed("followed, and nobody accepted", entries(ROTATED, AFTER), set(), 0, 1),
    Signed("followed by somebody who is not the log", entries(PEER, ROTATED | {"submitter": "token:x"}, AFTER), wrong(2), 0, 0),
    Signed("dropped after it was followed", entries(PEER, ROTATED, peer("log.witness_removed"), AFTER), set(), 0, 1),
    Signed("accepted by its next key, and followed back", entries(peer(key=NEXT.key), *steps(NEXT.key)[:1], OLD, AFTER), set(), 2, 0),
    Signed("accepted by its next key alone", entries(peer(key=NEXT.key), AFTER), set(), 1, 0),
]  # fmt: skip
NAMES = [case.name for case in CASES]
