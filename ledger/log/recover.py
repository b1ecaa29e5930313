"""What a start establishes before the first write: the database is whole as far as the head anchor knows, and signed by this key.

This is not a verification (that reads every byte): it reads the leaf hashes, folds the tree, and compares roots.
"""

from typing import Any

from ledger.core.checkpoint import Checkpoint, open_checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.note import NoteSigner
from ledger.log.anchor import HeadAnchor
from ledger.log.schema import Head
from ledger.log.store import Store
from ledger.log.tree import Tree, grow
from ledger.log.written import Written

HASHES_PER_READ = 50_000


def recover(
    store: Store, signer: NoteSigner, anchor: HeadAnchor, *, accept_missing_anchor: bool
) -> tuple[Written, bytes]:
    """Read the head and rebuild what memory holds; returns it with the newest leaf hash.

    Raises:
        LedgerError: `rolled-back`, `forked`, `origin-changed`, `anchor-missing`, `storage-failed`.
    """
    size = store.size()
    anchored = _anchored(signer, anchor)
    if anchored is None and size > 1 and not accept_missing_anchor:
        raise LedgerError(
            Code.ANCHOR_MISSING,
            f"the head anchor {anchor.path} is gone, so nobody can tell whether the database lost its tail. Put it back; or, if you "
            "know why it is gone, start once with --accept-missing-anchor",
        )
    if anchored is not None and anchored.size > size:
        raise LedgerError(
            Code.ROLLED_BACK,
            f"the database holds {size} entries, but {anchored.size} were acknowledged (head anchor {anchor.path}): it was rolled back, "
            "by a restore or a lost file. Nothing will be written; bring the missing entries back",
        )
    _check_genesis(store, signer)
    note = store.newest_checkpoint()
    if note is None:
        raise LedgerError(
            Code.STORAGE_FAILED, "the newest entry has no checkpoint; run `agent-ledger verify`"
        )
    checkpoint = open_checkpoint(note, [signer.key], signer.key.name)
    tree = Tree(store.hashes)
    reads = (store.hashes(low, min(low + HASHES_PER_READ, size)) for low in range(0, size, HASHES_PER_READ))
    root_at_anchor = grow(tree, reads, anchored.size if anchored else size)
    if (checkpoint.size, checkpoint.root) != (size, tree.frontier.root()):
        raise LedgerError(
            Code.STORAGE_FAILED, "the stored hashes do not give the signed root; run `agent-ledger verify`"
        )
    if anchored is not None and root_at_anchor != anchored.root:
        raise LedgerError(
            Code.FORKED,
            f"the database and the head anchor {anchor.path} disagree about the first {anchored.size} entries: one was rewritten",
        )
    newest = store.entries(size - 1, size)[0]
    written = Written.load(store, tree, Head(size, checkpoint.root, note, parse_entry(newest).recorded_at))
    store.checkpoint_if_long()
    try:
        anchor.advance(note, size)
    except OSError as error:
        raise LedgerError(
            Code.STORAGE_FAILED, f"the head anchor {anchor.path} cannot be written: {error}"
        ) from error
    return written, store.hashes(size - 1, size)[0]


def refuse_other_anchor(signer: NoteSigner, anchor: HeadAnchor) -> None:
    """A new log must not take the place of one that was lost.

    Raises:
        LedgerError: `rolled-back` when the anchor knows more than an entry 0 of this very key (which is what a crash in `create` leaves).
    """
    note = anchor.read()
    if note is None:
        return
    try:
        lost = open_checkpoint(note, [signer.key], signer.key.name).size > 1
    except LedgerError:
        lost = True
    if lost:
        raise LedgerError(
            Code.ROLLED_BACK,
            f"{anchor.path} anchors a log that is not in this folder: bring that log back, or move its anchor away on purpose",
        )


def _anchored(signer: NoteSigner, anchor: HeadAnchor) -> Checkpoint | None:
    try:
        note = anchor.read()
        return open_checkpoint(note, [signer.key], signer.key.name) if note is not None else None
    except OSError as error:
        raise LedgerError(
            Code.STORAGE_FAILED, f"the head anchor {anchor.path} cannot be read: {error}"
        ) from error
    except LedgerError as error:
        raise LedgerError(
            Code.FORKED,
            f"the head anchor {anchor.path} is not a checkpoint that this log's key signed: {error.detail}",
        ) from error


def _check_genesis(store: Store, signer: NoteSigner) -> None:
    first = store.entries(0, 1)
    if not first:
        raise LedgerError(
            Code.STORAGE_FAILED,
            "the log has no entry 0: it was never finished; remove the folder and make it again",
        )
    ext: Any = parse_entry(first[0]).members.get("ext", {})
    if ext.get("log.origin") != signer.key.name:
        raise LedgerError(
            Code.ORIGIN_CHANGED,
            f"entry 0 says this log is {ext.get('log.origin')}, the key in the folder says {signer.key.name}",
        )
