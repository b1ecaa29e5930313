"""The head anchor: the newest checkpoint, in a file outside the data folder.

A database that lost its tail opens without an error and with fewer rows. What it should have had stands here. The file
holds one signed note (C2SP tlog-checkpoint), so that it explains and proves itself to an auditor too.
"""

from pathlib import Path

from ledger.log.files import write_durably


def default_anchor(data: Path) -> Path:
    """The anchor's usual place: the data folder's sibling `<data>.head`."""
    return data.parent / f"{data.name}.head"


class HeadAnchor:
    """Reads and replaces the anchor at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """The signed note, or None where there is no anchor yet.

        Raises:
            OSError: it exists and cannot be read.
        """
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def advance(self, note: bytes) -> None:
        """Replace the anchor, durably.

        Raises:
            OSError: the old anchor still stands.
        """
        write_durably(self.path, note)
