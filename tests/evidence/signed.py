"""Files with entries that agents signed, in which the log's own key signs every other part: what the operator of a log could hand over."""

from typing import NamedTuple

from ledger.core import canonical, ed25519, evidence
from ledger.core.checkpoint import Checkpoint, sign_checkpoint
from ledger.core.entry import format_entry, record_signing_input
from ledger.core.evidence import CONTENTS, ENTRY, RECEIPT, digest_of, entry_file, format_files, sign_manifest
from ledger.core.merkle import inclusion_proof, leaf_hash, root_of
from ledger.core.note import NoteSigner
from ledger.core.receipt import Receipt, format_receipt
from ledger.core.text import format_base64
from tests.evidence.tampering import CHECKPOINT, MANIFEST, REQUEST, VKEY, relisted, zipped

AGENT, OTHER = ed25519.SigningKey(bytes(range(1, 33))), ed25519.SigningKey(bytes(range(2, 34)))
LOG = NoteSigner("test.example/signed", ed25519.SigningKey(bytes(range(3, 35))))


class Signed(NamedTuple):
    """A file with entries that an agent signed: what must be found, how many signatures hold, and how many cannot be checked."""

    name: str
    entries: tuple[dict, ...]
    found: set[tuple[str, str]]
    held: int
    not_checked: int

    def zip(self) -> bytes:
        """The file; an entry that is marked `left_out` is not in it."""
        texts, prev = list[bytes](), bytes(32)
        for seq, each in enumerate(self.entries):
            given = {name: value for name, value in each.items() if name not in {"left_out", "contents"}}
            texts.append(format_entry(prev=prev, recorded_at="2026-11-21T09:30:00.000000Z", seq=seq, **given))
            prev = leaf_hash(texts[-1])
        leaves = [leaf_hash(text) for text in texts]
        root = root_of(leaves)
        checkpoint = sign_checkpoint(Checkpoint(LOG.key.name, len(leaves), root), LOG)
        kept = [seq for seq, each in enumerate(self.entries) if "left_out" not in each]
        request = canonical.dumps({"about": "", "by": "x", "disclose": None, "ids": [], "seqs": kept}) + b"\n"
        files = {CHECKPOINT: checkpoint, VKEY: f"{LOG.key}\n".encode(), REQUEST: request}
        for seq in kept:
            files[entry_file(seq, ENTRY)] = texts[seq]
            if contents := self.entries[seq].get("contents"):
                files[entry_file(seq, CONTENTS)] = evidence.format_contents(contents)
            proof = inclusion_proof(
                seq,
                len(leaves),
                lambda nodes: [root_of(leaves[n << level : (n + 1) << level]) for level, n in nodes],
            )
            files[entry_file(seq, RECEIPT)] = format_receipt(Receipt(seq, tuple(proof), checkpoint))
        digest = digest_of(format_files({name: digest_of(data) for name, data in files.items()})).sha256
        manifest = evidence.Manifest(
            LOG.key.name, len(leaves), root, "2026-11-21T09:30:00.000000Z", "x", len(kept), digest
        )
        return zipped(relisted({**files, MANIFEST: sign_manifest(manifest, LOG)}))


def _own(kind: str, **ext: str) -> dict:
    told = {"log.key_id": "agent-1"} | {f"log.{name}": value for name, value in ext.items()}
    record = {"ext": told, "id": kind, "time": "2026-11-21T09:30:00Z", "type": f"log.{kind}"}
    return {"record": canonical.dumps(record), "submitter": "log"}


def _signed(
    tool: str, *, said: str | None = None, origin: str = LOG.key.name, by: ed25519.SigningKey = AGENT
) -> dict:
    """A record of an agent; it signed another one where it `said` otherwise."""
    record, signed = (
        canonical.dumps({"id": "é", "time": "2026-11-21T09:30:00Z", "tool": {"name": name}, "type": "action"})
        for name in (tool, tool if said is None else said)
    )
    signature = format_base64(by.sign(record_signing_input(origin, signed)))
    return {"record": record, "submitter": 'key:"agent"', "signature": ("agent-1", signature)}


GRANT = _own("access_granted", public_key=format_base64(AGENT.public))
REVOKE = _own("access_revoked")
FORGED = {("signature", entry_file(1, ENTRY))}
CASES = [
    Signed("signed by its agent", (GRANT, _signed("pay"), _signed("read")), set(), 2, 0),
    Signed("changed by who has the log's key", (GRANT, _signed("pay", said="read")), FORGED, 0, 0),
    Signed("signed by another key", (GRANT, _signed("pay", by=OTHER)), FORGED, 0, 0),
    Signed("signed for another log", (GRANT, _signed("pay", origin="other.example/log")), FORGED, 0, 0),
    Signed("revoked before", (GRANT, REVOKE, _signed("pay")), {("signature", entry_file(2, ENTRY))}, 0, 0),
    Signed("revoked behind it", (GRANT, _signed("pay"), REVOKE), set(), 1, 0),
    Signed("granted behind it", (_signed("pay"), GRANT), set(), 0, 1),
    Signed("its key's entry left out", (GRANT | {"left_out": True}, _signed("pay")), set(), 0, 1),
    Signed("its key's entry left out, and changed", (GRANT | {"left_out": True}, _signed("pay", said="read")), set(), 0, 1),
    Signed("granted by somebody who is not the log", (GRANT | {"submitter": "token:x"}, _signed("pay")), set(), 0, 1),
    Signed("a key that is none", (_own("access_granted", public_key="AAAA"), _signed("pay")), FORGED, 0, 0),
    Signed("a key that is no text", (_own("access_granted", public_key="?"), _signed("pay")), set(), 0, 1),
    Signed("a key of small order", (_own("access_granted", public_key=format_base64(bytes(32))), _signed("pay")), FORGED, 0, 0),
]  # fmt: skip
NAMES = [case.name for case in CASES]
