"""The signed and other small texts of the log's own format: what is accepted is written back as the same bytes, and nothing is signed that nobody signed."""

import contextlib
import json
from functools import cache
from itertools import product

import rfc8785

from ledger.core import canonical
from ledger.core.checkpoint import (
    Checkpoint,
    format_checkpoint,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from ledger.core.ed25519 import SigningKey
from ledger.core.entry import format_entry, parse_entry
from ledger.core.errors import LedgerError
from ledger.core.fork import Fork, format_fork, parse_fork, verify_fork
from ledger.core.invitation import is_fingerprint_of, open_invitation, sign_invitation
from ledger.core.joined import Joined
from ledger.core.keyhistory import KeyHistory
from ledger.core.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of
from ledger.core.note import (
    COSIGNATURE_V1,
    Cosigner,
    NoteSigner,
    VerifierKey,
    format_vkey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)
from ledger.core.policy import NONE, Policy, parse_policy
from ledger.core.ranges import Ranges, parse_ranges
from ledger.core.receipt import Receipt, format_receipt, parse_receipt, verify_receipt_leaf
from ledger.core.report import Level
from ledger.core.text import format_base64
from ledger.core.tiles import encode_bundle, parse_bundle, parse_tile_path, tile_path
from ledger.core.verification import TITLE as VERIFICATION
from ledger.core.verification import Verification, open_verification, sign_verification
from ledger.core.witnessing import AddCheckpoint, format_add_checkpoint, parse_add_checkpoint, parse_size
from tests.fuzz.target import Target, holds, refused

ORIGIN = "fuzz.example/log"
LOG = NoteSigner(ORIGIN, SigningKey(bytes(range(32))))
WITNESS = Cosigner("fuzz.example/w", SigningKey(bytes(range(1, 33))), 1_795_167_000)
STRANGER = NoteSigner("other.example/log", SigningKey(bytes(range(2, 34))))
SIZES = (0, 1, 2, 3, 5, 8, 13)
BRANCHES = ("a", "b")


@cache
def leaves(branch: str, size: int) -> tuple[bytes, ...]:
    """Two logs that are one up to their third entry."""
    return tuple(leaf_hash(f"{n}{branch if n >= 3 else ''}".encode()) for n in range(size))


@cache
def checkpoint(branch: str, size: int) -> bytes:
    return sign_note(format_checkpoint(Checkpoint(ORIGIN, size, root_of(leaves(branch, size)))), LOG, WITNESS)


def reader(branch: str, size: int):
    tree = leaves(branch, size)
    return lambda nodes: [root_of(tree[n << level : (n + 1) << level]) for level, n in nodes]


@cache
def signed() -> dict[str, tuple[str, int]]:
    """Every text that LOG ever signed: of which branch, and its size."""
    return {
        parse_note(checkpoint(branch, size)).text: (branch, size) for branch, size in product(BRANCHES, SIZES)
    }


def text_of(data: bytes) -> str:
    """As an argument of the command line, or an octet string elsewhere."""
    return data.decode("utf-8", "surrogateescape")


# ---- notes


def note(data: bytes) -> bool:
    read = parse_note(data)
    lines = [
        f"\u2014 {each.name} {format_base64(each.key_id + each.signature)}\n" for each in read.signatures
    ]
    holds("".join([read.text, "\n", *lines]).encode() == data, "a note is written back as it was", data)
    if not refused(lambda: open_note(data, [LOG.key])):
        holds(read.text in signed(), "nothing is signed that nobody signed", data)
    if not refused(lambda: open_note(data, [WITNESS.key])):
        holds(read.text in signed(), "nothing is cosigned that nobody cosigned", data)
    return True


def vkey(data: bytes) -> bool:
    text = text_of(data)
    holds(format_vkey(parse_vkey(text)) == text, "a key is written back as it was", text)
    return True


def checkpoint_text(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    read = parse_checkpoint(text)
    holds(format_checkpoint(read) == text, "a checkpoint is written back as it was", text)
    if read.origin == ORIGIN and "\u2014" not in text:
        note = sign_checkpoint(read, LOG)
        holds(open_checkpoint(note, [LOG.key]) == read, "what is signed is what was to be signed", text)
    return True


def invitation(data: bytes) -> bool:
    """Its text as it is, signed by the log that it may name."""
    note = sign_note(data.decode("utf-8", "replace"), LOG)
    read = open_invitation(note)
    holds(
        is_fingerprint_of(read, read.fingerprint.replace(" ", "").upper()),
        "a fingerprint is itself",
        read.fingerprint,
    )
    holds(
        sign_invitation(LOG, read.witness, read.url) == note, "an invitation is written back as it was", data
    )
    return True


def add_checkpoint(data: bytes) -> bool:
    holds(
        format_add_checkpoint(parse_add_checkpoint(data)) == data, "a request is written back as it was", data
    )
    return True


def witness_size(data: bytes) -> bool:
    holds(b"%d\n" % parse_size(data) == data, "a size has one spelling", data)
    return True


def receipt(data: bytes) -> bool:
    read = parse_receipt(data)
    holds(format_receipt(read) == data, "a receipt is written back as it was", data)
    for branch in BRANCHES:
        for at, leaf in enumerate(leaves(branch, SIZES[-1])):
            if read.index == at and not refused(lambda leaf=leaf: verify_receipt_leaf(data, leaf, [LOG.key])):
                text = parse_note(read.checkpoint_note).text
                _, size = signed()[text]
                holds(
                    size > at and leaf in {leaves(each, size)[at] for each in BRANCHES},
                    "a receipt proves what is there",
                    data,
                )
    return True


def fork(data: bytes) -> bool:
    read = parse_fork(data)
    holds(parse_fork(format_fork(read)) == read, "a proof of a fork reads back", data)
    if not refused(lambda: verify_fork(read, LOG.key)):
        older, newer = (signed()[parse_note(each).text] for each in (read.older, read.newer))
        common = leaves(older[0], older[1]) == leaves(newer[0], newer[1])[: older[1]]
        holds(not common and older[1] <= newer[1], "a proof proves a fork", older, newer)
    return True


def verification(data: bytes) -> bool:
    """The text of a record of a verification, signed."""
    note = sign_note(data.decode("utf-8", "replace"), STRANGER)
    read = open_verification(note, [STRANGER.key])
    holds(sign_verification(read, STRANGER) == note, "a record is written back as it was", data)
    joined = read.joined()
    holds(Joined.from_json(joined.to_json()).to_json() == joined.to_json(), "a state reads back", data)
    return True


def policy(data: bytes) -> bool:
    read = parse_policy(data)
    holds(parse_policy(formatted(read)) == read, "a policy reads back", data)
    keys = read.witness_keys()
    holds(read.is_met(keys), "all witnesses together meet every policy", data)
    holds(read.quorum == NONE or not read.is_met(()), "nobody meets a quorum by not being there", data)
    holds(len(set(keys)) == len(keys), "each key counts once", data)
    return True


def formatted(read: Policy) -> bytes:
    """A policy in the plainest form."""
    lines = [f"log {log.key} {log.url or ''}" for log in read.logs]
    lines += [f"witness {name} {each.key} {each.url or ''}" for name, each in read.witnesses.items()]
    lines += [f"group {name} {group.needed} {' '.join(group.members)}" for name, group in read.groups.items()]
    return "\n".join([*lines, f"quorum {read.quorum}"]).encode("utf-8", "surrogateescape")


# ---- what is in a log


def bundle(data: bytes) -> bool:
    width = data[0] if data else 0
    read = parse_bundle(data[1:], width or None)
    holds(encode_bundle(read) == data[1:], "a bundle is written back as it was", data)
    holds(len(read) == (width or len(read)), "a bundle is as wide as was asked", data)
    return True


def path_of_a_tile(data: bytes) -> bool:
    text = text_of(data)
    read = parse_tile_path(text)
    holds(tile_path(read.level, read.n, read.width) == text, "a path is written back as it was", text)
    return True


def entry(data: bytes) -> bool:
    read = parse_entry(data)
    again = format_entry(
        prev=read.prev,
        record=read.record,
        recorded_at=read.recorded_at,
        seq=read.seq,
        submitter=read.submitter,
        signature=read.signature,
    )
    holds(again == data, "an entry is written back as it was", data)
    holds(canonical.parse_canonical(read.record) == read.members, "its record is its record", data)
    return True


def canonical_json(data: bytes) -> bool:
    strictly = loosely = None
    with contextlib.suppress(LedgerError):
        strictly = (canonical.parse_canonical(data),)
    try:
        loosely = (canonical.loads(data),)
    except LedgerError:
        holds(strictly is None, "what is canonical is JSON", data)
        raise
    again = canonical.dumps(loosely[0])
    holds(canonical.parse_canonical(again) == loosely[0], "what is written canonically reads back", data)
    holds(again == rfc8785.dumps(loosely[0]), "RFC 8785 says the same", data)
    holds(
        (strictly is not None) == (again == data),
        "canonical is what is written, and nothing else is",
        data,
        again,
    )
    holds(strictly is None or strictly == loosely, "both ways of reading agree", data)
    holds(json.loads(again) == loosely[0], "any parser reads the same", data)
    return True


def ranges(data: bytes) -> bool:
    """Two sets, and what Python's own sets say of them."""
    value = canonical.loads(data)
    one, other = (
        parse_ranges(each) for each in (value if isinstance(value, list) and len(value) == 2 else [value, []])
    )
    holds(parse_ranges(one.pairs()) == one, "ranges read back", data)
    if max([end for _, end in [*one, *other]], default=0) <= 10_000:
        plain, others = ({n for low, high in each for n in range(low, high)} for each in (one, other))
        for made, expected in (
            (one | other, plain | others),
            (one - other, plain - others),
            (one & other, plain & others),
        ):
            holds({n for low, high in made for n in range(low, high)} == expected, "a set is a set", data)
            holds(made == Ranges((n, n + 1) for n in expected), "equal sets are equal", data)
    return True


# ---- what to begin with


def notes() -> list[bytes]:
    return [
        checkpoint("a", 3),
        checkpoint("b", 5),
        sign_note("text\n", STRANGER),
        sign_note("\u00e9\n\n\nx\n", STRANGER),
        "x\n\n\u2014 a AAAAAAE=\n".encode(),
    ]


def vkeys() -> list[bytes]:
    keys = (
        LOG.key,
        WITNESS.key,
        STRANGER.key,
        VerifierKey.derive("\u00e9/x", COSIGNATURE_V1, LOG.key.public),
    )
    return [str(key).encode() for key in keys]


def policies() -> list[bytes]:
    w = [Cosigner(f"w.example/{n}", SigningKey(bytes([n]) * 32), 0).key for n in range(1, 5)]
    return [
        b"quorum none\n",
        f"log {LOG.key} https://x/\nwitness a {w[0]} http://y/\nwitness b {w[1]}\nwitness c {w[2]}\ngroup g 2 a b c\nquorum g\n".encode(),
        f"# c\n\twitness a {w[0]}\nwitness b {w[1]}\ngroup g any a\ngroup h all b g\nquorum h".encode(),
        b"witness \xff\xfe " + str(w[3]).encode() + b"\nquorum \xff\xfe\n",
    ]


def invitations() -> list[bytes]:
    note = sign_invitation(LOG, WITNESS.key, "https://witness.example/")
    return [parse_note(note).text.encode()]


def requests() -> list[bytes]:
    proof = consistency_proof(3, 8, reader("a", 8))
    return [
        format_add_checkpoint(AddCheckpoint(3, proof, checkpoint("a", 8))),
        format_add_checkpoint(AddCheckpoint(0, (), checkpoint("a", 1))),
    ]


def receipts() -> list[bytes]:
    return [
        format_receipt(
            Receipt(at, tuple(inclusion_proof(at, size, reader("a", size))), checkpoint("a", size), extra)
        )
        for at, size, extra in ((0, 1, None), (4, 8, b""), (12, 13, b"extra"))
    ]


def forks() -> list[bytes]:
    proofs = []
    for old, new in ((5, 8), (8, 13), (5, 5)):
        proof = tuple(consistency_proof(old, new, reader("b", new)))
        proofs.append(
            Fork(LOG.key, checkpoint("a", old), checkpoint("b", new), root_of(leaves("b", old)), proof)
        )
    return [format_fork(proof) for proof in proofs]


def verifications() -> list[bytes]:
    state = Joined([LOG.key], KeyHistory.begin(LOG.key)).to_json()
    made = Verification(
        LOG.key, 0, b"", Level.ENTRIES, "2026-11-21T09:30:00.000000Z", 0, True, {"verifier": state}
    )
    text = parse_note(sign_verification(made, STRANGER)).text
    return [
        text.encode(),
        text.replace('"complete":true', '"complete":false').encode(),
        f"{VERIFICATION}\nx\n{{}}\n".encode(),
    ]


def entries() -> list[bytes]:
    given = {"recorded_at": "2026-11-21T09:30:00.123456Z", "submitter": 'token:\u00e9"'}
    record = b'{"ext":{"a.b":",\\"recorded_at\\":\\""},"id":"1","time":"2026-11-21T09:30:00Z","type":"note"}'
    return [
        format_entry(prev=bytes(32), record=b"{}", seq=0, **given),
        format_entry(
            prev=b"\x01" * 32, record=record, seq=17, **given, signature=("agent-1", format_base64(bytes(64)))
        ),
    ]


JSONS = (
    b'{"a":[1,-2,null,true,false,"\\u001f\xc3\xa9 \\ud83d\\ude00"],"b":{"c":{}}}',
    b'[9007199254740991,-9007199254740991,""]',
    b'{ "b" : 1 , "a" : [ ] }',
    b"[-0]",
    b'"\\/\\b"',
    b"[" * 16 + b"]" * 16,
)
PIECES = (
    b"\xe2\x80\xa8",
    b"\\u2028",
    b"\\ud800",
    b"\\u0000",
    b"\x00",
    b"\r\n",
    b"\n\n",
    b"-0",
    b"1e5",
    b"9007199254740993",
    b"\xef\xbb\xbf",
    b"\xc2\xa0",
    b"==",
    b"\xe2\x80\x94 ",
)

TARGETS = (
    Target("note", note, notes, pieces=PIECES),
    Target("vkey", vkey, vkeys, 512, PIECES),
    Target("checkpoint", checkpoint_text, lambda: [text.encode() for text in [*signed()][:3]], 1_024, PIECES),
    Target(
        "policy",
        policy,
        policies,
        pieces=(*PIECES, b"quorum ", b"group ", b"witness ", b" any ", b" all ", b"none"),
    ),
    Target("invitation", invitation, invitations, 2_048, PIECES),
    Target("add-checkpoint", add_checkpoint, requests, pieces=PIECES),
    Target("witness-size", witness_size, lambda: [b"0\n", b"9223372036854775807\n", b"17\n"], 64),
    Target("receipt", receipt, receipts, pieces=(*PIECES, b"extra ", b"index ")),
    Target("fork", fork, forks, pieces=PIECES),
    Target("verification", verification, verifications, pieces=PIECES),
    Target(
        "bundle",
        bundle,
        lambda: [
            b"\x03" + encode_bundle([b"", b"a", b"bc"]),
            b"\x00" + encode_bundle([b"x" * 300]),
            b"\x01\x00\x00",
        ],
    ),
    Target(
        "tile-path",
        path_of_a_tile,
        lambda: [
            b"tile/0/000",
            b"tile/5/x001/234.p/17",
            b"tile/entries/x123/x456/789",
            b"tile/entries/000.p/1",
        ],
        128,
    ),
    Target("entry", entry, entries, pieces=PIECES),
    Target("canonical", canonical_json, lambda: JSONS, pieces=PIECES),
    Target(
        "ranges",
        ranges,
        lambda: [b"[[0,3],[5,6]]", b"[[[0,9],[2,3]],[[1,4],[9,9007199254740991]]]", b"[]"],
        1_024,
    ),
)
