"""What a start establishes before the first write: what is stored is whole as far as the head anchor knows, and signed by this key.

This is not a verification (that reads every byte). It reads the roots of the sealed segments' tiles and the leaf hashes of what is hot, folds
the tree, and compares roots: ten million entries take as long as a hundred thousand.
"""

from collections.abc import Sequence
from pathlib import Path

from ledger.core.checkpoint import Checkpoint, open_checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import KEY_TYPES, KeyHistory
from ledger.core.merkle import leaf_hash
from ledger.core.note import NoteSigner
from ledger.log.rotation import held
from ledger.log.store import Store
from ledger.log.tree import Tree
from ledger.storage.anchor import HeadAnchor
from ledger.storage.schema import Head

HASHES_PER_READ = 50_000


def recover(
    store: Store, keys: KeyHistory, anchor: HeadAnchor, *, accept_missing_anchor: bool
) -> tuple[Tree, Head, bytes]:
    """Read the head and rebuild the tree; returns them with the newest leaf hash.

    Args:
        store: what is stored.
        keys: the log's, as the own entries in it say: here it is seen that those are the log's.
        anchor: the head anchor.
        accept_missing_anchor: go on where there is none.

    Raises:
        LedgerError: `rolled-back`, `forked`, `origin-changed`, `anchor-missing`, `storage-failed`.
    """
    size = store.size()
    anchored = _anchored(keys, anchor)
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
    note = store.newest_checkpoint()
    if note is None:
        raise LedgerError(
            Code.STORAGE_FAILED, "the newest entry has no checkpoint; run `agent-ledger verify`"
        )
    checkpoint = keys.open(note, own=True)
    tree = _tree(store)
    if (checkpoint.size, checkpoint.root) != (size, tree.frontier.root()):
        raise LedgerError(
            Code.STORAGE_FAILED, "the stored hashes do not give the signed root; run `agent-ledger verify`"
        )
    _check_keys(store)
    if anchored is not None and tree.root_at(anchored.size) != anchored.root:
        raise LedgerError(
            Code.FORKED,
            f"the database and the head anchor {anchor.path} disagree about the first {anchored.size} entries: one was rewritten",
        )
    newest = parse_entry(store.entries(size - 1, size)[0])
    try:
        anchor.advance(note, size)
    except OSError as error:
        raise LedgerError(
            Code.STORAGE_FAILED, f"the head anchor {anchor.path} cannot be written: {error}"
        ) from error
    return tree, Head(size, checkpoint.root, note, newest.recorded_at), store.hashes(size - 1, size)[0]


def _tree(store: Store) -> Tree:
    roots = b"".join(segment.tile_roots() for segment in store.segments)
    tree = Tree.load(store.hashes, roots)
    size = store.size()
    for low in range(tree.frontier.size, size, HASHES_PER_READ):
        tree.extend(store.hashes(low, min(low + HASHES_PER_READ, size)))
    return tree


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


def _anchored(keys: KeyHistory, anchor: HeadAnchor) -> Checkpoint | None:
    try:
        note = anchor.read()
        return keys.open(note, own=True) if note is not None else None
    except OSError as error:
        raise LedgerError(
            Code.STORAGE_FAILED, f"the head anchor {anchor.path} cannot be read: {error}"
        ) from error
    except LedgerError as error:
        raise LedgerError(
            Code.FORKED,
            f"the head anchor {anchor.path} is not a checkpoint that this log's key signed: {error.detail}",
        ) from error


def _check_keys(store: Store) -> None:
    """The entries that say which keys the log had have the hashes that its tree is made of, whose root the key in force signed."""
    for entry in store.own_entries(KEY_TYPES):
        seq = parse_entry(entry).seq
        if store.hashes(seq, seq + 1) != [leaf_hash(entry)]:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"entry {seq}, which is about the log's keys, is not the one that was committed; run `agent-ledger verify`",
            )


def in_force(data: Path, store: Store, keys: KeyHistory, anchor: HeadAnchor) -> NoteSigner:
    """Which of the keys that the folder has is the log's.

    A crash within a rotation leaves two: the log's newest word decides (docs/adr/0029).

    Raises:
        LedgerError: `origin-changed`: they are another log's; `key-file`: none of them; `rolled-back`: the anchor shows that one of them will be.
    """
    signers = held(data, keys)
    if keys.origin != signers[0].key.name:
        raise LedgerError(
            Code.ORIGIN_CHANGED,
            f"entry 0 says this log is {keys.origin}, the key in the folder says {signers[0].key.name}",
        )
    for signer in signers:
        if signer.key == keys.current:
            return signer
    names = ", ".join(str(signer.key) for signer in signers)
    anchored = _further(anchor, signers)
    if anchored is not None and anchored.size > store.size():
        raise LedgerError(
            Code.ROLLED_BACK,
            f"the database holds {store.size()} entries, but {anchored.size} were acknowledged (head anchor {anchor.path}), and the key "
            f"was rotated meanwhile ({names}): it was rolled back, by a restore or a lost file. Nothing will be written; bring the missing "
            "entries back",
        )
    raise LedgerError(
        Code.KEY_FILE,
        f"the log is signed with {keys.current} since entry {keys.terms[-1].start}, and the folder has {names}: put the key in force there "
        "to continue the log; without it the folder is evidence (docs/keys.md)",
    )


def _further(anchor: HeadAnchor, signers: Sequence[NoteSigner]) -> Checkpoint | None:
    try:
        note = anchor.read()
        return open_checkpoint(note, [signer.key for signer in signers]) if note is not None else None
    except (LedgerError, OSError):
        return None
