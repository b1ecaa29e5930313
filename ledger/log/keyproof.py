"""The portable proof of a log's keys (`ledger.core.keyhistory`), made of what is stored: the live log's, a folder's, a backup's."""

from collections.abc import Callable, Iterable, Sequence

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.entry import parse_entry
from ledger.core.errors import Code, LedgerError
from ledger.core.keyhistory import (
    CREATED,
    KEY_TYPES,
    KeyHistory,
    format_history,
    may_tell_keys,
    parse_history,
)
from ledger.core.note import VerifierKey, parse_note
from ledger.core.receipt import Receipt, format_receipt
from ledger.log.parts import Source
from ledger.log.tree import Tree
from ledger.storage.hot import HotFile
from ledger.storage.segment import Segment

HASHES_PER_READ = 50_000

Noted = Callable[[int], str | None]  # the signed checkpoint that is stored on an entry
Prove = Callable[[int, int], Sequence[bytes]]


def prove_keys(keys: KeyHistory, entries: Iterable[bytes], noted: Noted, prove: Prove) -> bytes:
    """The proof of a history.

    Args:
        keys: the history.
        entries: the log's own entries about its keys, in order.
        noted: the checkpoint stored on an entry: each of these entries was a commit of its own.
        prove: the inclusion proof of an entry in the tree of a size.

    Raises:
        LedgerError: `storage-failed`: no checkpoint is stored on one of them.
    """
    receipts = []
    for data in entries:
        entry = parse_entry(data)
        if entry.members.get("type") == CREATED:
            continue
        note = (noted(entry.seq) or "").encode()
        if not note:
            raise LedgerError(
                Code.STORAGE_FAILED,
                f"entry {entry.seq}, which is about the log's keys, has no checkpoint of its own: run `agent-ledger verify`",
            )
        size = parse_checkpoint(parse_note(note).text).size
        receipts.append(format_receipt(Receipt(entry.seq, prove(entry.seq, size), note, extra=data)))
    return format_history(keys.first, receipts)


def stored_keys(sources: Sequence[Source], known: VerifierKey | None = None) -> tuple[KeyHistory, bytes]:
    """The keys that what is stored says the log had, and the proof: checked, so that nobody who altered what is stored added one.

    Args:
        sources: what is stored, from entry 0 on and without gaps; segments first, which may have been opened without keys.
        known: a key of the log that the caller trusts; else what entry 0 says is taken.

    Raises:
        LedgerError: `storage-failed`; `malformed-verifier-key`: it names no key; or the proof does not hold, or not for the key that is known.
    """
    entries = [entry for source in sources for entry in _own(source)]
    keys = KeyHistory.of_entries(entries)
    rotated = len(keys.terms) > 1

    def hashes(low: int, high: int) -> list[bytes]:
        return [digest for source in sources for digest in source.hashes(low, high)]

    def noted(seq: int) -> str | None:
        rows = (source.row(seq) for source in sources)
        return next((row[-1] for row in rows if row is not None), None)

    prove = _tree(sources, hashes).inclusion if rotated else Tree(hashes).inclusion
    proof = prove_keys(keys, entries, noted, prove)
    return parse_history(proof, known or keys.first), proof


def _own(source: Source) -> list[bytes]:
    if isinstance(source, HotFile):
        return source.own_entries(KEY_TYPES)
    about = filter(may_tell_keys, source.own_entries())
    return [entry for entry in about if parse_entry(entry).members.get("type") in KEY_TYPES]


def _tree(sources: Sequence[Source], hashes: Callable[[int, int], list[bytes]]) -> Tree:
    tree = Tree.load(hashes, b"".join(each.tile_roots() for each in sources if isinstance(each, Segment)))
    while more := hashes(tree.frontier.size, tree.frontier.size + HASHES_PER_READ):
        tree.extend(more)
    return tree
