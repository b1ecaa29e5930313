"""Files with entries of calls, which keep receipts of another organisation's log: true ones, lies of that log's owner, and lies of one's own recorder."""

import json

from ledger.core import canonical, ed25519
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.entry import commitment, format_entry
from ledger.core.evidence import ENTRY, Contents, Disclosed, entry_file
from ledger.core.merkle import leaf_hash, root_of
from ledger.core.note import NoteSigner, format_vkey
from ledger.core.receipt import Receipt, format_receipt
from tests.evidence.signed import LOG, Signed

BOB = NoteSigner("bob.example/log", ed25519.SigningKey(bytes(range(4, 36))))
IMPOSTOR = NoteSigner(BOB.key.name, ed25519.SigningKey(bytes(range(5, 37))))
CALL, MESSAGE, SALT = "0" * 31 + "1", "ab" * 32, bytes(16)
SAID = {"call.id": CALL, "call.message": MESSAGE, "call.peer": LOG.key.name}


def theirs(kind="call.received", seq=1, **changed):
    """The entry of the other log."""
    record = canonical.dumps({"ext": SAID | changed, "id": "x", "time": "2026-11-21T09:30:00Z", "type": kind})
    at = "2026-11-21T09:30:00.000000Z"
    return format_entry(prev=b"\x01" * 32, record=record, recorded_at=at, seq=seq, submitter="token:bob")


def receipt(data, signer=BOB, *, extra=True):
    leaves = [b"\x02" * 32, leaf_hash(data)]
    note = sign_checkpoint(Checkpoint(signer.key.name, 2, root_of(leaves)), signer)
    return format_receipt(Receipt(1, (leaves[0],), note, data if extra else None)).decode()


def ours(kept, kind="call.confirmed", *, entry=None, shown=True, **changed):
    """The entry of the log that the file is of."""
    entry = entry or theirs()
    ext = {
        "call.id": CALL, "call.message": MESSAGE, "call.peer": BOB.key.name, "call.receipt": "verified",
        "call.entry_seq": 1, "call.entry_leaf": leaf_hash(entry).hex(), "call.entry_type": "call.received",
    } | changed  # fmt: skip
    value = json.dumps(kept).encode()
    record = {
        "ext": {name: each for name, each in ext.items() if each is not None}, "id": "y", "source": {"original": commitment(SALT, value).hex()},
        "time": "2026-11-21T09:30:00Z", "type": kind,
    }  # fmt: skip
    disclosed = (Disclosed("content", "source.original", SALT, value),) if shown else ()
    contents = Contents(disclosed, (), (), () if shown else ("source.original",))
    return {"record": canonical.dumps(record), "submitter": "token:clerk", "contents": contents}


def peer(kind="log.witness_added", key=BOB.key):
    record = {
        "ext": {"log.peer": "bob", "log.peer_log": format_vkey(key)},
        "id": kind,
        "time": "2026-11-21T09:30:00Z",
        "type": kind,
    }
    return {"record": canonical.dumps(record), "submitter": "log"}


PEER, GOOD = peer(), {"receipt": receipt(theirs())}
WRONG = {("peer", entry_file(1, ENTRY))}
SENT = theirs("call.sent")
CASES = [
    Signed("a receipt that proves what is said", (PEER, ours(GOOD), ours(GOOD)), set(), 2, 0),
    Signed("of a call that came", (PEER, ours({"receipt": receipt(SENT)}, "call.received", entry=SENT)), set(), 1, 0),
    Signed("without a message here", (PEER, ours(GOOD, **{"call.message": None})), set(), 1, 0),
    Signed("not said to be verified", (PEER, ours(GOOD, **{"call.receipt": "refused"}), ours({}, **{"call.receipt": "none"})), set(), 0, 0),
    Signed("another call", (PEER, ours(GOOD, **{"call.id": "0" * 32})), WRONG, 0, 0),
    Signed("another message", (PEER, ours(GOOD, **{"call.message": "cd" * 32})), WRONG, 0, 0),
    Signed("another place", (PEER, ours(GOOD, **{"call.entry_seq": 2})), WRONG, 0, 0),
    Signed("another entry", (PEER, ours(GOOD, **{"call.entry_leaf": "00" * 32})), WRONG, 0, 0),
    Signed("no entry named", (PEER, ours(GOOD, **{"call.entry_seq": None})), WRONG, 0, 0),
    Signed("another kind of theirs", (PEER, ours({"receipt": receipt(SENT)}, entry=SENT)), WRONG, 0, 0),
    Signed("it names somebody else", (PEER, ours({"receipt": receipt(theirs(**{"call.peer": "x.example/log"}))}, entry=theirs(**{"call.peer": "x.example/log"}))), WRONG, 0, 0),
    Signed("signed by an impostor", (PEER, ours({"receipt": receipt(theirs(), IMPOSTOR)})), WRONG, 0, 0),
    Signed("the impostor accepted too", (PEER, peer(key=IMPOSTOR.key), ours({"receipt": receipt(theirs(), IMPOSTOR)})), set(), 1, 0),
    Signed("no entry in it", (PEER, ours({"receipt": receipt(theirs(), extra=False)})), WRONG, 0, 0),
    Signed("no receipt", (PEER, ours({"receipt": "x"})), WRONG, 0, 0),
    Signed("too long", (PEER, ours({"receipt": GOOD["receipt"] + "\n" * 20_000})), WRONG, 0, 0),
    Signed("nothing kept", (PEER, ours({}), ours("x"), ours({"receipt": 1})), set(), 0, 3),
    Signed("kept back", (PEER, ours(GOOD, shown=False)), set(), 0, 1),
    Signed("nobody accepted", (ours(GOOD),), set(), 0, 1),
    Signed("accepted behind it", (ours(GOOD), PEER), set(), 0, 1),
    Signed("revoked before it", (PEER, peer("log.witness_removed"), ours(GOOD)), set(), 0, 1),
    Signed("revoked behind it", (PEER, ours(GOOD), peer("log.witness_removed")), set(), 1, 0),
    Signed("accepted by somebody who is not the log", (PEER | {"submitter": "token:x"}, ours(GOOD)), set(), 0, 1),
    Signed("another peer accepted", (peer(key=LOG.key), ours(GOOD)), set(), 0, 1),
    Signed("a key that is none", (peer() | {"record": PEER["record"].replace(b"bob.example", b"eve.example")}, ours(GOOD)), set(), 0, 1),
]  # fmt: skip
NAMES = [case.name for case in CASES]
