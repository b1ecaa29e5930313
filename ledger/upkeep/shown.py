"""What a stopped log's folder shows of its tree, for a proof that it contradicts what it signed before: read as it lies there, and not changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ledger.audit.folder import Folder
from ledger.audit.fsck import origin_of
from ledger.core.errors import Code, LedgerError
from ledger.core.tiles import ENTRIES, parse_tile_path
from ledger.log.keyproof import prove_keys
from ledger.log.tree import Tree

HASHES_PER_READ: Final = 50_000


class Shown:
    """A folder as `ledger.client.sources` reads a log: its newest signed checkpoint, and tiles. None of it is believed: who proves something with it checks that."""

    def __init__(self, folder: Folder) -> None:
        """Read the leaf hashes, and make the tree of them.

        Raises:
            LedgerError: there are none, or not all.
            UnreadableError: they cannot be read.
        """
        self._folder, self._tree = folder, Tree(folder.hashes)
        for low in range(0, folder.end, HASHES_PER_READ):
            self._tree.extend(folder.hashes(low, min(low + HASHES_PER_READ, folder.end)))
        if not folder.end or self._tree.frontier.size != folder.end:
            raise LedgerError(Code.NOT_FOUND, "some of its hashes are gone")

    def checkpoint(self) -> bytes:
        """The signed note on its last entry, b"" where there is none."""
        return (self._folder.noted(self._folder.end - 1) or "").encode()

    def tile(self, path: str) -> bytes:
        """A tile of hashes.

        Raises:
            LedgerError: it has none at this path.
        """
        level, n, width = parse_tile_path(path)
        if level == ENTRIES:
            raise LedgerError(Code.NOT_FOUND, "no entries are shown here")
        return self._tree.tile(level, n, width)

    def key_proof(self) -> bytes | None:
        """The proof of its keys, None where it says that it had one alone.

        Raises:
            LedgerError: something of it is gone.
        """
        keys = self._folder.keys()
        if keys is None or len(keys.terms) == 1:
            return None
        return prove_keys(keys, self._folder.key_entries(), self._folder.noted, self._tree.inclusion)


@contextmanager
def shown_by(data: Path, *, sealed_only: bool = False) -> Iterator[Shown]:
    """A stopped log's folder, opened to be shown.

    Raises:
        LedgerError, UnreadableError: there is nothing to show.
    """
    folder = Folder(data, origin_of(data), sealed_only=sealed_only)
    try:
        yield Shown(folder)
    finally:
        folder.close()
